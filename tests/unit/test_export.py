"""`llm-spend export chargeback` and `customer`: files that add up to the cent, and names that do nothing."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from io import BytesIO, StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args
from unicodedata import normalize

import duckdb
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_spend import cli
from llm_spend.destinations import DuckDb, Schemas
from llm_spend.errors import UserError
from llm_spend.export import Format, Mode
from llm_spend.export.bill import Bill, Line, Statement, read_bill
from llm_spend.export.chargeback import document
from llm_spend.export.data import as_csv, as_parquet
from llm_spend.export.document import total
from llm_spend.export.names import as_csv_text, file_slug, sheet_names
from llm_spend.export.page import page
from llm_spend.export.workbook import workbook
from llm_spend.export.write import export_chargeback, export_customer
from tests.unit.test_cli import run

OCTOBER, SEPTEMBER, AUGUST = date(2026, 10, 1), date(2026, 9, 1), date(2026, 8, 1)
FORMULA, MARKUP = "=cmd|' /C calc'!A0", "<script>alert('x')</script> & <b>Söhne</b>"

LINE_TYPES = {
    "line_id": "varchar",
    "cost_center_id": "varchar",
    "team_id": "varchar",
    "line_type": "varchar",
    "allocation_method": "varchar",
    "provider": "varchar",
    "model_id": "varchar",
    "original_period": "date",
    "restatement_reason": "varchar",
    "quantity_tokens": "bigint",
    "unpriced_tokens": "bigint",
    "unpriced_requests": "bigint",
    "exact_cost_usd": "decimal(38, 12)",
    "amount_usd": "decimal(38, 2)",
    "cost_basis": "varchar",
    "currency": "varchar",
    "is_closed": "boolean",
    "has_unknown_share": "boolean",
}


def line(cost_center: str, team: str, amount: str | None, **other: Any) -> Line:
    """A direct line of October, unless said otherwise."""
    given = {
        "line_type": "direct",
        "allocation_method": "own_usage",
        "provider": "openai",
        "model_id": "gpt-5",
        "original_period": OCTOBER,
        "restatement_reason": None,
        "quantity_tokens": 1000,
        "unpriced_tokens": 0,
        "unpriced_requests": 0,
        "cost_basis": "list",
        "currency": "USD",
        "is_closed": False,
        "has_unknown_share": False,
        **other,
    }
    exact = None if amount is None else Decimal(amount)
    parts = ("2026-10-01", given["provider"], cost_center, team, given["model_id"], given["line_type"])
    identifier = "|".join((*parts, str(given["original_period"]), given["allocation_method"]))
    return Line(
        line_id=identifier, cost_center_id=cost_center, team_id=team, exact_cost_usd=exact, amount_usd=exact, **given
    )


RESTATED = {"line_type": "restatement", "restatement_reason": "price_correction", "quantity_tokens": 0}
LINES = (
    line("cc-sales", "@ops", "0.10"),
    line("cc-sales", "@ops", "0.20", model_id="+1"),
    line("cc-sales", "@ops", "-7.00", original_period=AUGUST, **RESTATED),
    line("cc-sales", "@ops", "-5.00", original_period=SEPTEMBER, **RESTATED),
    line("cc-sales", MARKUP, "15.00", line_type="commitment", allocation_method="owner_of_seat", quantity_tokens=0),
    line("cc/sales?", "a", "1234567.89", provider="anthropic"),
    line("cc/sales?", "a", "-0.30", provider="anthropic", line_type="true_up", allocation_method="bill_by_day"),
    line("cc/sales?", "new", None, model_id="(unresolved)", unpriced_tokens=400, unpriced_requests=3),
    line(FORMULA, "\tx", "3.33", line_type="shared", allocation_method="headcount"),
    line(FORMULA, "y", "3.34", line_type="new_thing", allocation_method="by_the_moon"),
    line("(unallocated)", "(unallocated)", "0.01", line_type="unallocated"),
)
BILL_USD = sum((each.amount_usd for each in LINES if each.amount_usd is not None), Decimal(0))


def statements(lines: Sequence[Line]) -> list[Statement]:
    """What the warehouse would have beside the lines."""
    found = []
    for owner in sorted({(each.cost_center_id, each.team_id) for each in lines}, reverse=True):
        of = [each for each in lines if (each.cost_center_id, each.team_id) == owner]
        amount = total(each.amount_usd for each in of)
        found.append(
            Statement(
                *owner,
                total_usd=amount,
                share_of_bill=None if amount is None else round(amount / BILL_USD, 6),
                quantity_tokens=sum(each.quantity_tokens for each in of),
                unpriced_tokens=sum(each.unpriced_tokens for each in of),
                unpriced_requests=sum(each.unpriced_requests for each in of),
            )
        )
    return found


def write_database(file: Path, lines: Sequence[Line] = LINES, changed: str = "") -> DuckDb:
    """A database with October as given, and September closed."""
    columns = ", ".join(f"{name} {kind}" for name, kind in LINE_TYPES.items())
    with duckdb.connect(str(file)) as connection:
        connection.execute("create schema llm_spend; create schema llm_spend_raw")
        connection.execute(f"create table llm_spend.llm_chargeback_lines (billing_period date, {columns})")
        connection.execute(
            "create table llm_spend.llm_chargeback_statements (billing_period date, cost_center_id varchar,"
            " team_id varchar, total_usd decimal(38, 2), share_of_bill decimal(18, 6), quantity_tokens bigint,"
            " unpriced_tokens bigint, unpriced_requests bigint)"
        )
        closed = line("cc-sales", "@ops", "9.99", original_period=SEPTEMBER, is_closed=True)
        for period, of in ((OCTOBER, lines), (SEPTEMBER, [closed])):
            rows = [[period, *(getattr(each, name) for name in LINE_TYPES)] for each in of]
            marks = ", ".join("?" * (len(LINE_TYPES) + 1))
            connection.executemany(f"insert into llm_spend.llm_chargeback_lines values ({marks})", rows)
            connection.executemany(
                "insert into llm_spend.llm_chargeback_statements values (?, ?, ?, ?, ?, ?, ?, ?)",
                [[period, *vars(each).values()] for each in statements(of)],
            )
        connection.execute(CUSTOMERS)
        if changed:
            connection.execute(changed)
    return DuckDb(file)


CUSTOMERS = """
create table llm_spend.llm_customer_statements as
select
    cast(billing_period as date) as billing_period, customer_id, customer_name, plan_name, line_number, line_type,
    tier_from_tokens, model_id, quantity_tokens, cast(price as decimal(38, 12)) as price_per_million_usd,
    amount is not null or line_type = 'overage' as is_charged, cast(amount as decimal(38, 2)) as amount_usd,
    'USD' as currency, cast(last_usage_date as date) as last_usage_date,
    billing_period = '2026-10-01' as is_whole_month
