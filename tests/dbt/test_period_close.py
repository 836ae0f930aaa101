"""A closed month does not move: its lines, and its prices in the fact. What is learned later is booked after it."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llm_spend.build import dbt_variables, prepare_project
from llm_spend.close import close, reopen
from llm_spend.dbt_process import DbtProcess
from llm_spend.destinations import DuckDb
from llm_spend.load import load_logs
from llm_spend.sources import generic
from tests.conftest import query
from tests.dbt.price_project import PROJECT
from tests.few_prices import few_prices

pytestmark = pytest.mark.slow

MAPPING = generic.Mapping.model_validate(
    {
        "source": "InHouse",
        "columns": {"source_record_id": "id", "started_at": "ts", "input_tokens": "ctx", "output_tokens": "gen"},
        "defaults": {"provider": "openai", "raw_model": "gpt-4o"},
        "metadata": ["squad"],
    }
)
HEADER = "id,ts,ctx,gen,squad\n"
# At $10 a million: 14,000 of August and 10,000 of September are from the day on that the cut is about.
LOG = """before,2026-08-20 23:59:59,100000000,0,ads
after,2026-08-21 00:00:00,1400000000,0,ads
september,2026-09-30 23:59:59,1000000000,0,ads
october,2026-10-01 00:00:00,100000000,0,ads
"""
AUG, SEP, OCT, NOV = (date(2026, month, 1) for month in (8, 9, 10, 11))
ALL = ["+llm_chargeback_restatements", "+llm_chargeback_statements", "+llm_usage_by_team_daily"]
Rows = list[tuple[Any, ...]]


class Installation:
    """A DuckDB file with one log, whose seeds change from build to build."""

    zone = "UTC"
    models = ALL

    def __init__(self, folder: Path) -> None:
        self.seeds, self.destination = few_prices(folder / "seeds"), DuckDb(folder / "closed.duckdb")
        self._logs = folder / "logs"
        self._logs.mkdir()
        self.write(
            "attribution_rules",
            {"dimension": "team", "source_system": "InHouse", "metadata_key": "squad", "priority": "1"},
        )
        self.organise(("cc1", "2020-01-01", ""))
        platform = {"shared_cost_id": "gateway", "source": "amount", "provider": "portkey", "amount": "100"}
        self.write("shared_costs", platform | {"currency": "USD", "method": "even", "valid_from": "2026-08-01"})

    def load(self, rows: str) -> None:
        (self._logs / f"{len(list(self._logs.iterdir()))}.csv").write_text(HEADER + rows)
        load_logs("generic", str(self._logs), self.destination, mapping=MAPPING)

    def write(self, seed: str, *rows: dict[str, str]) -> None:
        """A seed with these rows alone."""
        (packaged,) = (PROJECT / "seeds").glob(f"*/{seed}.csv")
        header = packaged.read_text().split("\n", 1)[0].split(",")
        with (self.seeds / packaged.name).open("w", newline="") as file:
            writer = csv.DictWriter(file, header, restval="")
            writer.writeheader()
            writer.writerows(rows)

    def price(self, *spans: tuple[str, str, str]) -> None:
        """What a million input tokens cost: (USD, from, to)."""
        cell = {"provider": "openai", "channel": "openai", "model_id": "gpt-4o", "usage_unit": "input_tokens"}
        cell |= {"unit_size": "1000000", "currency": "USD", "service_tier": "standard", "reason": "ours"}
        prices = [
            cell | {"price_id": start, "unit_price": usd, "valid_from": start, "valid_to": end}
            for usd, start, end in spans
        ]
        self.write("price_overrides", *prices)

    def organise(self, *spans: tuple[str, str, str]) -> None:
        """The cost centre of the team: (id, from, to)."""
        team = {"team_id": "ads", "team_name": "Ads"}
        teams = [team | {"cost_center_id": cc, "valid_from": start, "valid_to": end} for cc, start, end in spans]
        self.write("org_teams", *teams)

    def close(self, period: date, at: str) -> None:
        now = datetime.fromisoformat(at)
        outcome = close(
            self.destination, period, self.seeds, by="jo", reason="books", force=True, time_zone=self.zone, now=now
        )
        assert outcome.entry

    def build(self, *, full_refresh: bool = False, test: bool = False) -> None:
        """What statements are made of; by dbt, since our build would make all tables."""
        project = prepare_project(self.destination.work_dir, self.seeds)
        arguments = ["build", "--project-dir", str(project), "--profiles-dir", str(project)]
        arguments += ["--vars", dbt_variables(self.destination, self.zone)]
        arguments += [
            "--select",
            *self.models,
            "--indirect-selection",
            "cautious",
            "--exclude-resource-type",
            "unit_test",
        ]
        arguments += [] if test else ["test"]
        arguments += ["--full-refresh"] if full_refresh else []
        with DbtProcess("duckdb") as process:
            results = process.run(arguments, project, self.destination.dbt_environment(), lambda *_: None)
            process.end()
        # The months are closed at times that are long ago when this runs.
        told = [result for result in results if "warn_months_frozen_late" not in result["unique_id"]]
        assert [result for result in told if result["status"] not in ("success", "pass")] == []

    def rows(self, sql: str) -> Rows:
        return query(self.destination.database, sql)

    def closed(self) -> Rows:
        """The lines that must never move, whole."""
        return self.rows("select * from llm_spend.llm_chargeback_lines where is_closed order by line_id")

    def facts(self) -> Rows:
        """All that the fact says of August and September, but for its bookkeeping."""
        return self.rows(
            """
            select * exclude (date_version) from llm_spend.fct_llm_requests
            where usage_date < '2026-10-01' order by all
            """
        )

    def restated(self) -> Rows:
        """Booked in, of, why, cost centre, amount."""
        return self.rows(
            """
            select billing_period, original_period, restatement_reason, cost_center_id, amount_usd
            from llm_spend.llm_chargeback_lines where line_type = 'restatement' order by all
            """
        )

    def bills(self) -> dict[date, tuple[Decimal, Decimal]]:
        """As reported and as restated, by closed month."""
        found = self.rows(
            """
            select original_period, sum(cost_as_reported_usd), sum(cost_as_restated_usd)
            from llm_spend.llm_chargeback_restatements group by 1
            """
        )
        return {month: (reported, restated) for month, reported, restated in found}


def test_c32_c33_closed_months_do_not_move_and_what_is_learned_later_is_restated(tmp_path: Path) -> None:
    books = Installation(tmp_path)
    books.load(LOG)
    books.price(("10", "2026-01-01", ""))
    books.close(AUG, "2026-09-05 09:00:00")
    books.close(SEP, "2026-10-04 09:00:00")
    books.build()
    closed, facts = books.closed(), books.facts()
    assert books.bills() == {AUG: (15_100, 15_100), SEP: (10_100, 10_100)}
    assert books.restated() == []

    # C32, C33: a cut is learned that holds since 21 August.
    cut = ("10", "2026-01-01", "2026-08-21"), ("9.5", "2026-08-21", "")
    books.price(*cut)
    books.build()
    assert (books.closed(), books.facts()) == (closed, facts), "not a byte of closed months"
    corrections = [(OCT, AUG, "price_correction", "cc1", -700), (OCT, SEP, "price_correction", "cc1", -500)]
    assert books.restated() == corrections
    assert books.bills() == {AUG: (15_100, 14_400), SEP: (10_100, 9_600)}
    own = "select sum(amount_usd) from llm_spend.llm_chargeback_lines where line_type = 'direct' and not is_closed"
    assert books.rows(own) == [(950,)], "the open month has today's price"
    total = "select direct_usd, shared_usd, restatement_usd, total_usd from llm_spend.llm_chargeback_statements"
    assert books.rows(f"{total} where not is_closed") == [(950, 100, -1200, -150)]

    # October is closed with what it had to say of the months before; then nothing is left to say.
    books.close(OCT, "2026-11-04 09:00:00")
    books.build()
    assert books.closed()[: len(closed)] == closed
    assert books.restated() == corrections
    closed = books.closed()

    # Late data and a re-organisation, both of closed months; and everything is made anew.
    books.load("late,2026-08-02 10:00:00,1000000,0,ads\n")
    books.organise(("cc1", "2020-01-01", "2026-09-01"), ("cc2", "2026-09-01", ""))
    books.build(full_refresh=True, test=True)
    assert books.closed() == closed
    late = (NOV, AUG, "late_data", "cc1", Decimal("10"))
    moved = [(NOV, SEP, "price_correction", "cc1", 500), (NOV, SEP, "price_correction", "cc2", -500)]
    moved += [(NOV, SEP, "reattribution", "cc1", -10_000), (NOV, SEP, "reattribution", "cc2", 10_000)]
    moved += [(NOV, SEP, "shared_correction", "cc1", -100), (NOV, SEP, "shared_correction", "cc2", 100)]
    moved += [(NOV, OCT, "reattribution", "cc1", -950), (NOV, OCT, "reattribution", "cc2", 950)]
    moved += [(NOV, OCT, "shared_correction", "cc1", -100), (NOV, OCT, "shared_correction", "cc2", 100)]
    assert books.restated() == [*corrections, late, *moved]
    assert books.bills() == {AUG: (15_100, 14_410), SEP: (10_100, 9_600), OCT: (1_050, 1_050)}

    # Opened again, October has today's owners, and books for the months before it what is known now.
    reopen(OCT, books.seeds, by="jo", reason="too early")
    books.price(("8", "2026-01-01", ""))
    books.build(test=True)
    assert books.closed() == closed[:4]
    assert books.rows(own) == [(800,)], "today's price, and one owner"
    restated = dict.fromkeys([(AUG, "late_data"), (AUG, "price_correction"), (SEP, "price_correction")], Decimal(0))
    for booked_in, of, why, _, usd in books.restated():
        assert booked_in == OCT
        restated[of, why] = restated.get((of, why), Decimal(0)) + usd
    assert restated[AUG, "late_data"] == 10 and restated[AUG, "price_correction"] == -3002
    assert restated[SEP, "price_correction"] == -2000 and restated[SEP, "reattribution"] == 0
    check_versions_of_closed_dates(books)
    check_arithmetic(compiled(books.destination, "llm_chargeback_lines"))


def compiled(destination: DuckDb, model: str) -> str:
    (file,) = destination.work_dir.glob(f"dbt_project/target/compiled/llm_spend/models/**/{model}.sql")
    return file.read_text()


def check_versions_of_closed_dates(books: Installation) -> None:
    """Closed dates are built again for what their kept prices don't hold: names and allowances, but not a price."""
    basis = f"select basis_id, closed_basis_id from ({compiled(books.destination, 'int_basis')})"
    versions = f"select usage_date from ({compiled(books.destination, 'int_usage_dates')}) order by 1"
    closed = [date(2026, 8, 2), date(2026, 8, 20), date(2026, 8, 21), date(2026, 9, 30)]
    seeds = {
        "update llm_spend_seeds.price_overrides set unit_price = '7'": False,
        "insert into llm_spend_seeds.free_allowances (channel, quantity) values ('openai', '5')": True,
    }
    dates = {
        "update llm_spend_internal.int_basis set basis_id = 'another'": [date(2026, 10, 1)],
        "update llm_spend_internal.int_basis set closed_basis_id = 'another'": closed,
        "update llm_spend_internal.int_model_resolution set model_id = 'another'": closed,
        "update llm_spend_internal.int_model_resolution set model_id = null": closed,
    }
    with duckdb.connect(str(books.destination.database)) as database:
        assert database.execute(versions).fetchall() == []
        (before,) = database.execute(basis).fetchall()
        for change, is_of_closed in seeds.items():
            database.begin()
            database.execute(change)
            (after,) = database.execute(basis).fetchall()
            database.rollback()
            assert [one != other for one, other in zip(before, after, strict=True)] == [True, is_of_closed], change
        for change, expected in dates.items():
            database.begin()
            database.execute(change)
            found = [day for (day,) in database.execute(versions).fetchall()]
            database.rollback()
            assert found == expected, change


