"""Rule files of TrueFoundry: what is kept, what is refused and where, how a re-import dates it."""

import csv
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from llm_spend.cli import app
from llm_spend.rules import (
    Condition,
    QuotaRule,
    RuleFile,
    RuleFileError,
    SeedError,
    check,
    import_,
    read_rules,
    write_seed,
)
from llm_spend.rules.limits import limit_rows

# As published in TrueFoundry's article on usage analytics.
ARTICLE = """\
name: ratelimiting-config
type: gateway-rate-limiting-config
rules:
  - id: "rule-id"
    when:
      subjects: ["team:frontend"] # or ["user:email"] or ["virtualaccount:name"]
    limit_to: 5000
    unit: requests_per_day
"""

EVERYTHING = """\
name: limits
type: gateway-rate-limiting-config
rules:
  - id: several
    when:
      subjects: ["user: Bob@X.io ", "team:frontend", "virtual-account:va-1", "virtualaccount:va-1"]
      models: ["openai-main/gpt-4o", "claude"]
      metadata: {env: prod}
    limit_to: 1500
    unit: tokens_per_hour
    rate_limit_applies_per: [user, metadata.project_id]
  - id: everyone
    when: {}
    limit_to: 0
    unit: requests_per_minute
"""


@pytest.fixture
def rule_file(tmp_path: Path) -> Path:
    return tmp_path / "limits.yaml"


