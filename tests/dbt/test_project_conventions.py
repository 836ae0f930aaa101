"""Rules of the dbt project that can be read off its files: no warehouse, no dbt run."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from llm_spend.sources import focus, raw_formats
from llm_spend.sources.provider_tables import PROVIDER_FORMATS
from llm_spend.sources.shared_tables import SHARED_FORMATS

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
CROSS_DB = PROJECT / "macros" / "cross_db"
FOLDERS = ("models", "macros", "tests")

SQL_FILES = sorted(
    path for folder in FOLDERS for path in (PROJECT / folder).glob("**/*.sql") if CROSS_DB not in path.parents
)
YAML_FILES = sorted(path for folder in (*FOLDERS, "seeds") for path in (PROJECT / folder).glob("**/*.yml"))

# What only some warehouses read, or read differently. dbt.date_trunc() and our own macros stand for them.
DIALECT = {
    "adapter.dispatch": r"adapter\.dispatch",
    "target.type": r"target\.(type|name)",
    "::": r"::",
    "qualify": r"\bqualify\b",
    "JSON functions": r"(?<![\w.])(json|parse_json|object|array)_\w+\s*\(",
    "list functions": r"(?<![\w.])list_\w+\s*\(",
    "unnest, flatten": r"(?<![\w.])(unnest|flatten)\s*\(",
    "date functions": r"(?<![\w.])(date_(trunc|diff|add|part)|datediff|dateadd|strftime|epoch)\s*\(",
    "try_cast": r"(?<![\w.])(try|safe)_cast\s*\(",
    "filter clauses": r"\bfilter\s*\(\s*where",
    "exclude, replace in select": r"\*\s*(exclude|except|replace)\b",
    "group by all": r"\b(group|order) by all\b",
    "ilike": r"\bilike\b",
    "interval": r"\binterval\s+'",
}


def load(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader=LOADER)


def relative(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def without_comments(sql: str) -> str:
    """SQL without comments, and with another name for the macros that are called like a dialect's function."""
    sql = re.sub(r"{#.*?#}", "", sql, flags=re.DOTALL)
    sql = re.sub(r"--[^\n]*", "", sql)
    return re.sub(r"{{-?\s*(try_cast|safe_cast|unnest_map|json_only_element)\(", "{{ macro(", sql)


def models() -> dict[str, dict[str, Any]]:
    """Model name -> its YAML entry with the path."""
    found: dict[str, dict[str, Any]] = {}
    for path in (PROJECT / "models").glob("**/*.yml"):
        for model in load(path).get("models", []):
            assert model["name"] not in found, f"{model['name']} is described twice"
            found[model["name"]] = {**model, "path": path}
    return found


MODELS = models()
MODEL_FILES = sorted((PROJECT / "models").glob("**/*.sql"))


@pytest.mark.parametrize("path", SQL_FILES, ids=relative)
def test_dialects_differ_in_one_folder_only(path: Path) -> None:
    sql = without_comments(path.read_text())
    found = [what for what, pattern in DIALECT.items() if re.search(pattern, sql, re.IGNORECASE)]
    assert found == [], "belongs into macros/cross_db"


@pytest.mark.parametrize("path", MODEL_FILES, ids=relative)
def test_models_read_only_sources_and_refs(path: Path) -> None:
    sql = without_comments(path.read_text())
    ctes = set(re.findall(r"(?:\bwith|,)\s+(\w+) as \(", sql))
    plain = re.sub(r"{%.*?%}", " ", re.sub(r"{{.*?}}", " by_jinja ", sql, flags=re.DOTALL), flags=re.DOTALL)
    tables = re.findall(r"\b(?:from|join)\s+([a-z_]\w*(?:\.\w+)*)", plain)
    assert [table for table in tables if "." in table] == [], "a schema is written out"
    assert not re.search(r"\bllm_spend_(raw|internal|seeds)\b", sql), "a schema is written out"
    if "{%" not in sql:
        assert [table for table in tables if table not in {*ctes, "by_jinja"}] == []


@pytest.mark.parametrize("path", MODEL_FILES, ids=relative)
def test_every_model_is_described_by_its_grain(path: Path) -> None:
    model = MODELS.get(path.stem)
    assert model is not None, "no YAML beside it"
    assert model["path"].parent == path.parent
    assert model["description"].startswith("One row per ")


def test_every_description_has_a_model() -> None:
    assert sorted(MODELS) == sorted(path.stem for path in MODEL_FILES)


@pytest.mark.parametrize("path", [p for p in MODEL_FILES if "marts" in p.parts], ids=relative)
def test_public_tables_have_a_contract_and_a_meaning_for_every_column(path: Path) -> None:
    model = MODELS[path.stem]
    assert model["config"]["contract"] == {"enforced": True}
    assert [c["name"] for c in model["columns"] if not c.get("data_type") or not c.get("description")] == []


@pytest.mark.parametrize("path", MODEL_FILES, ids=relative)
def test_models_end_with_their_final_cte(path: Path) -> None:
    text = path.read_text().rstrip()
    assert text.endswith(("select * from final", "}}")), "the last line is `select * from final`"