def check_arithmetic(sql: str) -> None:
    """The model on random months, closed one after the other: what was published and what is restated add up.

    It is asked without dbt, so that a thousand months cost what one build does.
    """
    for seed in range(8):
        chance = random.Random(seed)
        with duckdb.connect(":memory:") as books:
            books.execute("attach ':memory:' as closed; use closed; create schema llm_spend_internal")
            books.execute(TABLES)
            usage = {month: dict(_usage(chance)) for month in (AUG, SEP, OCT)}
            for number, closing in enumerate((AUG, SEP, OCT), start=1):
                _know(books, usage)
                lines = books.execute(sql).to_arrow_table()  # noqa: F841, DuckDB finds it by its name
                books.execute(f"insert into llm_spend_internal.int_closed_periods select {_closed(closing)}")
                books.execute(
                    f"""
                    insert into llm_spend_internal.int_closed_chargeback_lines by name
                    select * exclude (currency, is_closed, has_unpriced_usage, allocation_method),
                        timestamp '2026-12-0{number}' as closed_at, quantity_tokens as attempts
                    from lines where billing_period = '{closing}'
                    """
                )
                for month in usage:
                    usage[month] = dict(_changed(chance, usage[month]))
                _know(books, usage)
                _check(books, sql, usage, [AUG, SEP, OCT][:number])