def seed_rows(seeds_dir: Path) -> list[dict[str, str]]:
    with (seeds_dir / "rules/quota_rules.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def versions(seeds_dir: Path) -> list[tuple[str, ...]]:
    columns = ("rule_id", "limit_to", "valid_from", "valid_to")
    return [tuple(row[column] for column in columns) for row in seed_rows(seeds_dir)]


def test_the_sample_of_the_article_is_imported(rule_file: Path) -> None:
    rule_file.write_text(ARTICLE)
    assert check(rule_file) == []
    assert read_rules(rule_file) == RuleFile(
        rules=(
            QuotaRule(
                rule_set="ratelimiting-config",
                rule_id="rule-id",
                order=1,
                evaluation="first_match",
                unit="requests_per_day",
                limit_to=Decimal(5000),
                subjects=(("team", "frontend"),),
            ),
        ),
        rule_sets=("ratelimiting-config",),
        notes=(),
    )


def test_every_field_reaches_the_seed_and_each_subject_is_a_row(rule_file: Path, tmp_path: Path) -> None:
    rule_file.write_text(EVERYTHING)
    result = import_(rule_file, tmp_path / "seeds")
    assert (result.added, result.valid_from) == (("several", "everyone"), date(2020, 1, 1))
    rows = seed_rows(tmp_path / "seeds")
    assert [(row["rule_id"], row["rule_order"], row["subject_type"], row["subject"]) for row in rows] == [
        ("several", "1", "user", "bob@x.io"),
        ("several", "1", "team", "frontend"),
        ("several", "1", "virtualaccount", "va-1"),
        ("everyone", "2", "*", "*"),
    ]
    assert rows[0] == {
        "rule_set": "limits",
        "rule_id": "several",
        "rule_order": "1",
        "evaluation": "first_match",
        "subject_type": "user",
        "subject": "bob@x.io",
        "models": "openai-main/gpt-4o|claude",
        "metadata_key": "env",
        "metadata_value": "prod",
        "conditions": "",
        "applies_per": "user|metadata.project_id",
        "unit": "tokens_per_hour",
        "limit_to": "1500",
        "overrides": "",
        "time_zone": "",
        "enforcement": "",
        "alert_thresholds": "",
        "valid_from": "2020-01-01",
        "valid_to": "",
    }


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "words"),
    [
        ("unit: requests_per_day", "unit: requests_per_week", 8, "rules[0].unit", "requests_per_day"),
        ("limit_to: 5000", "limit_to: -1", 7, "rules[0].limit_to", "whole number"),
        ("limit_to: 5000", "limit_to: 12.5", 7, "rules[0].limit_to", "whole number"),
        ("limit_to: 5000", "limit_to: true", 7, "rules[0].limit_to", "whole number"),
        ("    limit_to: 5000\n", "", 4, "rules[0].limit_to", "is missing; add it"),
        ("limit_to: 5000", "limit_to: 5000\n    per: x", 8, "rules[0].per", "fields are id, when, limit_to"),
        ('"team:frontend"', '"user:a@x.io", "frontend"', 6, "rules[0].when.subjects[1]", "team:…"),
        ('"team:frontend"', '"team: "', 6, "rules[0].when.subjects[0]", "no name"),
        ('"team:frontend"', '"user:*"', 6, "rules[0].when.subjects[0]", "rate_limit_applies_per: [user]"),
        ('["team:frontend"]', "[]", 6, "rules[0].when.subjects", "leave it out"),
        ('["team:frontend"]', "team:frontend", 6, "rules[0].when.subjects", "write a list"),
        ("subjects:", "segments:", 6, "rules[0].when.segments", "subjects, models, metadata"),
        ('subjects: ["team:frontend"]', "metadata: {a: b, c: d, e: f, g: h, i: j}", 6, "rules[0].when.metadata",
         "4 conditions on metadata"),
        ('subjects: ["team:frontend"]', "metadata: {a: b, 'c=d': e}", 6, "rules[0].when.metadata.c=d", "none of %"),
        ('subjects: ["team:frontend"]', "metadata: {a: ''}", 6, "rules[0].when.metadata", "leave metadata out"),
        ('subjects: ["team:frontend"]', "metadata: {a: 1}", 6, "rules[0].when.metadata.a", "in quotes"),
        ('"rule-id"', '"{user}-daily"', 4, "rules[0].id", "rate_limit_applies_per"),
        ("type: gateway-rate-limiting-config", "type: gateway-otel-config", 2, "type", "gateway-budget-config"),
        ("type: gateway-rate-limiting-config", "type: tenant-rate-limit-config/mcp", 2, "type", "MCP tools"),
        ("type: gateway-rate-limiting-config", "type: 7", 2, "type", "write 'gateway-rate-"),
        ("    limit_to: 5000", "    rate_limit_applies_per: [key]\n    limit_to: 5000", 7,
         "rules[0].rate_limit_applies_per[0]", "metadata.<key>"),
        ("    limit_to: 5000", "    rate_limit_applies_per: [user, model, team]\n    limit_to: 5000", 7,
         "rules[0].rate_limit_applies_per", "at most 2"),
        ("    limit_to: 5000", "    limit_to: 1\n    limit_to: 5000", 8, "", "twice"),
        ('["team:frontend"]', '["team:frontend"', 7, "", "not valid YAML"),
        ("    limit_to: 5000", "\tlimit_to: 5000", 7, "", "not valid YAML"),
    ],
)  # fmt: skip
def test_a_problem_says_where_it_is_and_what_to_do(
    rule_file: Path, old: str, new: str, line: int, field: str, words: str
) -> None:
    assert old in ARTICLE
    rule_file.write_text(ARTICLE.replace(old, new))
    [problem] = check(rule_file)
    assert (problem.line, problem.field) == (line, field)
    assert words in problem.message
    assert str(problem).startswith(f"{rule_file}:{line}: ")


def test_all_problems_of_a_file_are_told_at_once(rule_file: Path) -> None:
    rule_file.write_text(EVERYTHING.replace("id: everyone", "id: 7").replace("tokens_per_hour", "tokens"))
    with pytest.raises(RuleFileError) as caught:
        read_rules(rule_file)
    assert [(problem.line, problem.field) for problem in caught.value.problems] == [
        (10, "rules[0].unit"),
        (12, "rules[1].id"),
    ]


def test_an_id_can_be_used_once(rule_file: Path) -> None:
    rule_file.write_text(EVERYTHING.replace("id: everyone", "id: several"))
    [problem] = check(rule_file)
    assert (problem.line, problem.field) == (12, "rules[1].id")
    assert "line 4" in problem.message


BUDGETS = """\
name: budgets
type: gateway-budget-config
rules:
  - id: tokens
    when: {subjects: [team:ml], models: ["*"]}
    limit_to: 1000.0
    unit: tokens_per_day
    budget_applies_per: [user, metadata.app]
    audit_mode: false
    block_on_budget_exceed: true
"""

NAMED = """\
name: per-user
type: tenant-rate-limit-config/model
when:
  subjects:
    users: {in: [Ann@X.io, bob@x.io]}
  models: {in: [openai-main/gpt-4o]}
  provider_accounts: {in: ["*"]}
  metadata:
    env: {in: [prod]}
limits:
  requests_per_minute: 10
  tokens_per_day: 5000
applies_to:
  type: per-user
mode: enforce
log_request_body_on_block: false
"""