@pytest.mark.parametrize("path", YAML_FILES, ids=relative)
def test_yaml_is_ready_for_dbt_2(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"^\s*-?\s*tests:", text, re.MULTILINE), "data_tests, not tests"
    for number, line in enumerate(text.splitlines(), start=1):
        assert "target.type" not in line or re.search(r"\b(data_type|quote):", line), (
            f"line {number}: only types, and which names are quoted, may differ"
        )

    def walk(node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                walk(item)
        elif isinstance(node, dict):
            for test in node.get("data_tests", []):
                if isinstance(test, dict):
                    (body,) = (value for key, value in test.items() if key not in ("name", "description", "config"))
                    assert set(body) <= {"arguments", "config", "name", "description"}, f"arguments: {test}"
            for value in node.values():
                walk(value)

    walk(load(path))


def test_every_seed_column_is_text() -> None:
    described = {seed["name"]: seed for path in (PROJECT / "seeds").glob("**/*.yml") for seed in load(path)["seeds"]}
    files = {path.stem: path for path in (PROJECT / "seeds").glob("**/*.csv")}
    assert sorted(described) == sorted(files)
    for name, path in files.items():
        header = path.open().readline().strip().split(",")
        assert described[name]["config"]["column_types"] == dict.fromkeys(header, "string"), name
        assert described[name]["description"].startswith("One row per "), name
        columns = described[name].get("columns", [])
        assert "data_tests" not in described[name] and not any("data_tests" in c for c in columns), (
            f"{name}: people replace seeds; test the model that reads it"
        )


def test_no_hooks_no_packages_no_queries_while_compiling() -> None:
    for path in [*SQL_FILES, *CROSS_DB.glob("*.sql"), PROJECT / "dbt_project.yml", *YAML_FILES]:
        text = re.sub(r"{#.*?#}", "", path.read_text(), flags=re.DOTALL)
        forbidden = r"(pre|post)[-_]hook|on-run-(start|end)|\brun_query\b|call statement|adapter\.get_columns"
        found = [match[0] for match in re.finditer(forbidden, text)]
        assert found == [], relative(path)
    assert not (PROJECT / "packages.yml").exists() and not (PROJECT / "dependencies.yml").exists()


def test_every_var_is_declared_and_every_declared_var_is_read() -> None:
    declared = set(load(PROJECT / "dbt_project.yml")["vars"])
    read: dict[str, bool] = {}
    for path in [*SQL_FILES, *CROSS_DB.glob("*.sql"), *YAML_FILES]:
        for name, comma in re.findall(r"\bvar\(\s*['\"](\w+)['\"]\s*(,?)", path.read_text()):
            read[name] = read.get(name, False) or bool(comma)
    assert declared - set(read) == set(), "declared, but never read"
    # The default of this one depends on the target, so it can't be said in dbt_project.yml.
    assert set(read) - declared == {"llm_spend_raw_database"}, "read, but not declared"
    assert not any(read[name] for name in declared), "the default is said twice"


def test_declared_vars_have_a_comment() -> None:
    lines = (PROJECT / "dbt_project.yml").read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"  llm_spend_\w+:", line):
            assert lines[number - 1].lstrip().startswith("#"), line


def test_every_table_by_date_is_held_to_its_dates() -> None:
    """A table by date that the test of versions does not name could keep a date of an older build unnoticed."""
    by_date = {
        path.stem for path in (PROJECT / "models").glob("**/*.sql") if re.search(r"by_usage_date\(", path.read_text())
    }
    assert len(by_date) > 10
    held = (PROJECT / "tests" / "usage" / "assert_tables_are_of_their_dates.sql").read_text()
    assert set(re.findall(r"'((?:fct|int|llm)_\w+)'", held)) - {"int_usage_dates"} == by_date


def test_every_table_by_date_is_tested_by_date() -> None:
    described = models()
    for path in (PROJECT / "models").glob("**/*.sql"):
        if "by_usage_date(" in path.read_text():
            for test in described[path.stem]["data_tests"]:
                ((name, body),) = test.items()
                if name in ("unique_grain", "never_null"):
                    assert body["arguments"].get("by_date"), (path.stem, name)


def test_times_and_loads_are_the_columns_that_raw_tables_are_laid_out_by() -> None:
    """BigQuery skips partitions and blocks of raw tables only when these are the columns themselves, as they are."""
    others = {fmt.table for fmt in (*SHARED_FORMATS, *PROVIDER_FORMATS, focus.EXPORTS)}
    for table, fmt in raw_formats().items():
        (staging,) = (PROJECT / "models" / "staging").glob(f"**/stg_{table}.sql")
        if table in others:
            continue
        lines = [line.strip().rstrip(",") for line in staging.read_text().splitlines()]
        (line,) = [line for line in lines if re.search(r"\bstarted_at$", line)]
        column = fmt.event_time
        assert re.fullmatch(rf"(\w+\.)?{column}( as started_at)?", line), (table, line)
        assert [line for line in lines if re.search(r"\bload_id$", line)] == ["_dlt_load_id as load_id"], table