TABLES = """
create table llm_spend_internal.int_closed_periods (billing_period date, closed_at timestamp);
create table llm_spend_internal.int_chargeback_lines (
    billing_period date, line_id varchar, line_type varchar, cost_center_id varchar, team_id varchar, provider varchar,
    model_id varchar, attempts bigint, quantity_tokens bigint, exact_cost_usd decimal(38, 12),
    amount_usd decimal(38, 2), cost_basis varchar, unpriced_tokens bigint, unpriced_requests bigint,
    restated_cost_usd decimal(38, 12), restated_unpriced_tokens bigint, restated_unpriced_requests bigint,
    has_unknown_share boolean
);
create table llm_spend_internal.int_closed_chargeback_lines as
select
    * exclude (restated_cost_usd, restated_unpriced_tokens, restated_unpriced_requests),
    null::timestamp as closed_at, null::date as original_period, null::varchar as restatement_reason
from llm_spend_internal.int_chargeback_lines;
"""
METHODS = {"own_usage": "direct", "bill_by_day": "true_up", "bill_by_month": "true_up", "even": "shared"}
"""And the type of their lines."""
Key = tuple[str, str, str]
"""Team, model, allocation method."""
Usage = tuple[int, Decimal | None, Decimal | None]
"""Tokens, their cost at the prices of the closing and at today's."""