TENANT_BUDGET = """\
name: team-spend
type: team-budget-config
team_name: ml
limits:
  cost_per_day: 10.5
  cost_per_lifetime: 1000
applies_to:
  type: metadata
  metadata: project
  overrides:
    - metadata_values: [apollo]
      limits: {cost_per_day: 20}
mode: soft_enforce
alerts:
  thresholds: [75, 90.5]
  notification_target: [{type: email, notification_channel: c, to_emails: [a@x.io]}]
"""

SEGMENTS = """\
segments:
  - id: gpt4
    subject: serviceaccount:my-svc
    model: my-openai/gpt-4
    limit: 100
    unit: requests
  - id: app
    user: Ann@x.io
    limit: 5000
    unit: tokens
    metadata: {app: chat}
"""


def shown(rule: QuotaRule) -> tuple[object, ...]:
    assert rule.conditions == () and not rule.overrides
    counted = (rule.applies_per, rule.unit, rule.limit_to)
    return (rule.rule_set, rule.rule_id, rule.evaluation, rule.subjects, rule.models, rule.metadata, *counted)


def test_a_budget_of_tokens_counts_for_every_rule(rule_file: Path) -> None:
    rule_file.write_text(BUDGETS)
    (rule,) = read_rules(rule_file).rules
    of_team = ((("team", "ml"),), (), None)
    per = ("user", "metadata.app")
    assert shown(rule) == ("budgets", "tokens", "all_match", *of_team, per, "tokens_per_day", 1000)


def test_a_named_rate_limit_is_a_rule_a_window(rule_file: Path) -> None:
    rule_file.write_text(NAMED)
    users, models = (("user", "ann@x.io"), ("user", "bob@x.io")), ("openai-main/gpt-4o",)
    common = ("all_match", users, models, ("env", "prod"), ("user",))
    assert [shown(rule) for rule in read_rules(rule_file).rules] == [
        ("rate-limit/per-user", "requests_per_minute", *common, "requests_per_minute", 10),
        ("rate-limit/per-user", "tokens_per_day", *common, "tokens_per_day", 5000),
    ]


def test_a_named_rate_limit_for_everything(rule_file: Path) -> None:
    rule_file.write_text(
        "name: all\ntype: tenant-rate-limit-config/model\nmode: enforce\n"
        "limits: {tokens_per_hour: 7}\napplies_to: {type: metadata, metadata: app}\n"
    )
    (rule,) = read_rules(rule_file).rules
    assert shown(rule)[2:] == ("all_match", (("*", "*"),), (), None, ("metadata.app",), "tokens_per_hour", 7)


def test_segments_limit_a_minute(rule_file: Path) -> None:
    nested = "configs:\n- tenantName: acme\n  " + SEGMENTS.replace("\n", "\n  ")
    for text, rule_set in ((SEGMENTS, "segments"), (nested, "acme")):
        rule_file.write_text(text)
        account, app = read_rules(rule_file).rules
        model = ("my-openai/gpt-4",)
        of_account = ((("virtualaccount", "my-svc"),), model, None, (), "requests_per_minute", 100)
        assert shown(account) == (rule_set, "gpt4", "all_match", *of_account)
        of_app = ((("user", "ann@x.io"),), (), ("app", "chat"), (), "tokens_per_minute", 5000)
        assert shown(app) == (rule_set, "app", "all_match", *of_app)


