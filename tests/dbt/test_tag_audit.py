"""The audit and the coverage of tags: exact cases over made-up requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import orjson
import pytest

from llm_spend.destinations import DuckDb
from tests.conftest import Demo
from tests.dbt.compiled import compiled_sql, known_sources, seed_table

pytestmark = pytest.mark.slow

MODELS = (
    "stg_mapping__tag_registry",
    "llm_usage_by_tag_daily",
    "int_tags_daily",
    "int_tag_likenesses",
    "llm_tag_coverage",
    "llm_tag_audit",
)
CHECKS = ("assert_tag_registry_makes_sense", "assert_tag_coverage_adds_up")
REGISTRY = "tag_key,meaning,owner,allowed_values,pattern,required_in,since,retired,replaced_by\n"
NOBODY = "(unallocated)"
OWNERS = ("user", "team", "feature", "customer", "environment")
RULES = {"user": "user", "team": "team", "team_id": "team", "feature": "feature", "customer_id": "customer"}
RULES |= {"environment": "environment"}
LAST = date(2026, 10, 31)


@dataclass
class Calls:
    """So many calls of a day with the same tags."""

    tags: Mapping[str, str]
    count: int = 1
    on: date = LAST
    cost: str | None = "1"
    source: str = "portkey"
    team: str | None = None
    is_final: bool = True

    def rows(self) -> Iterable[tuple[Any, ...]]:
        # As the fact would have it: the first key of an owner that has a value names it.
        named = {owner: tag for key, owner in RULES.items() if (tag := self.tags.get(key))}
        team = self.team or named.get("team", NOBODY)
        found = ["tag" if owner in named else "missing" for owner in OWNERS]
        metadata = orjson.dumps(dict(self.tags)).decode()
        for _ in range(self.count):
            place = (self.on, self.source, team, named.get("environment", NOBODY))
            yield (*place, self.is_final, self.cost, metadata, *found)


@dataclass
class Audit:
    """The models of tags over made-up requests and a registry."""

    sql: Mapping[str, str]
    calls: Iterable[Calls] = ()
    registry: str = ""
    connection: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)

    def __post_init__(self) -> None:
        seed_table(self.connection, "tag_registry", REGISTRY + self.registry)
        self._make(MODELS[:1])
        rules = "".join(f"{owner},*,{key},1\n" for key, owner in RULES.items())
        if not self.calls:
            return
        heading = "dimension,source_system,metadata_key,priority\n"
        seed_table(self.connection, "stg_mapping__attribution_rules", heading + rules)
        owners = ", ".join(f"{owner}_attribution varchar" for owner in OWNERS)
        self.connection.execute(
            f"""
            create table calls (
                usage_date date, source_system varchar, team_id varchar, environment varchar, is_final_attempt boolean,
                cost_usd decimal(38, 12), metadata varchar, {owners}
            )
            """
        )
        rows = [row for each in self.calls for row in each.rows()]
        self.connection.executemany(f"insert into calls values ({', '.join('?' * len(rows[0]))})", rows)
        self.connection.execute(
            """
            create table fct_llm_requests as select
                * replace (cast(metadata as json) as metadata), true as is_of_record, 'success' as status,
                false as is_gateway_cache_hit, 6 as input_tokens, 4 as output_tokens, 0 as cache_read_tokens,
                10 as total_tokens, cast(null as decimal(38, 12)) as gateway_reported_usd,
                cast(null as decimal(18, 6)) as feedback_score, cast(usage_date as timestamp) as started_at
            from calls;
            create table int_usage_dates as select distinct usage_date, 'v' as date_version from calls;
            create view llm_usage_by_team_daily as select
                usage_date, count(*) filter (is_final_attempt) as requests, sum(cost_usd) as cost_usd,
                count(*) - count(cost_usd) as unpriced_requests
            from fct_llm_requests group by all
            """
        )
        self.connection.execute(
            known_sources("select usage_date, usage_date + interval 1 day as last_loaded_at from calls")
        )
        self._make(MODELS[1:])

    def _make(self, models: Iterable[str]) -> None:
        for model in models:
            self.connection.execute(f"create table {model} as {self.sql[model]}")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def found(self, columns: str = "finding, tag_key, tag_value, similar_to, attempts") -> list[tuple[Any, ...]]:
        return self.rows(f"select {columns} from llm_tag_audit order by all")

    def check(self, name: str) -> list[tuple[Any, ...]]:
        return self.rows(self.sql[name])


@pytest.fixture(scope="module")
def sql(demo: Demo) -> dict[str, str]:
    """The compiled query of every model and data test of tags."""
    target = DuckDb(demo.database).work_dir / "dbt_project" / "target"
    return {name: compiled_sql(target, name) for name in (*MODELS, *CHECKS)}


def test_every_finding(sql: dict[str, str]) -> None:
    audit = Audit(
        sql,
        [
            Calls({"team": "search", "colour": "red"}, 3),
            Calls({"teem": "search", "Colour-Code": "1"}, 2, team="search"),
            Calls({"team": "serach", "plan": "premium"}),
            Calls({"team": "search", "squad": "search"}, on=date(2026, 9, 30)),
            Calls({"team": "search", "squad": "search"}, 4, on=date(2026, 10, 1)),
            Calls({"team": "search", "note": "x" * 128, "tfy_gateway_region": "eu"}),
            Calls({"team": "search", "city": "Berlin"}, 20),
            Calls({"team": "search", "city": "berlin "}, 2),
        ],
        "team,,finops,search|growth,,portkey,2026-10-02,,\n"
        "squad,,,,,,,2026-10-01,team\n"
        "plan,,,,^(free|pro)$,,,,\n"
        "city,,,,,,,,\n"
        "note,,,,,,,,\n"
        "project,,,,,,2026-01-01,,\n"
        "later,,,,,,2026-10-20,,\n",
    )
    assert audit.found() == [
        ("bad_key", "Colour-Code", "(all)", None, 2),
        ("bad_value", "plan", "premium", None, 1),
        ("bad_value", "team", "serach", "search", 1),
        ("missing_required", "team", "(all)", None, 2),
        ("misspelt", "teem", "(all)", "team", 2),
        ("near_duplicate_value", "city", "berlin ", "Berlin", 2),
        ("retired", "squad", "(all)", "team", 4),
        ("stale", "project", "(all)", None, 0),
        ("truncated", "note", "(all)", None, 1),
        ("unregistered", "colour", "(all)", None, 3),
    ]
    assert audit.rows("select owner, explanation, what_to_do from llm_tag_audit where finding = 'bad_value'") == [
        (None, "`plan` may not be `premium`.", "Correct it in the code that sends it, or allow it in the registry."),
        (
            "finops",
            "`team` may not be `serach`, which is nearly `search`.",
            "Correct it in the code that sends it, or allow it in the registry.",
        ),
    ]
    assert audit.check("assert_tag_coverage_adds_up") == []


def test_without_a_registry_nothing_is_asked_of_keys(sql: dict[str, str]) -> None:
    calls = [
        Calls({"team": "search", "colour": "red", "CamelCase": "x"}, 10),
        Calls({"team": "serach", "tema": "search", "note": "x" * 200}),
    ]
    assert Audit(sql, calls).found() == [
        ("misspelt", "tema", "(all)", "team", 1),
        ("near_duplicate_value", "team", "serach", "search", 1),
        ("truncated", "note", "(all)", None, 1),
    ]


def test_when_two_names_are_nearly_equal(sql: dict[str, str]) -> None:
    pairs = {
        "one": ("serach", "search", True),  # two letters changed places
        "two": ("plattform", "platform", True),  # one too many
        "three": ("platorm", "platform", True),  # one too few
        "four": ("platfarm", "platform", True),  # another one
        "five": ("Support_EMEA", "support-emea", True),
        "team": ("growth-team", "growth", True),  # the word of the key behind
        "team_id": ("team growth", "growth", True),  # or in front
        "six": ("support-amer", "support-emea", False),
        "seven": ("prod", "prof", False),  # too short to tell
        "eight": ("cust-0001", "cust-0002", False),  # numbers are not misspelt
        "nine": ("semantic-search", "search", False),
    }
    calls = [Calls({key: like}, 10) for key, (_, like, _) in pairs.items()]
    calls += [Calls({key: value}) for key, (value, _, _) in pairs.items()]
    expected = [
        ("near_duplicate_value", key, value, like, 1) for key, (value, like, is_like) in pairs.items() if is_like
    ]
    assert Audit(sql, calls).found() == sorted(expected)


def test_of_names_in_use_the_rare_one_is_the_slip(sql: dict[str, str]) -> None:
    # Nobody can tell which of both is meant, unless they are written the same but for case and hyphens.
    assert Audit(sql, [Calls({"team": "growth"}, 10), Calls({"team": "grownth"}, 2)]).found() == []
    assert Audit(sql, [Calls({"team": "Growth"}, 2), Calls({"team": "growth"}, 2)]).found() == [
        ("near_duplicate_value", "team", "growth", "Growth", 2)
    ]
    # Users are compared without case where owners are found.
    assert Audit(sql, [Calls({"user": "ana@x.y"}, 10), Calls({"user": "ANA@x.y"})]).found() == []


def test_a_required_key_may_be_said_by_another_key_of_its_owner(sql: dict[str, str]) -> None:
    calls = [
        Calls({"team_id": "search", "environment": "prod"}, 5),
        Calls({"environment": "prod", "team": ""}, 2, team="search", cost=None),
        Calls({"environment": "dev"}, 3, team="growth", is_final=False),
        Calls({"environment": "prod"}, 7, source="litellm", team="growth"),
    ]
    columns = "source_system, team_id, attempts, requests, cost_usd, unpriced_requests, unpriced_tokens, share_ratio"

    def missing(scope: str) -> list[tuple[Any, ...]]:
        audit = Audit(sql, calls, f"team,,,,,{scope},,,\nteam_id,,,,,,,,\nenvironment,,,,,,,,\n")
        return audit.rows(f"select {columns} from llm_tag_audit where finding = 'missing_required' order by all")

    search = ("portkey", "search", 2, 2, None, 2, 20, Decimal("0.285714"))
    growth = ("portkey", "growth", 3, 0, Decimal(3), 0, 0, None)
    through_litellm = ("litellm", "growth", 7, 7, Decimal(7), 0, 0, Decimal(1))
    assert missing("*") == [through_litellm, growth, search]
    assert missing("portkey") == [growth, search]
    assert missing("team:search|litellm") == [through_litellm, search]
    assert missing("environment:dev") == [growth]
    assert missing("team:nobody") == []


def test_a_key_that_names_no_owner_must_be_there_itself(sql: dict[str, str]) -> None:
    audit = Audit(
        sql,
        [Calls({"team": "search", "plan": "pro"}, 3), Calls({"team": "search", "tier": "pro"}, 2)],
        "plan,,,,,*,,,\ntier,,,,,,,,plan\nteam,,,,,,,,\n",
    )
    assert audit.found() == [("missing_required", "plan", "(all)", None, 2)]


def test_the_audit_looks_back_and_stale_keys_do_not_hide(sql: dict[str, str]) -> None:
    calls = [Calls({"team": "search"})]
    calls += [Calls({"old": "x"}, on=LAST - timedelta(days=back)) for back in (90, 89)]
    audit = Audit(sql, calls, "team,,,,,,,,\nproject,,,,,,,,\n")
    columns = "finding, tag_key, attempts, first_seen_on, last_seen_on"
    assert audit.found(columns) == [
        ("stale", "project", 0, None, None),
        ("unregistered", "old", 1, LAST - timedelta(days=89), LAST - timedelta(days=89)),
    ]
    registered = Audit(sql, calls, "team,,,,,,,,\nold,,,,,,,,\n")
    assert registered.found(columns) == [("stale", "old", 0, LAST - timedelta(days=89), LAST - timedelta(days=89))]
    assert registered.found("explanation") == [("No request has had the key `old` since 2026-08-03.",)]


def test_keys_with_many_values_are_kept_small_and_still_judged(sql: dict[str, str]) -> None:
    calls = [Calls({"team": "search", "customer_id": f"cust-{number:04}"}) for number in range(100)]
    calls += [Calls({"team": "search", "customer_id": "acme"})]
    registry = "team,,,,,,,,\ncustomer_id,,,,^cust-[0-9]{4}$,,,,\n"
    audit = Audit(sql, calls, registry)
    assert audit.rows("select tag_value, attempts from int_tags_daily where tag_key = 'customer_id'") == [
        ("(too many values)", 101)
    ]
    columns = "finding, tag_value, source_system, team_id, attempts, share_ratio"
    assert audit.found(columns) == [("bad_value", "acme", "(all)", "(all)", 1, Decimal("0.009901"))]
    few = Audit(sql, calls[1:], registry)
    assert few.found(columns) == [("bad_value", "acme", "portkey", "search", 1, Decimal("0.010000"))]


def test_a_key_is_not_missing_where_so_many_others_are_that_nobody_knows(sql: dict[str, str]) -> None:
    ids = [Calls({f"id{number:03}": "x", "team": "search"}, 2, on=LAST) for number in range(200)]
    # On the day before all keys are kept.
    calls = [*ids, *[Calls({"team": "search", "plan": "pro"}, on=LAST - timedelta(days=back)) for back in (0, 1)]]
    calls += [Calls({"team": "search"}, 3, on=LAST - timedelta(days=1))]
    audit = Audit(sql, calls, "team,,,,,,,,\nplan,,,,,*,,,\nnever,,,,,*,,,\n")
    columns = "tag_key, attempts, first_seen_on, last_seen_on"
    before = LAST - timedelta(days=1)
    # What nobody sent is missing all the same.
    assert audit.rows(f"select {columns} from llm_tag_audit where finding = 'missing_required' order by all") == [
        ("never", 405, before, LAST),
        ("plan", 3, before, before),
    ]


@pytest.mark.parametrize("values", [51, 101])
def test_more_values_than_are_shown_are_found_whatever_the_limit(sql: dict[str, str], values: int) -> None:
    shown = sql["llm_usage_by_tag_daily"]
    assert shown.count("values_of_key > 1000") == 1
    limited = {**sql, "llm_usage_by_tag_daily": shown.replace("values_of_key > 1000", "values_of_key > 50")}
    calls = [Calls({"session": f"s{number}"}) for number in range(values)]
    assert Audit(limited, calls).found() == [("high_cardinality", "session", "(all)", None, values)]


def test_severity_is_by_the_share_of_all_requests(sql: dict[str, str]) -> None:
    calls = [Calls({"team": "search"}, 1000), Calls({"team": "search", "rare": "x"}, 4)]
    calls += [Calls({"team": "search", "some": "x"}, 10), Calls({"team": "growth", "many": "x"}, 60)]
    audit = Audit(sql, calls, "team,,,,,,,,\n")
    assert audit.found("tag_key, severity") == [("many", "high"), ("rare", "low"), ("some", "medium")]


def test_coverage_adds_up_over_teams_and_knows_what_it_does_not_know(sql: dict[str, str]) -> None:
    audit = Audit(
        sql,
        [
            Calls({"team": "search", "plan": "pro"}, 3),
            Calls({"team_id": "search"}, 1, cost="2"),
            Calls({"plan": "pro"}, 2, team="growth", cost=None),
            Calls({"plan": ""}, 4, cost="0.5"),
            Calls({"team": "search", "plan": "{}"}, 1, on=date(2026, 9, 30)),
        ],
        "plan,Which plan,sales,,,,,,\nnever,,,,,,2026-10-15,,\n",
    )
    columns = """
        team_id, requests, requests_with_tag, request_coverage_ratio, cost_usd, cost_with_tag_usd, cost_coverage_ratio,
        unpriced_requests_with_tag
    """
    of_october = "from llm_tag_coverage where billing_period = '2026-10-01' and tag_key"
    assert audit.rows(f"select {columns} {of_october} = 'plan' order by team_id") == [
        (NOBODY, 4, 0, 0, 2, 0, 0, 0),
        ("growth", 2, 2, 1, None, None, None, 2),
        ("search", 4, 3, Decimal("0.75"), 5, 3, Decimal("0.6"), 0),
    ]
    assert audit.rows(f"select team_id, requests_with_tag, cost_with_tag_usd {of_october} = '(team)' order by all") == [
        (NOBODY, 0, 0),
        ("growth", 0, 0),
        ("search", 4, 5),
    ]
    assert audit.rows(f"select distinct tag_meaning, tag_owner, is_registered, is_owner {of_october} = 'plan'") == [
        ("Which plan", "sales", True, False)
    ]
    # Nobody sent it, and it was not registered in September; a document is no tag.
    months = "select distinct strftime(billing_period, '%m') from llm_tag_coverage where tag_key = "
    assert audit.rows(f"{months} 'never'") == [("10",)]
    assert audit.rows("select max(requests_with_tag) from llm_tag_coverage where tag_key = 'never'") == [(0,)]
    assert audit.rows("select count(*) from llm_tag_coverage where requests_with_tag > requests") == [(0,)]
    assert audit.check("assert_tag_coverage_adds_up") == []
    audit.connection.execute("update llm_tag_coverage set requests = requests + 1 where team_id = 'growth'")
    assert audit.check("assert_tag_coverage_adds_up") != []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (",,,,,,,,", "tag_key is empty"),
        ("(team),,,,,,,,", "tag_key begins with a bracket, as names do that stand for requests"),
        ("a,,,x||y,,,,,", "allowed_values has an empty value: write them as a|b|c"),
        ("a,,,,,team:|x,,,", "required_in is not *, a source system, team:NAME or environment:NAME, with | between"),
        ("a,,,,,,soon,,", "since is no day, written as YYYY-MM-DD"),
        ("a,,,,,,,2026-02-30,", "retired is no day, written as YYYY-MM-DD"),
        ("a,,,,,,2026-02-01,2026-02-01,", "retired is not after since: the row never holds"),
        ("a,,,,[a-z,,,,", "pattern has a backslash, a bracket that is not closed, or nothing before * + ?"),
        (r"a,,,,^\d+$,,,,", "pattern has a backslash, a bracket that is not closed, or nothing before * + ?"),
        ("a,,,,(?:x),,,,", "pattern has a backslash, a bracket that is not closed, or nothing before * + ?"),
        ("a,,,,,,,,b", "replaced_by is not in the registry"),
        ("a,,,,,,,,a", "replaced_by is the key itself"),
        ("a,,,,,,,,\na,,,,,,,,", "it is there more than once"),
        ("a,,,,,,,,b\nb,,,,,,,,c\nc,,,,,,,,", "the key that replaces it is replaced itself"),
    ],
)
def test_a_registry_that_cannot_be_meant_says_why(sql: dict[str, str], row: str, problem: str) -> None:
    assert problem in {found[-1] for found in Audit(sql, registry=row + "\n").check(CHECKS[0])}


def test_a_registry_that_can_be_meant_is_fine(sql: dict[str, str]) -> None:
    rows = [
        'a,"What, it says",me, x | y ,,* | team:data science|environment:prod|portkey,2026-01-01,2026-02-01,b',
        "b,,,,^(cust|org)-[0-9]{4}[.]?x*$,,,,",
    ]
    audit = Audit(sql, registry="\n".join(rows) + "\n")
    assert audit.check(CHECKS[0]) == []
    assert audit.rows("select allowed_values, required_in from stg_mapping__tag_registry where tag_key = 'a'") == [
        ("x|y", "*|team:data science|environment:prod|portkey")
    ]