def _closed(month: date) -> str:
    return f"date '{month}', timestamp '2026-12-0{month.month - 7}'"


def _usage(chance: random.Random) -> Iterator[tuple[Key, Usage]]:
    for key in product("abcd", "xy", METHODS):
        if key[2] != "own_usage" and chance.random() < 0.3:
            billed = Decimal(chance.randrange(-(10**12), 10**13)).scaleb(-12)
            yield key, (0, billed, billed)
        elif key[2] == "own_usage" and chance.random() < 0.7:
            cost = chance.choice([None, Decimal(chance.randrange(10**13)).scaleb(-12)])
            yield key, (chance.randrange(1, 1000), cost, cost)


def _changed(chance: random.Random, usage: dict[Key, Usage]) -> Iterator[tuple[Key, Usage]]:
    for key, (tokens, cost, restated) in usage.items():
        match chance.randrange(6):
            case 0 | 1 if key[2] != "own_usage":
                billed = Decimal(chance.randrange(10**13)).scaleb(-12)
                yield key, (0, billed, billed)
            case 0:
                yield key, (tokens + 5, (cost or 0) + Decimal("0.013333333333"), (restated or 0) + Decimal("0.01"))
            case 1:
                yield key, (tokens, cost, Decimal(chance.randrange(10**13)).scaleb(-12))
            case 2:
                yield (f"{key[0]}2", *key[1:]), (tokens, cost, restated)
            case 3 if chance.random() < 0.5:
                pass  # it vanished
            case _:
                yield key, (tokens, cost, restated)


