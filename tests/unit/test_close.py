"""Closing a month: what stands in the way, what is recorded, what is undone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llm_spend import close as closing
from llm_spend.billing_months import hours
from llm_spend.build_record import note
from llm_spend.cli import app
from llm_spend.close import Load, close, examine, reopen
from llm_spend.close_finding import Finding
from llm_spend.close_ledger import Entry, add_entry, closed_periods, ledger_file, next_entry, read_ledger
from llm_spend.destinations import DuckDb
from llm_spend.errors import UserError
from llm_spend.seeds import read_seed
from llm_spend.windows import LoadedWindow, Window
from llm_spend.zones import midnight

SEP, OCT, NOV = (date(2026, month, 1) for month in (9, 10, 11))
LATER = datetime(2026, 11, 3, 9)
HEADER = "billing_period,action,closed_at,closed_by,reason,time_zone\n"
DAY = timedelta(days=1)
CLOSED = {SEP: Entry(SEP, "close", datetime(2026, 10, 3, 9), "jo", "")}

TABLES = """
create schema llm_spend_raw; create schema llm_spend_seeds; create schema llm_spend_internal; create schema llm_spend;
create table llm_spend_raw._dlt_loads as select '1.5' as load_id, 0 as status;
create table llm_spend_internal.int_basis as select 'b1' as basis_id;
create table llm_spend.llm_load_history as select
    'portkey' as source, 'default' as source_instance, 'requests' as entity,
    timestamp '2026-11-02 03:00:00' as loaded_at,
    timestamp '2026-09-30 10:00:00' as first_event_at, timestamp '2026-11-01 22:00:00' as last_event_at,
    0::bigint as lines_quarantined;
create table llm_spend.llm_chargeback_lines as
select month as original_period, 'direct' as line_type, 5.00 as amount_usd, 10 as quantity_tokens
from (values (date '2026-10-01'), (date '2026-11-01')) as t(month);
create table llm_spend_internal.int_requests_daily as
select date '2026-10-05' as usage_date, date '2026-10-01' as billing_period, 'GPT-4o' as resolved_model,
    'priced' as price_status, true as is_of_record,
    0::bigint as unpriced_tokens, 1000000::bigint as total_tokens;
create table llm_spend_internal.stg_prices__unpriced_models as
select 'own-*' as model_pattern, timestamp '1970-01-01' as valid_from, timestamp '9999-12-31' as valid_to;
create table llm_spend_internal.stg_loads__files (
    source varchar, source_instance varchar, entity varchar, window_start timestamp, window_end timestamp,
    modified_at timestamp, size_bytes bigint, load_id varchar
);
create table llm_spend.fct_llm_provider_costs as
select 'google' as provider, 'bill' as source_system, 'default' as source_instance, day as cost_date,
    date_trunc('month', day)::date as billing_period, origin, 'Usage' as charge_category, true as is_of_record,
    1.00 as billed_usd, true as is_final
from (values (date '2026-09-30', 'file'), (date '2026-10-05', 'file')) as t(day, origin);
create table llm_spend_internal.int_reconciliation_days (
    billing_period date, provider varchar, usage_date date, comparison varchar
);
create table llm_spend_internal.int_bill_allocations (
    billing_period date, billed_by varchar, allocation_method varchar, billed_usd decimal(38, 12)
);
create table llm_spend_internal.int_shared_costs (
    billing_period date, shared_cost_id varchar, provider varchar, shared_usd decimal(38, 12)
);
"""

COSTS = "llm_spend.fct_llm_provider_costs"
WITHOUT_BILL = """
insert into llm_spend_internal.int_reconciliation_days values
    ('2026-10-01', 'google', '2026-10-30', 'bill_not_loaded'), ('2026-10-01', 'google', '2026-10-05', 'compared')
"""
OPENAI_DAY = """
insert into llm_spend_internal.stg_loads__files values ('openai', 'default', 'costs',
    timestamp '2026-10-{day}', timestamp '2026-10-{day}' + interval 1 day, timestamp '2026-11-02 12:00:00', 9, '1')
