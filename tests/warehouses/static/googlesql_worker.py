"""Analyses SQL with Google's own analyser (package `zetasql`), as BigQuery would before it runs a query.

It runs in a virtual environment of its own, with nothing but `zetasql`; see googlesql.py for what goes in and out.

    python googlesql_worker.py CACHE_FOLDER < job.json > results.json
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
import tempfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import wasmtime
from zetasql.core import ZetaSQLError, ZetaSqlLocalService, wasm_client
from zetasql.wasi._pb2.zetasql.local_service.local_service_pb2 import (
    AnalyzeRequest,
    AnalyzeResponse,
    LanguageOptionsRequest,
    RegisterCatalogRequest,
    RegisterResponse,
    UnregisterRequest,
)
from zetasql.wasi._pb2.zetasql.proto.options_pb2 import AnalyzerOptionsProto, LanguageOptionsProto
from zetasql.wasi._pb2.zetasql.proto.simple_catalog_pb2 import SimpleCatalogProto
from zetasql.wasi._pb2.zetasql.public import options_pb2, type_pb2
from zetasql.wasi._pb2.zetasql.public.options_pb2 import ERROR_MESSAGE_MULTI_LINE_WITH_CARET
from zetasql.wasi._pb2.zetasql.public.type_pb2 import TypeProto

# Part of the language, not (or not surely) of BigQuery. Date functions of another type than their argument are accepted
# by BigQuery in places; here they are errors, because a DATETIME among TIMESTAMPs is always a slip.
_NOT_IN_BIGQUERY = {
    "FEATURE_ADDITIONAL_DATE_TIME_FUNCTIONS",
    "FEATURE_AGGREGATE_FILTERING",
    "FEATURE_ALIASES_FOR_STRING_AND_DATE_FUNCTIONS",
    "FEATURE_EXTENDED_DATE_TIME_SIGNATURES",
    "FEATURE_FIRST_AND_LAST_N",
    "FEATURE_GROUP_BY_ARRAY",
    "FEATURE_GROUP_BY_STRUCT",
    "FEATURE_JSON_TYPE_COMPARISON",
    "FEATURE_LATERAL_COLUMN_REFERENCES",
    "FEATURE_LATERAL_JOIN",
    "FEATURE_LIMIT_ALL",
    "FEATURE_LIMIT_OFFSET_EXPRESSIONS",
    "FEATURE_LITERAL_CONCATENATION",
    "FEATURE_MAP_TYPE",
    "FEATURE_MULTILEVEL_AGGREGATION",
    "FEATURE_NULLIFZERO_ZEROIFNULL",
    "FEATURE_TIMESTAMP_NANOS",
    "FEATURE_UUID_TYPE",
}
_KINDS = {"FLOAT64": "DOUBLE"}
_NAMES = {"DOUBLE": "FLOAT64"}
# BigQuery's other names of INT64, which the analyser leaves to the engine.
_INTEGER_NAMES = ["INT", "SMALLINT", "INTEGER", "BIGINT", "TINYINT", "BYTEINT"]

_DECLARE = re.compile(
    r"declare\s+(?P<names>\w+(?:\s*,\s*\w+)*)\s*(?P<type>.*?)\s*(?:\bdefault\b(?P<value>.*))?", re.I | re.S
)
_SET = re.compile(r"set\s+(?P<name>\w+)\s*=(?P<value>.*)", re.I | re.S)
_COMMENT_OR_TEXT = re.compile(r"(--[^\n]*|/\*.*?\*/)|('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")", re.S)


def use_cache(folder: Path) -> None:
    """Keep the compiled analyser in `folder`: to compile it takes up to minutes, to load it a second."""
    folder.mkdir(parents=True, exist_ok=True)
    compiled = folder / f"zetasql-{version('zetasql')}-wasmtime-{version('wasmtime')}.bin"

    class CachedModule:
        @staticmethod
        def from_file(engine: wasmtime.Engine, path: str) -> wasmtime.Module:
            # What another processor compiled is refused, and replaced.
            with suppress(wasmtime.WasmtimeError):
                if compiled.exists():
                    return wasmtime.Module.deserialize_file(engine, str(compiled))
            module = wasmtime.Module.from_file(engine, path)
            # Two processes may get here at once: a reader must never see half a file.
            handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
            with os.fdopen(handle, "wb") as file:
                file.write(module.serialize())
            Path(name).replace(compiled)
            return module

    wasm_client.Module = CachedModule


def copy_memory_at_once() -> None:
    """The package copies requests and answers byte by byte in Python, which takes most of the time."""

    def write_bytes(self: Any, pointer: int, data: bytes) -> None:
        ctypes.memmove(ctypes.addressof(self.memory.data_ptr().contents) + pointer, data, len(data))

    def read_bytes(self: Any, pointer: int, size: int) -> bytes:
        return ctypes.string_at(ctypes.addressof(self.memory.data_ptr().contents) + pointer, size)

    wasm_client.WasmClient.write_bytes = write_bytes
    wasm_client.WasmClient.read_bytes = read_bytes


def bigquery_language() -> LanguageOptionsProto:
    """The language as near to BigQuery's as the analyser's switches allow."""
    everything = _call("GetLanguageOptions", LanguageOptionsRequest(maximum_features=True))
    language = LanguageOptionsProto.FromString(everything)
    language.product_mode = options_pb2.PRODUCT_EXTERNAL
    without = {options_pb2.LanguageFeature.Value(name) for name in _NOT_IN_BIGQUERY}
    features = [feature for feature in language.enabled_language_features if feature not in without]
    del language.enabled_language_features[:]
    language.enabled_language_features.extend(features)
    # QUALIFY is reserved among them; on BigQuery it needs a WHERE, GROUP BY or HAVING before it.
    del language.reserved_keywords[:]
    return language


def _call(function: str, request: Any) -> bytes:
    client = ZetaSqlLocalService.get_instance().wasm_client
    return client._call_grpc_method(f"ZetaSqlLocalService_{function}", request.SerializeToString())


def _output_columns(answer: bytes) -> dict[str, TypeProto]:
    """Output columns of the SELECT that an encoded AnalyzeResponse is about.

    The resolved query inside it is nested deeper than protobuf's Python side decodes: so it is cut out first.
    """
    statement = AnalyzeResponse.DESCRIPTOR.fields_by_name["resolved_statement"]
    select = statement.message_type.fields_by_name["resolved_query_stmt_node"]
    query = select.message_type.fields_by_name["query"]
    response = AnalyzeResponse.FromString(without_field(answer, [statement.number, select.number, query.number]))
    if not response.resolved_statement.HasField(select.name):
        raise ValueError("This is no SELECT.")
    columns = response.resolved_statement.resolved_query_stmt_node.output_column_list
    return {column.name.lower(): column.column.type for column in columns}


def without_field(message: bytes, path: list[int]) -> bytes:
    """An encoded protobuf message without the field that `path` leads to, by field numbers from the outside in."""
    kept = bytearray()
    position = 0
    while position < len(message):
        start = position
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            _, end = _varint(message, position)
        elif wire_type == 2:
            size, position = _varint(message, position)
            end = position + size
        else:
            end = position + {1: 8, 5: 4}[wire_type]
        if number != path[0]:
            kept += message[start:end]
        elif len(path) > 1:
            inner = without_field(message[position:end], path[1:])
            kept += _as_varint(key) + _as_varint(len(inner)) + inner
        position = end
    return bytes(kept)


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """The number that begins at `position`, and where the next thing begins."""
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _as_varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


class Tables:
    """The relations known so far, and the analysis of SQL that reads them."""

    def __init__(self) -> None:
        language = bigquery_language()
        self._options = AnalyzerOptionsProto(
            language_options=language, error_message_mode=ERROR_MESSAGE_MULTI_LINE_WITH_CARET
        )
        self._catalog = SimpleCatalogProto(name="root")
        self._catalog.builtin_function_options.language_options.CopyFrom(language)
        for name in _INTEGER_NAMES:
            self._catalog.named_type.add(name=name, type=named_type("INT64"))
        self._registered: int | None = None

    def add(self, relation: list[str], columns: dict[str, TypeProto]) -> None:
        """Make a relation known."""
        project, dataset, name = relation
        table = _child(_child(self._catalog, project), dataset).table.add(name=name)
        for column, column_type in columns.items():
            table.column.add(name=column, type=column_type)
        if self._registered is not None:
            _call("UnregisterCatalog", UnregisterRequest(registered_id=self._registered))
            self._registered = None

    def analyse(self, sql: str, variables: dict[str, TypeProto] | None = None) -> dict[str, TypeProto]:
        """Output columns of a SELECT; raises ZetaSQLError when BigQuery would refuse it."""
        request = AnalyzeRequest(sql_statement=sql, options=self._options)
        if variables:
            request.simple_catalog.CopyFrom(self._catalog)
            for name, variable_type in variables.items():
                request.simple_catalog.constant.add(name_path=[name], type=variable_type)
        else:
            request.registered_catalog_id = self._register()
        return _output_columns(_call("Analyze", request))

    def _register(self) -> int:
        """The catalog as the analyser keeps it: to send it with every statement takes longer than most analyses."""
        if self._registered is None:
            answer = _call("RegisterCatalog", RegisterCatalogRequest(simple_catalog=self._catalog))
            self._registered = RegisterResponse.FromString(answer).registered_id
        return self._registered

    def script_variables(self, header: str) -> dict[str, TypeProto]:
        """Types of the variables that a script declares; raises ZetaSQLError or ValueError where it is wrong.

        Only DECLARE and SET are understood.
        """
        variables: dict[str, TypeProto] = {}
        for statement in split_statements(header):
            if declared := _DECLARE.fullmatch(statement):
                given = declared["value"]
                value = f"({given})" if given else "null"
                # A value must fit the type as it would in a COALESCE.
                typed = f"coalesce(cast(null as {declared['type']}), {value})" if declared["type"] else value
                (variable_type,) = self.analyse(f"select {typed} as value", variables).values()
                variables |= dict.fromkeys(re.split(r"\s*,\s*", declared["names"]), variable_type)
            elif assigned := _SET.fullmatch(statement):
                if assigned["name"] not in variables:
                    raise ValueError(f"Undeclared variable: {assigned['name']}")
                self.analyse(f"select coalesce({assigned['name']}, ({assigned['value']})) as value", variables)
            else:
                raise ValueError(f"Only DECLARE and SET are understood before a SELECT: {statement[:60]}")
        return variables


def split_statements(script: str) -> list[str]:
    """The statements of a script, without comments."""
    bare = _COMMENT_OR_TEXT.sub(lambda found: (found[2] or " ").replace(";", "\0"), script)
    return [part.strip().replace("\0", ";") for part in bare.split(";") if part.strip()]


def type_name(column_type: TypeProto) -> str:
    """The name that BigQuery gives a type."""
    if column_type.HasField("array_type"):
        return f"ARRAY<{type_name(column_type.array_type.element_type)}>"
    name = type_pb2.TypeKind.Name(column_type.type_kind).removeprefix("TYPE_")
    return _NAMES.get(name, name)


def named_type(name: str) -> TypeProto:
    """A type without parts by the name that BigQuery gives it."""
    return TypeProto(type_kind=type_pb2.TypeKind.Value("TYPE_" + _KINDS.get(name, name)))


def _child(catalog: SimpleCatalogProto, name: str) -> SimpleCatalogProto:
    for child in catalog.catalog:
        if child.name == name:
            return child
    return catalog.catalog.add(name=name)


def run(job: dict[str, Any]) -> list[dict[str, Any]]:
    """One result a statement: `columns` by name, or a `problem`, or neither when a parent could not be analysed."""
    tables = Tables()
    for table in job["tables"]:
        columns = {name: named_type(kind) for name, kind in table["columns"].items()}
        tables.add(table["relation"], columns)
    unknown: set[str] = set()
    results = []
    for statement in job["statements"]:
        if unknown & set(statement["parents"]):
            unknown.add(statement["node"])
            results.append({"node": statement["node"]})
            continue
        try:
            variables = tables.script_variables(statement["header"])
            columns = tables.analyse(statement["sql"], variables)
        except (ZetaSQLError, ValueError) as error:
            unknown.add(statement["node"])
            results.append({"node": statement["node"], "problem": _message(error)})
            continue
        if statement["relation"]:
            tables.add(statement["relation"], columns)
        results.append({"node": statement["node"], "columns": {name: type_name(x) for name, x in columns.items()}})
    return results


def _message(error: Exception) -> str:
    """All lines of it: the package keeps only the first, without the types and the place."""
    return re.sub(r"^Code: \d+, Message: ", "", getattr(error, "raw_error", "") or str(error))


if __name__ == "__main__":
    use_cache(Path(sys.argv[1]))
    copy_memory_at_once()
    json.dump(run(json.load(sys.stdin)), sys.stdout)