@pytest.mark.parametrize(
    ("text", "old", "new", "line", "field", "words"),
    [
        (BUDGETS, "tokens_per_day", "cost_per_year", 7, "rules[0].unit", "write 'cost_per_day'"),
        (BUDGETS, "1000.0", "1000.5", 6, "rules[0].limit_to", "whole numbers"),
        (BUDGETS, "1000.0", "true", 6, "rules[0].limit_to", "write a number, 0 or more"),
        (BUDGETS, "1000.0", "-1", 6, "rules[0].limit_to", "write a number, 0 or more"),
        (BUDGETS, "1000.0", ".inf", 6, "rules[0].limit_to", "write a number, 0 or more"),
        (BUDGETS, "audit_mode: false", "audit_mode: maybe", 9, "rules[0].audit_mode", "write true or false"),
        (
            BUDGETS,
            "audit_mode: false",
            "alerts: {thresholds: [0.5]}",
            9,
            "rules[0].alerts.thresholds",
            "write 1 to",
        ),
        (BUDGETS, "1000.0", "0.0000000000001", 6, "rules[0].limit_to", "whole numbers"),
        (TENANT_BUDGET, "10.5", "0.0000000000001", 5, "limits.cost_per_day", "12 digits"),
        (
            TENANT_BUDGET,
            "cost_per_day: 20}",
            "cost_per_day: -1}",
            12,
            "applies_to.overrides[0].limits.cost_per_day",
            "0 or",
        ),
        (
            TENANT_BUDGET,
            "[apollo]",
            "[apollo, apollo]",
            11,
            "applies_to.overrides[0]",
            "'apollo' has an override before",
        ),
        (TENANT_BUDGET, "[apollo]", "[apollo*]", 11, "applies_to.overrides[0]", "'apollo*' would stand for itself"),
        (TENANT_BUDGET, "10.5", "9000000000", 5, "limits.cost_per_day", "leave it out"),
        (TENANT_BUDGET, "metadata: project", "metadata: a|b", 9, "applies_to.metadata", "none of %"),
        (
            NAMED,
            "env: {in: [prod]}",
            "env: {in: [a, b]}\n    b: {in: [c, d]}\n    c: {not_in: [e]}\n    d: {not_in: [f]}",
            3,
            "when",
            "4 conditions on metadata",
        ),
        (BUDGETS, "audit_mode: false", "alerts: {thresholds: [], at: 1}", 9, "rules[0].alerts.at", "thresholds, notif"),
        (BUDGETS, "id: tokens", 'id: "{user}-daily"', 4, "rules[0].id", "budget_applies_per"),
        (BUDGETS, "metadata.app", "app", 8, "rules[0].budget_applies_per[1]", "metadata.<key>"),
        (BUDGETS, "team:ml", "virtual-account", 5, "rules[0].when.subjects[0]", "virtualaccount:…"),
        (NAMED, "mode: enforce", "mode: soft", 15, "mode", "write 'enforce'"),
        (NAMED, "models: {in:", "models: {is:", 6, "when.models.is", "fields are in, not_in"),
        (NAMED, 'accounts: {in: ["*"]}', "accounts: {in: [openai]}", 7, "when.provider_accounts", "list the models"),
        (NAMED, "env: {in: [prod]}", "env: {at: [prod]}", 9, "when.metadata.env.at", "fields are in, not_in"),
        (NAMED, "tokens_per_day: 5000", "tokens_per_week: 5", 12, "limits.tokens_per_week", "requests_per_minute, "),
        (NAMED, "tokens_per_day: 5000", "tokens_per_day: 0.5", 12, "limits.tokens_per_day", "whole number"),
        (NAMED, "type: per-user", "type: per-team", 14, "applies_to.type", "write 'aggregate'"),
        (NAMED, "type: per-user", "type: metadata", 13, "applies_to", "metadata key"),
        (
            NAMED,
            "type: per-user",
            "type: per-user\n  overrides: [{models: [a], limits: {tokens_per_day: 1}}]",
            13,
            "applies_to",
            "override 1 that does not list users",
        ),
        (SEGMENTS, "serviceaccount:my-svc", "my-svc", 3, "segments[0].subject", "virtualaccount:…"),
        (SEGMENTS, "Ann@x.io", "dev-team", 8, "segments[1].user", "subject: team:…"),
        (SEGMENTS, "limit: 100", "limit: 9000000000000000000", 5, "segments[0].limit", "leave it out"),
        (SEGMENTS, "id: app", "id: gpt4", 7, "segments[1].id", "line 2"),
        (SEGMENTS, "unit: tokens", "unit: cost", 10, "segments[1].unit", "write 'requests' or 'tokens'"),
    ],
)
def test_what_other_forms_say_is_understood_or_refused_where_it_stands(
    rule_file: Path, text: str, old: str, new: str, line: int, field: str, words: str
) -> None:
    assert old in text
    rule_file.write_text(text.replace(old, new))
    [problem] = check(rule_file)
    assert (problem.line, problem.field) == (line, field)
    assert words in problem.message