"""

UNPRICED = "update llm_spend_internal.int_requests_daily set price_status = 'unpriced'"


@pytest.fixture
def built(tmp_path: Path) -> DuckDb:
    """A database in which nothing is missing for October."""
    destination = DuckDb(tmp_path / "spend.duckdb")
    destination.execute(TABLES)
    note(destination, "p1", "1 1.5", datetime(2026, 11, 2, 4), ())
    return destination


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    (tmp_path / "seeds").mkdir()
    return tmp_path / "seeds"


def names(found: Iterator[Finding]) -> list[str]:
    return [finding.name for finding in found]


def test_a_complete_month_is_closed_and_recorded(built: DuckDb, seeds: Path) -> None:
    outcome = close(built, OCT, seeds, by="jo", now=LATER)
    assert outcome.findings == ()
    assert outcome.file == seeds / "rules" / "period_close.csv"
    assert outcome.file.read_text() == HEADER + "2026-10-01,close,2026-11-03 09:00:00,jo,,UTC\n"
    with pytest.raises(UserError, match="2026-10 is closed already"):
        close(built, OCT, seeds, now=LATER)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ("insert into llm_spend_raw._dlt_loads values ('2.5', 0)", "build"),
        ("drop table llm_spend_internal.llm_spend__last_build", "build"),
        ("drop table llm_spend.llm_load_history", "build"),
        ("update llm_spend.llm_load_history set loaded_at = timestamp '2026-10-31 23:59:59'", "load"),
        (
            "update llm_spend_internal.int_requests_daily set price_status = 'unpriced', unpriced_tokens = 1001",
            "unpriced",
        ),
        ("update llm_spend.llm_load_history set lines_quarantined = 3", "quarantine"),
        ("insert into llm_spend.llm_chargeback_lines values (date '2026-09-01', 'direct', 1, 0)", "order"),
        ("insert into llm_spend.llm_chargeback_lines values (date '2026-09-01', 'direct', null, 7)", "order"),
        ("insert into llm_spend.llm_chargeback_lines values (date '2026-09-01', 'unallocated', 0, 7)", "order"),
        ("delete from llm_spend.llm_chargeback_lines where original_period = date '2026-10-01'", "usage"),
        (
            "insert into llm_spend_internal.stg_loads__files values ('portkey', 'default', 'requests',"
            " timestamp '2026-09-30', timestamp '2026-10-01', timestamp '2026-10-01 12:00:00', 9, '1')",
            "windows",
        ),
    ],
)
def test_what_is_missing_is_found(built: DuckDb, change: str, missing: str) -> None:
    built.execute(change)
    assert missing in names(examine(built, OCT, {}, LATER))


@pytest.mark.parametrize(
    "change",
    [
        # A source that is gone, a model that is known to have no price, few tokens, an earlier month that is closed.
        "update llm_spend.llm_load_history set loaded_at = '2026-08-02', last_event_at = '2026-08-31 23:59:59'",
        f"{UNPRICED}, unpriced_tokens = 9999, resolved_model = 'Own-13b'",
        f"{UNPRICED}, unpriced_tokens = 1000",
        "insert into llm_spend.llm_chargeback_lines values (date '2026-09-01', 'direct', 1, 10)",
        # Of August there are only corrections, and a line that came to nothing.
        "insert into llm_spend.llm_chargeback_lines values (date '2026-08-01', 'restatement', 1, 10),"
        " (date '2026-08-01', 'direct', 0, 0)",
    ],
)
def test_what_is_not_missing_is_not_found(built: DuckDb, change: str) -> None:
    built.execute(change)
    assert names(examine(built, OCT, CLOSED, LATER)) == []


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (WITHOUT_BILL, {"bill": "google has nothing of 1 days with usage, 2026-10-30 to 2026-10-30"}),
        # It has an invoice, or its last bill is of August.
        (f"{WITHOUT_BILL}; update {COSTS} set origin = 'invoice_difference' where cost_date = '2026-10-05'", {}),
        (f"{WITHOUT_BILL}; update {COSTS} set billing_period = '2026-08-01', cost_date = '2026-08-03'", {}),
        (f"update {COSTS} set is_final = false", {"bill-not-final": "1 days, 2026-10-05 to 2026-10-05"}),
        (f"update {COSTS} set is_final = false where cost_date < '2026-10-01'", {}),
        (f"update {COSTS} set billed_usd = null", {"bill-without-rate": "1 lines of the bill of google"}),
        (
            "insert into llm_spend_internal.int_shared_costs values ('2026-10-01', 'licence', 'wiki', null),"
            " ('2026-10-01', 'licence', 'wiki', null), ('2026-10-01', 'x', 'y', 1), ('2026-09-01', 'z', 'z', null)",
            {"bill-without-rate": "1 lines of the bill of wiki are in a currency without a rate"},
        ),
        (
            "insert into llm_spend_internal.int_bill_allocations values ('2026-10-01', 'google', 'waiting', 12.5),"
            " ('2026-10-01', 'google', 'bill_by_day', 7), ('2026-09-01', 'google', 'waiting', 9)",
            {"bill-waiting": "1 lines of the bill of google, 12.50 USD"},
        ),
        (
            f"update {COSTS} set origin = 'api', source_system = 'openai'; {OPENAI_DAY.format(day='01')}",
            {"windows": "openai (default) was not asked for 2026-10-02 00:00 to 2026-11-01 00:00 UTC"},
        ),
        (
            f"update {COSTS} set origin = 'api', source_system = 'openai';"
            + ";".join(OPENAI_DAY.format(day=f"{day:02}") for day in range(1, 32)),
            {},
        ),
    ],
)
def test_a_month_without_all_of_its_bills_is_not_closed(built: DuckDb, change: str, missing: dict[str, str]) -> None:
    for statement in change.split(";"):
        built.execute(statement)
    found = {finding.name: finding.problem for finding in examine(built, OCT, CLOSED, LATER) if not finding.is_warning}
    assert found.keys() == missing.keys()
    for name, problem in missing.items():
        assert problem in found[name]


def test_nothing_is_written_while_something_is_missing_unless_it_is_forced(built: DuckDb, seeds: Path) -> None:
    early = datetime(2026, 10, 31, 23, 59)
    outcome = close(built, OCT, seeds, by="jo", now=early)
    assert outcome.entry is None and names(iter(outcome.missing)) == ["month"]
    assert not ledger_file(seeds).exists()
    with pytest.raises(UserError, match="--reason"):
        close(built, OCT, seeds, force=True, now=early)
    close(built, OCT, seeds, by="jo", reason="the board\nmeets", force=True, now=early)
    (entry,) = read_ledger(ledger_file(seeds))
    assert entry.reason == "the board meets [missing: month]"


def test_a_month_is_over_in_utc_when_late_rows_had_a_day() -> None:
    end = datetime(2026, 11, 1)
    assert names(closing.month_over(OCT, end, datetime(2026, 10, 31, 23, 59, 59))) == ["month"]
    assert names(closing.month_over(OCT, end, end)) == ["look-back"]
    assert names(closing.month_over(OCT, end, datetime(2026, 11, 2))) == []


def test_an_api_must_have_been_asked_for_all_of_the_month_when_it_was_complete() -> None:
    def asked(start: datetime, end: datetime, after: timedelta = DAY) -> LoadedWindow:
        return LoadedWindow(Window(start, end), end + after, 10)

    def day(number: int, after: timedelta = DAY) -> LoadedWindow:
        return asked(datetime(2026, 9, number), datetime(2026, 9, number) + DAY, after)

    september = Window(datetime(2026, 9, 1), datetime(2026, 10, 1))
    month = [day(number) for number in range(1, 31)]
    assert names(closing.uncovered("portkey", "default", september, month, DAY)) == []
    (gap,) = closing.uncovered("portkey", "default", september, [*month[:9], *month[11:]], DAY)
    assert "2026-09-10 00:00 to 2026-09-12 00:00" in gap.problem
    assert gap.remedy == "Run `llm-spend load portkey --api --since 2026-09-10`."
    (end,) = closing.uncovered("portkey", "default", september, month[:-1], DAY)
    assert "2026-09-30 00:00 to 2026-10-01 00:00" in end.problem
    (early,) = closing.uncovered("portkey", "default", september, [day(30, timedelta(minutes=15)), *month[:-1]], DAY)
    assert early.name == "look-back"
    again = [*month[:-1], day(30, timedelta(minutes=15)), day(30)]
    assert names(closing.uncovered("portkey", "default", september, again, DAY)) == [], "it was asked for again"


def test_a_source_without_recent_usage_is_taken_for_gone() -> None:
    def load(last_event: datetime | None) -> Load:
        return Load("portkey", "old", datetime(2026, 10, 2), last_event)

    loads = [load(datetime(2026, 8, 31, 23)), load(None), load(datetime(2026, 9, 1))]
    assert closing.in_use(OCT, loads) == loads[2:]


def test_models_without_a_price_by_nature_are_matched_as_dbt_does() -> None:
    pairs = {("own-13b", "own-*"): True, ("a-own", "*own"): True, ("x", "*"): True, ("own", "own-*"): False}
    assert {pair: closing._matches(*pair) for pair in pairs} == pairs
    assert names(closing.unpriced(1, 1000, Decimal("0.001"))) == []
    assert names(closing.unpriced(0, 0, Decimal("0.001"))) == []


def test_only_the_last_closed_month_is_opened_again_and_nothing_is_erased(seeds: Path) -> None:
    file = ledger_file(seeds)
    for period in (SEP, OCT):
        add_entry(file, Entry(period, "close", LATER, "jo", ""))
    before = file.read_text()
    with pytest.raises(UserError, match="--reason"):
        reopen(OCT, seeds)
    with pytest.raises(UserError, match="Reopen 2026-10 first"):
        reopen(SEP, seeds, reason="wrong")
    with pytest.raises(UserError, match="2026-11 is not closed"):
        reopen(NOV, seeds, reason="wrong")
    reopen(OCT, seeds, by="al", reason='invoice "7", wrong', now=LATER - DAY)
    assert file.read_text() == before + '2026-10-01,reopen,2026-11-03 09:00:01,al,"invoice ""7"", wrong",UTC\n'
    assert closed_periods(read_ledger(file)) == {SEP}


def test_the_latest_entry_of_a_month_holds_in_whatever_order_they_stand() -> None:
    closed, opened = (Entry(OCT, action, LATER + n * DAY, "jo", "") for n, action in enumerate(("close", "reopen")))  # type: ignore[arg-type]
    assert closed_periods([closed, opened]) == closed_periods([opened, closed]) == set()
    again = next_entry([opened, closed], Entry(OCT, "close", LATER, "jo", ""))
    assert again.closed_at == LATER + DAY + timedelta(seconds=1)
    assert closed_periods([again, opened, closed]) == {OCT}


def test_a_line_is_added_in_the_order_of_the_columns_that_the_file_has(seeds: Path) -> None:
    file = seeds / "period_close.csv"
    file.write_text("reason,billing_period,closed_by,closed_at,action\nby hand,2026-09-01,al,2026-10-02 08:00:00,")
    assert ledger_file(seeds) == file
    add_entry(file, Entry(OCT, "close", LATER, "jo", ""))
    assert [entry.closed_by for entry in read_ledger(file)] == ["al", "jo"]
    packaged = next((closing.project_dir() / "seeds").rglob("period_close.csv"))
    assert read_seed(file, packaged).decode().splitlines()[1:] == [
        "2026-09-01,,2026-10-02 08:00:00,al,by hand,",
        "2026-10-01,close,2026-11-03 09:00:00,jo,,",
    ]


def test_a_ledger_without_time_zones_gets_the_column_with_the_first_month_of_another_zone(seeds: Path) -> None:
    file = seeds / "period_close.csv"
    before = HEADER.replace(",time_zone", "") + '2026-09-01,close,2026-10-02 08:00:00,al,"by hand, late"\n'
    file.write_text(before)
    add_entry(file, Entry(OCT, "close", LATER, "jo", ""))
    assert file.read_text() == before + "2026-10-01,close,2026-11-03 09:00:00,jo,\n"
    add_entry(file, Entry(NOV, "close", LATER, "jo", "", "Asia/Kolkata"))
    assert file.read_text().splitlines()[0] == HEADER.strip()
    zones = {entry.billing_period: (entry.time_zone, entry.reason) for entry in read_ledger(file)}
    assert zones == {SEP: ("UTC", "by hand, late"), OCT: ("UTC", ""), NOV: ("Asia/Kolkata", "")}


@pytest.mark.parametrize(
    ("zone", "start", "end"),
    [
        ("UTC", "2026-10-01 00:00", "2026-11-01 00:00"),
        ("Europe/Berlin", "2026-09-30 22:00", "2026-10-31 23:00"),
        ("America/New_York", "2026-10-01 04:00", "2026-11-01 04:00"),
        ("Asia/Kolkata", "2026-09-30 18:30", "2026-10-31 18:30"),
    ],
)
def test_a_month_is_over_when_it_is_in_its_zone_and_in_utc(
    built: DuckDb, seeds: Path, zone: str, start: str, end: str
) -> None:
    assert hours(OCT, zone, {}) == Window(datetime.fromisoformat(start), datetime.fromisoformat(end))
    over = max(datetime.fromisoformat(end), datetime(2026, 11, 1))
    assert "month" in names(examine(built, OCT, {}, over - timedelta(seconds=1), zone))
    assert names(examine(built, OCT, {}, over + DAY, zone)) == []
    outcome = close(built, OCT, seeds, by="jo", now=over + DAY, time_zone=zone)
    assert outcome.entry and outcome.entry.time_zone == zone
    opened = reopen(OCT, seeds, by="jo", reason="wrong", now=over + 2 * DAY)
    assert opened.entry and opened.entry.time_zone == zone
    assert names(examine(built, OCT, CLOSED, over + DAY, zone)) == ([] if zone == "UTC" else ["time-zone"])


def test_an_api_must_have_been_asked_for_the_hours_of_the_zone(built: DuckDb) -> None:
    window = """
        insert into llm_spend_internal.stg_loads__files
        select 'portkey', 'default', 'requests', day, day + interval 1 day, timestamp '2026-11-02 12:00:00', 9, '1'
        from range(timestamp '2026-10-01', timestamp '2026-11-01', interval 1 day) as days(day)
    """
    built.execute(window)
    assert names(examine(built, OCT, {}, LATER)) == []
    for zone, gap in (
        ("Europe/Berlin", "2026-09-30 22:00 to 2026-10-01"),
        ("America/New_York", "00:00 to 2026-11-01 04"),
    ):
        (found,) = examine(built, OCT, {}, LATER, zone)
        assert found.name == "windows" and gap in found.problem


def test_closed_months_keep_their_hours_in_another_zone() -> None:
    sep = Entry(SEP, "close", datetime(2026, 10, 3, 9), "jo", "", "Asia/Kolkata")
    nov = Entry(NOV, "close", datetime(2026, 12, 3, 9), "jo", "", "Europe/Berlin")
    ends = datetime(2026, 9, 30, 18, 30), datetime(2026, 10, 31, 23)
    assert hours(OCT, "America/New_York", {SEP: sep, NOV: nov}) == Window(*ends)
    # Closed after them, October takes what is left.
    assert hours(OCT, "UTC", {SEP: sep, NOV: nov, OCT: Entry(OCT, "close", datetime(2027, 1, 1), "jo", "")}) == Window(
        *ends
    )
    assert hours(NOV, "UTC", {NOV: nov}).end == datetime(2026, 11, 30, 23)


def test_a_day_begins_with_its_first_midnight_or_where_clocks_skip_it() -> None:
    # Havana's clocks go back to midnight, Beirut's forth at midnight, Lord Howe's by half an hour.
    assert midnight(date(2022, 11, 6), "America/Havana") == datetime(2022, 11, 6, 4)
    assert midnight(date(2022, 3, 27), "Asia/Beirut") == datetime(2022, 3, 26, 22)
    assert midnight(date(2026, 11, 1), "Australia/Lord_Howe") == datetime(2026, 10, 31, 13)


@pytest.mark.parametrize(
    "row",
    [
        "2026-13-01,close,2026-11-03,jo,,",
        "2026-10-02,close,2026-11-03,jo,,",
        "2026-10-01,shut,2026-11-03,jo,,",
        "2026-10-01,close,,jo,,",
        "2026-10-01,close,2026-11-03,jo,,Europe/Berln",
        "2026-10-01,close,2026-11-03,jo,",
    ],
)
def test_a_line_that_cannot_be_read_is_named(seeds: Path, row: str) -> None:
    file = seeds / "period_close.csv"
    file.write_text(f"{HEADER}{row}\n")
    with pytest.raises(UserError, match="line 2, can't be read"):
        read_ledger(file)


def test_a_time_written_with_a_zone_is_taken_as_utc(seeds: Path) -> None:
    file = seeds / "period_close.csv"
    rows = "2026-10-01,reopen,2026-11-03T10:30:00+02:00,al,,\n2026-10-01,close,2026-11-03T09:00:00Z,jo,,\n"
    file.write_text(f"{HEADER}2026-10-01,close,2026-11-03 08:00:00,jo,,\n{rows}")
    hours = [datetime(2026, 11, 3, 8), datetime(2026, 11, 3, 8, 30), datetime(2026, 11, 3, 9)]
    assert [entry.closed_at for entry in read_ledger(file)] == hours
    assert closed_periods(read_ledger(file)) == {OCT}


def test_the_command_says_what_is_missing_and_fails(built: DuckDb, seeds: Path) -> None:
    built.execute("insert into llm_spend_raw._dlt_loads values ('2.5', 0)")
    place = ["--database", str(built.database), "--seeds", str(seeds), "--destination", "duckdb"]
    run = CliRunner()
    refused = run.invoke(app, ["close", "2026-10", *place])
    assert refused.exit_code == 1
    assert "Run `llm-spend build`" in refused.output and "--force --reason" in refused.output
    forced = run.invoke(app, ["close", "2026-10", *place, "--force", "--reason", "known", "--by", "jo", "--json"])
    assert forced.exit_code == 0
    assert '"done": true' in forced.output and "known [missing: build]" in forced.output
    opened = run.invoke(app, ["close", "2026-10", *place, "--reopen", "--reason", "wrong"])
    assert opened.exit_code == 0 and "2026-10 is open again" in opened.output