def _know(books: duckdb.DuckDBPyConnection, usage: dict[date, dict[Key, Usage]]) -> None:
    """What int_chargeback_lines says; an open month costs what it does at today's prices."""
    closed = {
        month
        for (month,) in books.execute("from llm_spend_internal.int_closed_periods select billing_period").fetchall()
    }
    books.execute("delete from llm_spend_internal.int_chargeback_lines")
    for month, lines in usage.items():
        exact = {key: cost if month in closed else restated for key, (_, cost, restated) in lines.items()}
        for key, cents in _cents(exact).items():
            tokens, _, restated = lines[key]
            team, model, method = key
            line_type = METHODS[method]
            line_id = f"{month}|openai|cc|{team}|{model}" + ("" if line_type == "direct" else f"|{line_type}|{method}")
            values = [month, line_id, line_type, "cc", team, "openai", model, tokens, tokens, exact[key]]
            values += [cents, "list", 0 if exact[key] is not None else tokens, int(exact[key] is None), restated]
            values += [0 if restated is not None else tokens, int(restated is None), False]
            books.execute(f"insert into llm_spend_internal.int_chargeback_lines values ({', '.join('?' * 18)})", values)


def _cents(exact: dict[Key, Decimal | None]) -> dict[Key, Decimal | None]:
    """Each line rounded down, the cents that are left to the first ones: any way will do that adds up."""
    cent = Decimal("0.01")
    found = {key: usd.quantize(cent, ROUND_FLOOR) if usd is not None else None for key, usd in exact.items()}
    left = _rounded(exact.values()) - sum(usd for usd in found.values() if usd is not None)
    for key in sorted(key for key, usd in exact.items() if usd is not None and usd % cent):
        if left > 0:
            found[key], left = (found[key] or Decimal(0)) + cent, left - cent
    return found


def _rounded(amounts: Sequence[Decimal | None] | Any) -> Decimal:
    return sum((usd for usd in amounts if usd is not None), Decimal(0)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def _check(
    books: duckdb.DuckDBPyConnection, sql: str, usage: dict[date, dict[Key, Usage]], closed: Sequence[date]
) -> None:
    lines = books.execute(f"create or replace temp table lines as {sql}; from lines").fetchall()
    assert len({line[1] for line in lines}) == len(lines), "line_id is a key"
    for month in closed:
        total = (
            f"select coalesce(sum(amount_usd), 0), sum(quantity_tokens) from lines where original_period = '{month}'"
        )
        expected = (
            _rounded(restated for _, _, restated in usage[month].values()),
            sum(t for t, _, _ in usage[month].values()),
        )
        assert books.execute(total).fetchone() == expected
    far = (
        "from lines where abs(amount_usd - exact_cost_usd) >= 0.01 or (amount_usd is null) <> (exact_cost_usd is null)"
    )
    assert books.execute(far).fetchall() == []
    booked = "select distinct billing_period from lines where line_type = 'restatement' and not is_closed"
    assert {month for (month,) in books.execute(booked).fetchall()} <= {date(2026, closed[-1].month + 1, 1)}
    nothing = "from lines where restatement_reason is not null and exact_cost_usd = 0 and quantity_tokens = 0"
    assert books.execute(f"{nothing} and unpriced_requests = 0").fetchall() == []