def test_a_budget_in_money_is_kept_with_what_it_says(rule_file: Path) -> None:
    rule_file.write_text(TENANT_BUDGET)
    read = read_rules(rule_file)
    of_all = QuotaRule(
        rule_set="team-budget/team-spend",
        rule_id="cost_per_day",
        order=1,
        evaluation="all_match",
        unit="cost_per_day",
        limit_to=Decimal("10.5"),
        subjects=(("team", "ml"),),
        applies_per=("metadata.project",),
        overrides={"apollo": Decimal(20)},
        enforcement="soft",
        alert_thresholds=(75, 90),
    )
    # An override is instead of all periods, so it takes its members out of those that it leaves out.
    of_others = replace(
        of_all,
        rule_id="cost_per_lifetime",
        order=2,
        unit="cost_per_lifetime",
        limit_to=Decimal(1000),
        conditions=(Condition("metadata.project", ("apollo",), excludes=True),),
        overrides={},
    )
    assert read.rules == (of_all, of_others)
    assert [(note.line, note.field) for note in read.notes] == [
        (15, "alerts.thresholds"),
        (16, "alerts.notification_target"),
    ]


def test_a_period_that_only_an_override_has_is_for_its_members(rule_file: Path) -> None:
    rule_file.write_text(
        "name: n\ntype: tenant-budget-config\nmode: audit\nlimits: {cost_per_day: 5}\n"
        "applies_to:\n  type: per-user\n  overrides:\n"
        "  - {users: [Ann@x.io], limits: {cost_per_day: 9, cost_per_month: 50}}\n"
        "  - {users: [bob@x.io], limits: {cost_per_month: 70.5}}\n"
    )
    import_(rule_file, rule_file.parent)
    columns = ("rule_set", "subject_type", "subject", "conditions", "applies_per", "unit", "limit_to", "overrides")
    assert [tuple(row[column] for column in columns) for row in seed_rows(rule_file.parent)] == [
        ("budget/n", "*", "*", "user!=bob@x.io", "user", "cost_per_day", "5", "ann@x.io=9"),
        ("budget/n", "user", "ann@x.io", "", "user", "cost_per_month", "50", "bob@x.io=70.5"),
        ("budget/n", "user", "bob@x.io", "", "user", "cost_per_month", "50", "bob@x.io=70.5"),
    ]
    assert {row["enforcement"] for row in seed_rows(rule_file.parent)} == {"audit"}


EVERY_CONDITION = """\
name: all
type: tenant-budget-config
when:
  subjects:
    users: {not_in: [Bob@x.io]}
    teams: {in: [ml, ads]}
    virtual_accounts: {in: [va-1]}
  models: {in: [main/*, "a|b"], not_in: [main/gpt-3*]}
  metadata:
    env: {in: [prod, dev]}
    app: {in: [chat]}
    tier: {not_in: ["100%;"]}
limits: {cost_per_quarter: 1000.50}
applies_to: {type: aggregate}
mode: enforce
"""


def test_every_condition_reaches_the_seed(rule_file: Path) -> None:
    rule_file.write_text(EVERY_CONDITION)
    import_(rule_file, rule_file.parent)
    rows = seed_rows(rule_file.parent)
    assert [(row["subject_type"], row["subject"]) for row in rows] == [("team", "ml"), ("team", "ads")]
    assert (rows[0]["metadata_key"], rows[0]["metadata_value"], rows[0]["limit_to"]) == ("app", "chat", "1000.5")
    assert rows[0]["conditions"].split(";") == [
        "metadata.env=dev|prod",
        "metadata.tier!=100%25%3B",
        "model!=main/gpt-3*",
        "model=a%7Cb|main/*",
        "user!=bob@x.io",
        "virtualaccount=va-1",
    ]
    rule_file.write_text(EVERY_CONDITION.replace("[prod, dev]", "[dev, prod]").replace("[main/*, ", "[main/*,main/*, "))
    assert import_(rule_file, rule_file.parent).unchanged == ("cost_per_quarter",)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", ("tokens_per_day", "1000", "", "")),
        ("tokens_per_day", "cost_per_week", ("cost_per_week", "1000", "", "")),
        ("tokens_per_day", "tokens_per_month", ("tokens_per_month", "1000", "", "")),
        ("audit_mode: false", "audit_mode: true", ("tokens_per_day", "1000", "audit", "")),
        ("exceed: true", "exceed: false", ("tokens_per_day", "1000", "audit", "")),
        ("audit_mode: false", "alerts: {thresholds: [100, 50.0, 50]}", ("tokens_per_day", "1000", "", "50|100")),
    ],
)
def test_what_budgets_of_rules_say_is_kept(rule_file: Path, old: str, new: str, expected: tuple[str, ...]) -> None:
    rule_file.write_text(BUDGETS.replace(old, new))
    import_(rule_file, rule_file.parent)
    [row] = seed_rows(rule_file.parent)
    assert tuple(row[name] for name in ("unit", "limit_to", "enforcement", "alert_thresholds")) == expected