from (
    values
        ('2026-10-01', 'acme', 'Acme & Söhne', 'Team', 1, 'fee', null, null, null, null, 99.00, '2026-10-30'),
        ('2026-10-01', 'acme', 'Acme & Söhne', 'Team', 2, 'included', null, null, 1000000, null, null, '2026-10-30'),
        ('2026-10-01', 'acme', 'Acme & Söhne', 'Team', 3, 'overage', 0, null, 500000, 2.5, 1.25, '2026-10-30'),
        ('2026-10-01', 'acme', 'Acme & Söhne', 'Team', 4, 'overage', 500000, null, 3, 1e-12, 0.00, '2026-10-30'),
        ('2026-10-01', 'acme', 'Acme & Söhne', 'Team', 5, 'usage', null, 'gpt-5', 1500003, null, null, '2026-10-30'),
        ('2026-10-01', 'globex', 'Globex Secret', 'Huge', 1, 'fee', null, null, null, null, 777.77, '2026-10-30'),
        ('2026-10-01', 'globex', 'Globex Secret', 'Huge', 2, 'usage', null, 'o4-mini', 31337, null, null, '2026-10-30'),
        ('2026-11-01', 'acme', 'Acme & Söhne', 'Team', 1, 'fee', null, null, null, null, 99.00, '2026-11-30'),
        ('2026-11-01', 'acme', 'Acme & Söhne', 'Team', 2, 'overage', 0, null, 5, null, null, '2026-11-30')
) as given (
    billing_period, customer_id, customer_name, plan_name, line_number, line_type, tier_from_tokens, model_id,
    quantity_tokens, price, amount, last_usage_date
)
"""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> DuckDb:
    return write_database(tmp_path_factory.mktemp("export") / "spend.duckdb")


@pytest.fixture(scope="module")
def bill(warehouse: DuckDb) -> Bill:
    return read_bill(warehouse, OCTOBER)


# xlsx


def sheets(content: bytes, *, values: bool = True) -> dict[str, list[list[Any]]]:
    """The cells of a workbook: its values, or its formulas in their place."""
    book = openpyxl.load_workbook(BytesIO(content), data_only=values)
    return {sheet.title: [[cell.value for cell in row] for row in sheet.iter_rows()] for sheet in book}


def table(rows: list[list[Any]], title: str) -> list[dict[str, Any]]:
    """The rows below a title, by column; the last is the total."""
    start = next(place for place, row in enumerate(rows) if row[0] == title)
    columns = [name for name in rows[start + 1] if name]
    found = []
    for row in rows[start + 2 :]:
        if not any(value is not None for value in row):
            break
        found.append(dict(zip(columns, row, strict=False)))
    return found


def exact(number: float | int) -> Decimal:
    """What Excel shows of a number: 15 digits."""
    return Decimal(f"{number:.15g}")


def test_a_workbook_adds_up_to_the_cent(bill: Bill) -> None:
    content = workbook(document(bill, "chargeback"))
    found = sheets(content)
    assert list(found) == ["Summary", FORMULA.replace("/", "_"), "cc-sales", "cc_sales_", "(unallocated)", "Journal"]
    *centers, everything = table(found["Summary"], "Cost centres")
    assert exact(everything["Total"]) == BILL_USD == Decimal("1234577.57")
    assert [exact(center["Total"]) for center in centers] == [
        Decimal(amount) for amount in ("6.67", "3.30", "1234567.59", "0.01")
    ]
    for name in list(found)[1:-1]:
        assert sum(exact(row["Amount"]) for row in table(found[name], "Lines")[:-1] if row["Amount"] != "unknown") == (
            exact(table(found[name], "Lines")[-1]["Amount"])
        )
    *entries, booked = table(found["Journal"], "Entries")
    assert exact(booked["Amount"]) == sum(exact(entry["Amount"]) for entry in entries) == BILL_USD
    assert {entry["Credit: account"] for entry in entries} == {"provider_clearing"}


def test_sums_of_a_workbook_are_formulas_with_their_values(bill: Bill) -> None:
    content = workbook(document(bill, "chargeback"))
    values = openpyxl.load_workbook(BytesIO(content), data_only=True)
    checked = 0
    for sheet in openpyxl.load_workbook(BytesIO(content)):
        for cell in (cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"):
            wanted = re.fullmatch(r"=(?:ROUND\(SUM\((.+)\),2\)|SUM\((.+)\))", cell.value)
            assert wanted, cell.value
            summed = [each.value for (each,) in values[sheet.title][wanted[1] or wanted[2]]]
            computed = sum(exact(value) for value in summed if not isinstance(value, str))
            assert computed == exact(values[sheet.title][cell.coordinate].value), cell.coordinate
            checked += 1
    assert checked > 20


def test_unknown_is_not_0_in_a_workbook(bill: Bill) -> None:
    found = sheets(workbook(document(bill, "showback")))
    new = next(row for row in table(found["Summary"], "Teams") if row["Team"] == "new")
    assert (new["Direct usage"], new["Shared costs"], new["Total"]) == ("unknown", 0, "unknown")
    assert new["Unpriced tokens"] == 400 and new["Share of the bill"] is None


def test_a_month_of_which_nothing_is_known_is_not_0() -> None:
    lines = [line("cc", "a", None, unpriced_tokens=1000, unpriced_requests=1)]
    statement = document(Bill(OCTOBER, tuple(statements(lines)), tuple(lines)), "chargeback")
    found = sheets(workbook(statement))
    assert [row["Total"] for row in table(found["Summary"], "Cost centres")] == ["unknown", "unknown"]
    assert table(found["Journal"], "Entries") == []
    assert "unknown" in page(statement).decode() and rows(as_csv(statement.data["journal"])) == []


def test_numbers_are_numbers_and_names_are_text(bill: Bill) -> None:
    book = openpyxl.load_workbook(BytesIO(workbook(document(bill, "chargeback"))))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    for name in (FORMULA, "+1", "@ops"):
        named = [cell for cell in cells if cell.value == name]
        assert named and all(cell.data_type == "s" and cell.quotePrefix for cell in named), name
    # A tab is not seen, so it is replaced.
    assert [cell.data_type for cell in cells if cell.value == "�x"] and not any(cell.value == "\tx" for cell in cells)
    money = [cell for cell in cells if cell.data_type == "n" and cell.number_format == "#,##0.00"]
    assert len(money) > 40 and {-7, -5, 0.1} <= {cell.value for cell in money}
    assert all(cell.value.startswith(("=SUM(", "=ROUND(SUM(")) for cell in cells if cell.data_type == "f")


def test_a_name_that_is_markup_of_the_writer_stays_text() -> None:
    name = "<r><t>x</t></r>"
    lines = [line("cc", name, "1.00")]
    found = sheets(workbook(document(Bill(OCTOBER, tuple(statements(lines)), tuple(lines)), "showback")))
    assert table(found["cc"], "Lines")[0]["Team"].strip() == name


@pytest.mark.parametrize("amount", ["9999999999999.99", "-9999999999999.97", "90071992547.41", "0.07"])
def test_every_cent_of_15_digits_is_kept(amount: str) -> None:
    lines = [line("cc", "a", amount)]
    found = sheets(workbook(document(Bill(OCTOBER, tuple(statements(lines)), tuple(lines)), "showback")))
    assert exact(table(found["cc"], "Lines")[0]["Amount"]) == Decimal(amount)


def test_what_a_spreadsheet_would_round_is_refused() -> None:
    lines = [line("cc", "a", "10000000000000.01")]
    with pytest.raises(UserError, match=r"10,000,000,000,000\.01 has more digits than a spreadsheet"):
        workbook(document(Bill(OCTOBER, tuple(statements(lines)), tuple(lines)), "showback"))


def test_names_of_sheets() -> None:
    assert sheet_names(["a" * 40, "A" * 31, "a/b", "a_b", "A?b", "", "'quoted'", "History", "[x]:*\\"]) == [
        "a" * 31,
        "A" * 27 + " (2)",
        "a_b",
        "a_b (2)",
        "A_b (3)",
        "_",
        "quoted",
        "History (2)",
        "_x____",
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text(alphabet=st.one_of(st.sampled_from("aA[]:*?/\\'\t 😀ß"), st.characters()), max_size=40), max_size=6
    )
)
def test_names_of_sheets_are_legal_and_unique(names: list[str]) -> None:
    found = sheet_names(names)
    assert len({name.casefold() for name in found}) == len(names)
    for name in found:
        assert name and len(name.encode("utf-16-le", errors="surrogatepass")) <= 62
        assert not re.search(r"[\[\]:*?/\\\x00-\x1f\ud800-\udfff]", name) and name.strip("'") == name


# csv, parquet


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(content.decode("utf-8"), newline="")))


def test_csv_has_exact_amounts_and_no_formulas(bill: Bill) -> None:
    data = {name: rows(as_csv(each)) for name, each in document(bill, "chargeback").data.items()}
    assert sum(Decimal(row["amount_usd"]) for row in data["lines"] if row["amount_usd"]) == BILL_USD
    assert sum(Decimal(row["total_usd"]) for row in data["statements"] if row["total_usd"]) == BILL_USD
    assert sum(Decimal(row["amount_usd"]) for row in data["journal"]) == BILL_USD
    assert {row["cost_center_id"] for row in data["lines"]} >= {f"'{FORMULA}", "cc-sales"}
    assert {row["team_id"] for row in data["lines"]} >= {"'@ops", "'\tx", MARKUP}
    assert "'+1" in {row["model_id"] for row in data["lines"]}
    assert "-7.00" in {row["amount_usd"] for row in data["lines"]}
    for row in (row for each in data.values() for row in each):
        assert not any(re.match(r"[=+@\t\r]|-(?!\d)", cell) for cell in row.values()), row


def test_statements_as_data_have_every_type_of_lines(bill: Bill) -> None:
    (sales,) = (row for row in rows(as_csv(document(bill, "showback").data["statements"])) if row["team_id"] == "'@ops")
    assert (sales["direct_usd"], sales["shared_usd"], sales["credit_usd"]) == ("0.30", "0.00", "0.00")
    assert (sales["restatement_usd"], sales["new_thing_usd"], sales["total_usd"]) == ("-12.00", "0.00", "-11.70")
    assert (sales["billing_period"], sales["currency"], sales["is_closed"]) == ("2026-10-01", "USD", "false")


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\r=1", "\n=1", "  =1", "＝1", "＠x"])
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert as_csv_text(text) == f"'{text}"


@pytest.mark.parametrize(
    ("text", "written"),
    [("gpt;=1+1", "gpt;'=1+1"), (";=1", ";'=1"), ("a\n=1", "a\n'=1"), ("=1; @x", "'=1; '@x"), ("a;b", "a;b")],
)
def test_so_does_what_another_separator_would_cut_off(text: str, written: str) -> None:
    assert as_csv_text(text) == written


@pytest.mark.parametrize("text", ["a=1", "", "'=1", "(unallocated)", "gpt-5", "1+1"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert as_csv_text(text) == text


def test_parquet_has_exact_types_and_names_as_they_are(bill: Bill, tmp_path: Path) -> None:
    for name, each in document(bill, "chargeback").data.items():
        (tmp_path / f"{name}.parquet").write_bytes(as_parquet(each))
    with duckdb.connect() as connection:
        lines = f"'{tmp_path}/lines.parquet'"
        types = dict(connection.execute(f"select column_name, column_type from (describe from {lines})").fetchall())
        assert types["amount_usd"] == "DECIMAL(38,2)" and types["exact_cost_usd"] == "DECIMAL(38,12)"
        assert (types["billing_period"], types["quantity_tokens"], types["is_closed"]) == ("DATE", "BIGINT", "BOOLEAN")
        kept = connection.execute(f"select sum(amount_usd), count(*) - count(amount_usd) from {lines}").fetchone()
        assert kept == (BILL_USD, 1)
        assert connection.execute(f"select distinct cost_center_id from {lines} order by all").fetchall()[1] == (
            FORMULA,
        )
        shares = connection.execute(f"select share_of_bill from '{tmp_path}/statements.parquet'").description
        assert str(shares[0][1]) == "DECIMAL(18,6)"


# html


class Read(HTMLParser):
    """Tags, and the text of sections, rows and cells, of a page that closes all it opens."""

    VOID = frozenset({"meta"})

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.sections: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(content.decode("utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = dict(attrs)
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action", "background")]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "section":
            self.sections.append((of["class"] or "", ""))
        elif tag == "tr":
            self.cells.append([])
        elif tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "section" in self.open:
            name, text = self.sections[-1]
            self.sections[-1] = (name, text + data)
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1][-1] += data


def test_a_page_has_a_section_for_every_cost_centre(bill: Bill) -> None:
    content = page(document(bill, "chargeback"))
    read = Read(content)
    assert [name for name, _ in read.sections] == ["summary"] + ["cost-centre"] * 4
    totals = [cells for cells in read.cells if cells[0] == "Total"]
    assert "1,234,577.57" in totals[0] and "1,234,577.57" in totals[1]
    for amount, (_, text) in zip(("6.67", "3.30", "1,234,567.59", "0.01"), read.sections[1:], strict=True):
        assert f"Total{amount}" in re.sub(r"\s", "", text)
    assert b"@media print" in content and b"break-before: page" in content


def test_a_page_needs_nothing_and_runs_nothing(bill: Bill) -> None:
    content = page(document(bill, "chargeback"))
    read = Read(content)
    assert all(link.startswith("#page-") for link in read.links) and len(read.links) == 5
    assert not {"script", "b", "img", "link", "iframe"} & set(read.tags)
    assert b"default-src 'none'" in content and b"url(" not in content and b"@import" not in content
    assert {cell for cells in read.cells for cell in cells if "script" in cell} == {MARKUP}


def test_a_statement_says_what_can_still_change(warehouse: DuckDb, bill: Bill) -> None:
    shown = " ".join(page(document(bill, "chargeback")).decode().split())
    for words in (
        "open, may change",
        "400 tokens of 3 requests, in no amount",
        "2026-08",
        "2026-09",
        "a price was corrected",
        "part of the bill, by day",
        "share of a common cost, by people",
        "by the moon",
        "new thing",
        "USD",
        "charges cost centres",
    ):
        assert words in shown, words
    closed = " ".join(page(document(read_bill(warehouse, SEPTEMBER), "chargeback")).decode().split())
    assert "closed" in closed and "may change" not in closed and "Restatements" not in closed
    assert "without a rate" not in shown and "without a rate" not in closed


def test_a_share_without_a_rate_is_said_on_the_statement_and_in_the_data(tmp_path: Path) -> None:
    licence = {"line_type": "shared", "allocation_method": "even", "has_unknown_share": True}
    lines = [line("cc-sales", "a", "50.00", **licence), line("cc-other", "b", "1.00")]
    made = document(read_bill(write_database(tmp_path / "spend.duckdb", lines), OCTOBER), "chargeback")
    assert any("no exchange rate" in note for note in made.notes)
    told = {of.title: any(fact.label == "Shared costs without a rate" for fact in of.facts) for of in made.pages}
    assert told == {"Summary": True, "Cost centre cc-sales": True, "Cost centre cc-other": False}
    assert {row["team_id"]: row["has_unknown_share"] for row in rows(as_csv(made.data["lines"]))} == {
        "a": "true",
        "b": "false",
    }


# all of them


def test_files_are_the_same_each_time_whatever_the_order_of_rows(tmp_path: Path) -> None:
    written = []
    for number, lines in enumerate((LINES, LINES[::-1])):
        destination = write_database(tmp_path / f"{number}.duckdb", lines)
        reports = [export_chargeback(destination, OCTOBER, each, tmp_path / str(number)) for each in get_args(Format)]
        written.append({path.name: path.read_bytes() for report in reports for path in report.files})
    assert written[0] == written[1] and len(written[0]) == 1 + 3 + 3 + 1


def test_showback_differs_in_words_and_has_no_journal(bill: Bill) -> None:
    charged, shown = document(bill, "chargeback"), document(bill, "showback")
    assert charged.pages == shown.pages
    assert charged.data.keys() - shown.data.keys() == {"journal"} and not shown.sheets
    assert (charged.name, shown.name) == ("chargeback-2026-10", "showback-2026-10")
    assert "Journal" not in sheets(workbook(shown))


def test_a_month_without_lines_names_those_that_have_some(warehouse: DuckDb, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no statement of August 2026\. There are some of 2026-09, 2026-10\."):
        export_chargeback(warehouse, AUGUST, "xlsx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_lines_that_are_not_their_statement_are_refused(tmp_path: Path) -> None:
    for number, changed in enumerate(
        (
            "update llm_spend.llm_chargeback_statements set total_usd = total_usd + 0.01 where team_id = '@ops'",
            "delete from llm_spend.llm_chargeback_statements where team_id = 'new'",
            "delete from llm_spend.llm_chargeback_lines where team_id = 'a'",
        )
    ):
        destination = write_database(tmp_path / f"{number}.duckdb", changed=changed)
        with pytest.raises(UserError, match="don't add up to its statements"):
            read_bill(destination, OCTOBER)


def test_files_are_replaced_by_name_and_never_half_written(warehouse: DuckDb, tmp_path: Path) -> None:
    other, mine = tmp_path / "chargeback-2026-09.html", tmp_path / "chargeback-2026-10.html"
    other.write_text("of another month")
    mine.write_text("an older one")
    assert export_chargeback(warehouse, OCTOBER, "html", tmp_path).files == (mine,)
    assert other.read_text() == "of another month" and mine.read_bytes().startswith(b"<!doctype html>")
    assert sorted(tmp_path.iterdir()) == [other, mine]


def test_a_statement_of_another_time_zone_says_so(warehouse: DuckDb, tmp_path: Path) -> None:
    made = export_chargeback(warehouse, OCTOBER, "html", tmp_path, billing_timezone="Europe/Berlin")
    (said,) = (note for note in made.notes if "midnight in Europe/Berlin" in note)
    assert said in made.files[0].read_text(encoding="utf-8")
    assert not any("midnight" in note for note in export_chargeback(warehouse, OCTOBER, "html", tmp_path).notes)


def test_what_cannot_be_written_is_said(warehouse: DuckDb, tmp_path: Path) -> None:
    (tmp_path / "chargeback-2026-10.html").mkdir()
    (tmp_path / "file").touch()
    for folder in (tmp_path, tmp_path / "file"):
        with pytest.raises(UserError, match="can't be written"):
            export_chargeback(warehouse, OCTOBER, "html", folder)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_warehouse_is_asked_in_its_own_words() -> None:
    asked = []

    class Connection:
        def tables(self, schema: str) -> frozenset[str]:
            return frozenset({"llm_chargeback_lines", "llm_chargeback_statements"})

        def rows(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
            asked.append((sql, parameters))
            one = line("cc", "a", "12")
            if "llm_chargeback_lines" in sql:
                return [tuple(vars(one).values())]
            return [("cc", "a", Decimal("1.2E+1"), Decimal(1), 1000, 0, 0)]

    @contextmanager
    def reading() -> Iterator[Connection]:
        yield Connection()

    where: Any = SimpleNamespace(name="bigquery", schemas=Schemas("mine"), label="BigQuery", reading=reading)
    found = read_bill(where, OCTOBER)
    assert (str(found.total_usd), str(found.lines[0].amount_usd)) == ("12.00", "12.00")
    assert [parameters for _, parameters in asked] == [(OCTOBER,), (OCTOBER,)]
    assert all("mine.llm_chargeback_" in sql and "%s" in sql for sql, _ in asked)


# customers


@pytest.mark.parametrize("file_format", get_args(Format))
def test_a_customer_sees_its_own_rows_only(file_format: Any, warehouse: DuckDb, tmp_path: Path) -> None:
    report = export_customer(warehouse, "acme", OCTOBER, file_format, tmp_path)
    (file,) = report.files
    assert file.name.startswith("customer-acme-2026-10") and report.total_usd == Decimal("100.25")
    assert (report.status, report.is_final, report.notes) == ("whole month", True, ())
    content = file.read_bytes()
    if file_format == "xlsx":
        content = json.dumps(sheets(content), default=str, ensure_ascii=False).encode()
    for others in (b"globex", b"Globex", b"777.77", b"31337", b"31,337", b"Huge", b"o4-mini", b"cc-sales"):
        assert others not in content, others
    again = export_customer(warehouse, "acme", OCTOBER, file_format, tmp_path / "again")
    assert again.files[0].read_bytes() == file.read_bytes()


def test_a_customers_statement(warehouse: DuckDb, tmp_path: Path) -> None:
    read = Read(export_customer(warehouse, "acme", OCTOBER, "html", tmp_path).files[0].read_bytes())
    assert ["Monthly fee", "", "", "99.00"] in read.cells
    assert ["Tokens covered by the fee", "1,000,000", "", "0.00"] in read.cells
    assert ["Tokens above the included ones", "500,000", "2.50", "1.25"] in read.cells
    assert ["Tokens above the included ones, beyond the first 500,000", "3", "0.000000000001", "0.00"] in read.cells
    assert ["Total", "1,500,003", "", "100.25"] in read.cells
    assert [name for name, _ in read.sections] == ["summary"]
    assert "Acme & Söhne" in read.sections[0][1]


def test_a_charge_that_is_not_known_leaves_no_total(warehouse: DuckDb, tmp_path: Path) -> None:
    report = export_customer(warehouse, "acme", date(2026, 11, 1), "html", tmp_path)
    assert report.total_usd is None and not report.is_final and report.status == "usage up to 2026-11-30"
    read = Read(report.files[0].read_bytes())
    assert ["Tokens above the included ones", "5", "", "unknown"] in read.cells
    assert ["Total", "5", "", ""] in read.cells


def test_an_unknown_customer_learns_of_no_other(warehouse: DuckDb, tmp_path: Path) -> None:
    with pytest.raises(UserError) as unknown:
        export_customer(warehouse, "o'acme", OCTOBER, "xlsx", tmp_path)
    assert 'no statement of a customer "o\'acme"' in str(unknown.value) and "globex" not in str(unknown.value)
    with pytest.raises(UserError, match=r"no statement of 'globex' for November 2026\. There are some of 2026-10\."):
        export_customer(warehouse, "globex", date(2026, 11, 1), "xlsx", tmp_path)


def test_names_of_files_are_safe_and_differ() -> None:
    names = [
        "acme",
        "müller ag",
        "a/../b",
        "a%2F..%2Fb",
        "..",
        "ü" * 80,
        "ü" * 81,
        "x:*?<|>\\\n",
        "Acme",
        "mu\u0308ller ag",
    ]
    slugs = [file_slug(name) for name in names]
    assert slugs[:2] == names[:2] and len({normalize("NFC", slug).casefold() for slug in slugs}) == len(names)
    assert all(re.fullmatch(r"[\w .%-]+", slug) and len(slug.encode()) < 150 for slug in slugs)


# the commands


@pytest.mark.parametrize("mode", ["chargeback", "showback"])
def test_the_command(
    mode: Mode, warehouse: DuckDb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ("--database", str(warehouse.database), "--output", "out", "--mode", mode)
    assert run(monkeypatch, "export", "chargeback", "2026-10", "--format", "csv", *flags) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "2026-10, open, may change: 1,234,577.57 USD"
    files = {f"out/{mode}-2026-10-{name}.csv" for name in ("statements", "lines")}
    assert set(said[-3:] if mode == "chargeback" else said[-2:]) >= files
    assert {str(path) for path in Path("out").iterdir()} >= files
    assert run(monkeypatch, "export", "chargeback", "2026-09", "--json", *flags) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["period"], report["total_usd"], report["status"]) == ("2026-09", "9.99", "closed")
    assert report["files"] == [f"out/{mode}-2026-09.xlsx"]


def test_commands_that_cannot_work(
    warehouse: DuckDb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    where = ("--database", str(warehouse.database))
    assert run(monkeypatch, "export", "chargeback", "2026-10", "--format", "pdf", *where) == 2
    assert run(monkeypatch, "export", "chargeback", "October", *where) == cli.FAILED
    assert run(monkeypatch, "export", "customer", "nobody", "2026-10", *where) == cli.FAILED
    shown = capsys.readouterr().err
    assert "'October' is no month" in shown and "no statement of a customer 'nobody'" in shown and "acme" not in shown
    assert list(tmp_path.iterdir()) == []
