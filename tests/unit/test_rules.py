"""Rate-limit files of TrueFoundry: what is read, what is refused and where, how a re-import dates it."""

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from llm_spend.rules import QuotaRule, RuleFileError, SeedError, check, import_, import_rules, write_seed

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
    assert import_rules(rule_file) == [
        QuotaRule(
            rule_set="ratelimiting-config",
            rule_id="rule-id",
            order=1,
            evaluation="first_match",
            subjects=(("team", "frontend"),),
            models=(),
            metadata=None,
            applies_per=(),
            unit="requests_per_day",
            limit_to=5000,
        )
    ]


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
        "applies_per": "user|metadata.project_id",
        "unit": "tokens_per_hour",
        "limit_to": "1500",
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
        ('subjects: ["team:frontend"]', "metadata: {a: b, c: d}", 6, "rules[0].when.metadata", "one is"),
        ('subjects: ["team:frontend"]', "metadata: {a: 1}", 6, "rules[0].when.metadata.a", "in quotes"),
        ('"rule-id"', '"{user}-daily"', 4, "rules[0].id", "rate_limit_applies_per"),
        ("type: gateway-rate-limiting-config", "type: gateway-budget-config", 2, "type", "gateway-rate-"),
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
        import_rules(rule_file)
    assert [(problem.line, problem.field) for problem in caught.value.problems] == [
        (10, "rules[0].unit"),
        (12, "rules[1].id"),
    ]


def test_an_id_can_be_used_once(rule_file: Path) -> None:
    rule_file.write_text(EVERYTHING.replace("id: everyone", "id: several"))
    [problem] = check(rule_file)
    assert (problem.line, problem.field) == (12, "rules[1].id")
    assert "line 4" in problem.message


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
    both = import_rules(rule_file)
    assert write_seed(both[:1], tmp_path, date(2026, 2, 1)).closed == ("everyone",)
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