def test_several_pairs_of_metadata_must_all_be_there(rule_file: Path) -> None:
    rule_file.write_text(ARTICLE.replace('subjects: ["team:frontend"]', "metadata: {a: b, c: d, e: 'f*'}"))
    [rule] = read_rules(rule_file).rules
    assert rule.metadata == ("a", "b")
    assert rule.conditions == (Condition("metadata.c", ("d",)), Condition("metadata.e", ("f*",)))


def test_a_team_budget_can_not_ask_for_teams(rule_file: Path) -> None:
    rule_file.write_text(TENANT_BUDGET + "when: {subjects: {teams: {in: [a]}}}\n")
    [problem] = check(rule_file)
    assert (problem.field, problem.line) == ("when.subjects.teams", 17)
    assert "users, virtual_accounts" in problem.message


def test_limits_of_rules_are_recorded_whatever_they_say() -> None:
    manifest = yaml.safe_load(
        BUDGETS.replace("id: tokens", 'id: "{user}-{metadata.app}"').replace("1000.0", "0.000001")
    )
    manifest["rules"][0] |= {"alerts": {"thresholds": [50], "notification_target": [{"to_emails": ["a@x.io"]}]}}
    manifest["rules"] += [
        {"id": "odd", "when": {"subjects": ["*"], "models": ["m"]}, "limit_to": "many", "unit": "cost_per_year"},
        {"id": "audit", "when": {}, "limit_to": 2, "unit": "cost_per_week", "block_on_budget_exceed": False},
        "no rule",
    ]
    first, odd, audit, _ = limit_rows(manifest)
    assert {key: value for key, value in first.items() if key != "raw"} == {
        "limit_id": "gateway-budget-config:{user}-{metadata.app}",
        "name": "{user}-{metadata.app}",
        "limit_kind": "budget",
        "scope_type": "team",
        "scope": {"subjects": {"any_of": ["team:ml"]}},
        "counter_keys": ["user", "metadata.app"],
        "measure": "tokens",
        "limit_value": "0.000001",
        "limit_unit": "tokens",
        "window_unit": "day",
        "window_anchor": "utc_midnight",
        "enforcement": "enforce",
        "evaluation": "all_match",
        "rule_order": 1,
        "alert_thresholds": [50],
    }
    assert "a@x.io" not in str(first)
    assert (odd["scope_type"], odd["limit_value"], odd["window_unit"]) == ("any", "many", None)
    assert (audit["enforcement"], audit["window_anchor"], audit["rule_order"]) == ("audit", "monday", 3)


@pytest.mark.parametrize("text", [ARTICLE, BUDGETS])
def test_a_limit_counts_as_the_quota_that_is_made_of_it(rule_file: Path, text: str) -> None:
    rule_file.write_text(text)
    [rule], [row] = read_rules(rule_file).rules, limit_rows(yaml.safe_load(text))
    assert row["evaluation"] == rule.evaluation


def test_limits_with_a_name_are_a_row_a_period_and_an_override() -> None:
    rows = limit_rows(yaml.safe_load(TENANT_BUDGET))
    names = ("limit_id", "scope_type", "limit_value", "window_unit", "enforcement", "evaluation")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("team-budget-config:team-spend:cost_per_day", "team", "10.5", "day", "soft", "all_match"),
        ("team-budget-config:team-spend:cost_per_lifetime", "team", "1000", "lifetime", "soft", "all_match"),
        ("team-budget-config:team-spend:cost_per_day:override-1", "team", "20", "day", "soft", "all_match"),
    ]
    of_team = {"subjects": {"teams": {"in": ["ml"]}}}
    assert [row["scope"] for row in rows] == [
        of_team,
        of_team,
        {**of_team, "metadata": {"project": {"in": ["apollo"]}}},
    ]
    assert {tuple(row["counter_keys"]) for row in rows} == {("metadata.project",)}
    assert [row["limit_kind"] for row in limit_rows(yaml.safe_load(NAMED))] == ["rate_limit"] * 2
    assert limit_rows({"type": "new-limits", "name": "n"}) == [
        {"limit_id": "new-limits:n", "raw": {"type": "new-limits", "name": "n"}}
    ]


