"""Reads what was packed for Tableau, with Tableau's own Hyper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as XML
from zipfile import ZipFile

from tableauhyperapi import Connection, HyperProcess, Telemetry


@contextmanager
def opened(tdsx: Path, work: Path) -> Iterator[Connection]:
    """A connection to the extract of a `.tdsx` file, which is unpacked into a folder."""
    with ZipFile(tdsx) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".hyper"))
        extract = archive.extract(name, work)
    with (
        HyperProcess(Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters={"log_config": ""}) as process,
        Connection(process.endpoint, extract) as connection,
    ):
        yield connection


def rows(connection: Connection, sql: str) -> list[list[Any]]:
    return connection.execute_list_query(sql)


def source(tdsx: Path) -> XML.Element:
    """The data source that a `.tdsx` file holds."""
    with ZipFile(tdsx) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".tds"))
        return XML.fromstring(archive.read(name))