@pytest.mark.parametrize("text", ["", "[]", "words", "a: &a [*a]", "\x00", "!!python/object:os.system {}"])
def test_what_is_no_rule_file_is_a_problem_and_not_a_crash(rule_file: Path, text: str) -> None:
    rule_file.write_text(text)
    assert check(rule_file)


def test_a_file_that_is_not_there_or_not_text(rule_file: Path) -> None:
    assert "check the path" in str(check(rule_file)[0])
    rule_file.write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in str(check(rule_file)[0])


def test_a_reimport_closes_what_changed_and_keeps_the_rest(rule_file: Path, tmp_path: Path) -> None:
    rule_file.write_text(EVERYTHING)
    import_(rule_file, tmp_path)
    other = ARTICLE.replace("ratelimiting-config\n", "other\n", 1)
    rule_file.write_text(other)
    import_(rule_file, tmp_path, date(2025, 5, 5))

    rule_file.write_text(EVERYTHING.replace("limit_to: 0", "limit_to: 10"))
    result = import_(rule_file, tmp_path, date(2026, 3, 1))
    assert (result.added, result.closed) == ((), ())
    assert (result.changed, result.unchanged) == (("everyone",), ("several",))
    assert [version for version in versions(tmp_path) if version[0] != "several"] == [
        ("everyone", "0", "2020-01-01", "2026-03-01"),
        ("everyone", "10", "2026-03-01", ""),
        ("rule-id", "5000", "2025-05-05", ""),
    ]
    assert {version for version in versions(tmp_path) if version[0] == "several"} == {
        ("several", "1500", "2020-01-01", "")
    }


def test_the_same_file_again_changes_nothing(rule_file: Path, tmp_path: Path) -> None:
    rule_file.write_text(EVERYTHING)
    import_(rule_file, tmp_path)
    before = (tmp_path / "rules/quota_rules.csv").read_bytes()
    result = import_(rule_file, tmp_path, date(2026, 3, 1))
    assert result.unchanged == ("several", "everyone")
    assert (tmp_path / "rules/quota_rules.csv").read_bytes() == before


def test_a_rule_that_is_gone_is_closed_and_can_come_back(rule_file: Path, tmp_path: Path) -> None:
    rule_file.write_text(EVERYTHING)
    import_(rule_file, tmp_path)
    both = read_rules(rule_file)
    assert write_seed(replace(both, rules=both.rules[:1]), tmp_path, date(2026, 2, 1)).closed == ("everyone",)
    write_seed(both, tmp_path, date(2026, 4, 1))
    assert [version for version in versions(tmp_path) if version[0] == "everyone"] == [
        ("everyone", "0", "2020-01-01", "2026-02-01"),
        ("everyone", "0", "2026-04-01", ""),
    ]


def test_a_correction_on_the_same_day_replaces_that_version(rule_file: Path, tmp_path: Path) -> None:
    rule_file.write_text(ARTICLE)
    import_(rule_file, tmp_path)
    for limit in ("6000", "7000"):
        rule_file.write_text(ARTICLE.replace("5000", limit))
        import_(rule_file, tmp_path, date(2026, 3, 1))
    assert versions(tmp_path) == [
        ("rule-id", "5000", "2020-01-01", "2026-03-01"),
        ("rule-id", "7000", "2026-03-01", ""),
    ]


def test_a_change_without_a_date_holds_from_today(rule_file: Path, tmp_path: Path) -> None:
    rule_file.write_text(ARTICLE)
    import_(rule_file, tmp_path)
    rule_file.write_text(ARTICLE.replace("5000", "6000"))
    assert import_(rule_file, tmp_path).valid_from == datetime.now(UTC).date()


def test_history_is_not_rewritten(rule_file: Path, tmp_path: Path) -> None:
    rule_file.write_text(ARTICLE)
    import_(rule_file, tmp_path, date(2026, 3, 1))
    before = (tmp_path / "rules/quota_rules.csv").read_bytes()
    rule_file.write_text(ARTICLE.replace("5000", "6000"))
    with pytest.raises(SeedError, match="has a version from 2026-03-01"):
        import_(rule_file, tmp_path, date(2026, 2, 1))
    assert (tmp_path / "rules/quota_rules.csv").read_bytes() == before


def test_another_evaluation_is_another_version(rule_file: Path, tmp_path: Path) -> None:
    rule_file.write_text(ARTICLE)
    import_(rule_file, tmp_path)
    assert import_(rule_file, tmp_path, date(2026, 3, 1), evaluation="all_match").changed == ("rule-id",)
    assert seed_rows(tmp_path)[-1]["evaluation"] == "all_match"


def test_a_seed_that_is_not_ours_is_left_alone(rule_file: Path, tmp_path: Path) -> None:
    rule_file.write_text(ARTICLE)
    seed = tmp_path / "rules/quota_rules.csv"
    seed.parent.mkdir()
    seed.write_text("a,b\n1,2\n")
    with pytest.raises(SeedError, match="the header is not the one expected"):
        import_(rule_file, tmp_path)
    assert seed.read_text() == "a,b\n1,2\n"


def test_an_import_into_the_shipped_seed_keeps_its_header(rule_file: Path, tmp_path: Path) -> None:
    shipped = Path(__file__).resolve().parents[2] / "dbt_project/seeds/rules/quota_rules.csv"
    seed = tmp_path / "rules/quota_rules.csv"
    seed.parent.mkdir()
    seed.write_bytes(shipped.read_bytes())
    rule_file.write_text(ARTICLE)
    import_(rule_file, tmp_path)
    assert seed.read_text().splitlines()[0] == shipped.read_text().splitlines()[0]


@pytest.mark.parametrize("text", ["{}", "name: a", "other: []"])
def test_what_is_none_of_the_forms_is_told(rule_file: Path, text: str) -> None:
    rule_file.write_text(text)
    [problem] = check(rule_file)
    assert problem.line == 1 and "llm-spend-quotas" in problem.message


def test_the_command_tells_lines_and_notes_and_how_rules_count(rule_file: Path, tmp_path: Path) -> None:
    def command(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["quotas", *arguments, str(rule_file)])
        return result.exit_code, result.output

    rule_file.write_text(ARTICLE.replace("limit_to: 5000", "limit_to: many"))
    problem = f"{rule_file}:7: rules[0].limit_to: is 'many'; write a whole number, 0 or more\n"
    assert command("check") == (1, problem)

    rule_file.write_text(TENANT_BUDGET)
    code, output = command("check")
    assert (code, output.count("Note: ")) == (0, 2)
    assert f"Note: {rule_file}:15: alerts.thresholds: 90.50 % is kept as 90 %" in output

    options = ("--seeds", str(tmp_path), "--evaluation", "first_match", "--valid-from", "2026-03-01")
    code, output = command("import", *options)
    assert (code, output.count("Note: ")) == (0, 2)
    assert "2 added, 0 changed, 0 closed, 0 unchanged." in output
    assert {(row["evaluation"], row["valid_from"]) for row in seed_rows(tmp_path)} == {("first_match", "2026-03-01")}
    assert command("import", "--evaluation", "some")[0] == 2


def test_json_is_read_as_json_with_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "budget.json"
    file.write_text(
        '{\n\t"name": "\\ud83d\\ude80 a\\/b",\n\t"type":"tenant-budget-config", "mode": "enforce",\n'
        '\t"limits": {"cost_per_day": 1e-06,"cost_per_week":2E+3},\n\t"applies_to": {"type": "aggregate"}\n}\n'
    )
    rules = read_rules(file).rules
    assert [(rule.rule_set, rule.limit_to) for rule in rules] == [
        ("budget/🚀 a/b", Decimal("0.000001")),
        ("budget/🚀 a/b", Decimal(2000)),
    ]
    file.write_text(file.read_text().replace("aggregate", "all"))
    assert [(problem.line, problem.field) for problem in check(file)] == [(5, "applies_to.type")]
