"""OpenAI's costs, usage and lists, asked for real at a server that holds us to its description."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from llm_spend.errors import UserError
from llm_spend.readers.api.client import ApiClient
from llm_spend.readers.api.source import ApiSource, NotAllowedError
from llm_spend.readers.api.spool import Spool
from llm_spend.schema import OTHER_USAGE
from llm_spend.sources import openai_api, openai_client, openai_costs, openai_usage
from llm_spend.sources.openai_api import STREAMS, OpenAI
from llm_spend.sources.openai_client import Bucket
from llm_spend.sources.openai_lists import LISTINGS, limit_row, user_row
from llm_spend.sources.provider_tables import costs_format, usage_format
from llm_spend.sources.shared_tables import limits_format, members_format, observed
from llm_spend.windows import Window

from .conftest import Warehouse
from .fake_openai import KEY, KEYS_SINCE, PROJECT_KEY, FakeOpenAI, epoch, fake_json, refusal
from .fake_server import DAY, IMPATIENCE, PASSING, Fault, Scene, client_of, opening, records_of, serving

NOW = datetime(2026, 11, 3, 0, 15)
ONE_DAY = timedelta(days=1)
COSTS, USAGE = STREAMS


def cost(value: Any, line_item: str = "gpt-5, input", day: date = DAY, **fields: Any) -> dict[str, Any]:
    known = {"project_id": "proj_search", "api_key_id": "key_a", "user_id": "user-ada", "currency": "usd"}
    quantity = {"quantity": 1000, "quantity_unit": "tokens"}
    return {"day": day, "value": value, "line_item": line_item, **known, **quantity, **fields}


def completions(day: date = DAY, **fields: Any) -> dict[str, Any]:
    return {
        "day": day,
        "project_id": "proj_search",
        "user_id": "user-ada",
        "api_key_id": "key_a",
        "model": "gpt-5-2026",
        "batch": False,
        "service_tier": "default",
        "api_source": "unlabeled",
        "input_tokens": 5000,
        "input_uncached_tokens": 3000,
        "input_cached_tokens": 1800,
        "input_cache_write_tokens": 200,
        "input_cache_write_30m_tokens": 150,
        "input_cache_write_12h_tokens": 50,
        "input_text_tokens": 2900,
        "input_audio_tokens": 100,
        "input_image_tokens": 0,
        "input_cached_text_tokens": 1800,
        "input_cached_audio_tokens": 0,
        "input_cached_image_tokens": 0,
        "output_tokens": 700,
        "output_text_tokens": 700,
        "output_audio_tokens": 0,
        "output_image_tokens": 0,
        "num_model_requests": 3,
        **fields,
    }


WHO = {"project_id": "proj_search", "user_id": "user-ada", "api_key_id": "key_a"}
DONE: dict[str, list[dict[str, Any]]] = {
    "completions": [
        completions(),
        completions(batch=True, num_model_requests=2),
        completions(user_id=None, api_key_id="key_b"),
    ],
    "decisions": [completions(num_model_requests=7)],
    "embeddings": [{"day": DAY, **WHO, "model": "te-3", "input_tokens": 90, "num_model_requests": 9}],
    "moderations": [{"day": DAY, **WHO, "model": "mod-1", "input_tokens": 8, "num_model_requests": 1}],
    "images": [
        {"day": DAY, **WHO, "model": "img", "size": "1024x1024", "source": "image.edit", "images": 4}
        | {"num_model_requests": 2}
    ],
    "audio_speeches": [{"day": DAY, **WHO, "model": "tts", "characters": 45, "num_model_requests": 1}],
    "audio_transcriptions": [{"day": DAY, **WHO, "model": "stt", "seconds": 20, "num_model_requests": 5}],
    "vector_stores": [{"day": DAY, "project_id": "proj_search", "usage_bytes": 1024}],
    "code_interpreter_sessions": [{"day": DAY, "project_id": "proj_search", "num_sessions": 6}],
    "file_search_calls": [{"day": DAY, **WHO, "vector_store_id": "vs_1", "num_requests": 2}],
    "web_search_calls": [
        {"day": DAY, **WHO, "model": "gpt-5", "context_level": "low", "api_source": "agents_api"}
        | {"num_requests": 3, "num_model_requests": 1}
    ],
    "costs": [
        cost(Decimal("0.06"), user_id="user-ada"),
        cost(Decimal("0.02"), user_id="user-bob"),
        cost(Decimal("1.5"), "gpt-5, output"),
        cost(Decimal("12.50"), "web search", api_key_id=None, quantity_unit=None),
        cost(Decimal("-2.25"), "refund", api_key_id=None, quantity=None, quantity_unit=None),
    ],
}
PROJECT = {"id": "proj_search", "object": "organization.project", "created_at": 1711471533, "name": "Search"}
OLD_PROJECT = {**PROJECT, "id": "proj_old", "name": "Old", "status": "archived", "archived_at": 1711471599}
OWNER = {"id": "user-ada", "email": "ada@acme.io", "name": "Ada", "role": "owner", "created_at": 1711471533}
API_KEY = {
    "id": "key_a",
    "object": "organization.project.api_key",
    "name": "search",
    "redacted_value": "sk-proj-a***7d",
    "created_at": 1711471533,
    "last_used_at": 1793577600,
    "owner": {"type": "user", "user": OWNER},
    "owner_project_access": "active",
}
LISTS: dict[str, Any] = {
    "/projects": [{**PROJECT, "status": "active", "archived_at": None}, OLD_PROJECT],
    "/users": [
        {
            "id": "user-ada",
            "object": "organization.user",
            "added_at": 1711471533,
            "role": "owner",
            "api_key_last_used_at": 1793577600,
            "user": {"id": "user-ada", "object": "user", "email": "ada@acme.io", "name": "Ada", "picture": "face.png"},
        }
    ],
    "/admin_api_keys": [
        {
            "id": "key_admin",
            "object": "organization.admin_api_key",
            "name": "billing",
            "redacted_value": "sk-admin-4***0c",
            "created_at": 1711471533,
            "owner": {"type": "user", "object": "organization.user", "id": "user-ada", "name": "Ada", "role": "owner"},
        }
    ],
    "/projects/proj_search/api_keys": [API_KEY],
    "/projects/proj_search/service_accounts": [
        {
            "id": "svc_1",
            "object": "organization.project.service_account",
            "name": "indexer",
            "role": "member",
            "created_at": 1711471533,
        }
    ],
    "/projects/proj_old/api_keys": refusal(400, "Project is archived.", code="project_archived"),
    "/projects/proj_old/service_accounts": refusal(404, "Project not found."),
    "/spend_limit": {
        "object": "organization.spend_limit",
        "threshold_amount": 500_000,
        "currency": "USD",
        "interval": "month",
        "enforcement": {"status": "inactive"},
    },
    "/projects/proj_search/spend_limit": {
        "object": "project.spend_limit",
        "threshold_amount": 12_345,
        "currency": "USD",
        "interval": "month",
        "enforcement": {"status": "enforcing"},
    },
}


class Stage(NamedTuple):
    openai: FakeOpenAI
    scene: Scene

    def costs(self, day: date = DAY) -> list[Any]:
        return self.scene.fetch(window_of(day), "costs")

    def usage(self, day: date = DAY) -> list[Any]:
        return self.scene.fetch(window_of(day), "usage")

    def fetch(self, stream: str, first: date, days: int) -> tuple[list[Any], list[str]]:
        """Rows and warnings of windows that one run asks for."""
        (found,) = (each for each in STREAMS if each.name == stream)
        rows: list[Any] = []
        warnings: list[str] = []
        path = self.scene.warehouse.folder / "days.jsonl"
        with self.scene.source.open("default") as api:
            for number in range(days):
                with Spool(path) as spool:
                    found.fetch(api, window_of(first + number * ONE_DAY), spool)
                rows += [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
                warnings += spool.warnings
        return rows, warnings

    def listed(self, name: str) -> tuple[list[Any], list[str]]:
        """Rows of a list and its warnings."""
        (listing,) = (each for each in LISTINGS if each.name == name)
        path = self.scene.warehouse.folder / "list.jsonl"
        with self.scene.source.open("default") as api, Spool(path) as spool:
            listing.fetch(api, spool)
        assert spool.names <= set(listing.format.fields)
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()], spool.warnings

    def asked(self, path: str) -> list[Mapping[str, list[str]]]:
        return [each.all_of for each in self.openai.asked if each.path == f"/v1/organization/{path}"]


def window_of(day: date) -> Window:
    start = datetime(day.year, day.month, day.day)
    return Window(start, start + ONE_DAY)


def source_of(fake: FakeOpenAI, pauses: list[float], key: str = KEY, now: datetime = NOW, **options: Any) -> ApiSource:
    def make(client: ApiClient) -> OpenAI:
        return OpenAI(client, key, now=lambda: now, **options)

    client = lambda: client_of(fake, "OpenAI", {"Authorization": f"Bearer {key}"}, pauses)  # noqa: E731
    return ApiSource("openai", opening(make, client), STREAMS, LISTINGS)


@pytest.fixture(scope="module")
def folder(make_warehouse: Callable[[str], Warehouse]) -> Warehouse:
    return make_warehouse("openai")


@pytest.fixture
def stage(folder: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    fake, pauses = FakeOpenAI(done=dict(DONE), lists=dict(LISTS)), list[float]()
    with serving(fake):
        made = Stage(fake, Scene(source_of(fake, pauses), folder, pauses))
        monkeypatch.setattr(openai_api, "api_source", lambda instance: made.scene.source)
        yield made


def asking(stage: Stage, **options: Any) -> Stage:
    """The same server asked by a client that is set differently."""
    source = source_of(stage.openai, stage.scene.pauses, **options)
    return Stage(stage.openai, replace(stage.scene, source=source))


def values(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row.get(name) for name in names) for row in rows]


def of_profile(rows: list[dict[str, Any]], profile: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["profile"] == profile]


def test_days_are_loaded_and_restated_until_they_are_gone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    source = replace(stage.scene.source, streams=(COSTS,), listings=())
    scene = replace(stage.scene, source=source)
    monkeypatch.setattr(openai_api, "api_source", lambda instance: source)

    def in_force() -> list[tuple[Any, ...]]:
        return scene.warehouse.rows(
            "select profile, line_item, api_key_id, amount, charge_category from raw.provider__costs"
            " where _dlt_load_id = (select max(_dlt_load_id) from raw.llm_spend__files where entity = 'costs')"
            " order by profile, line_item"
        )

    report = scene.load(NOW)
    assert (report.rows, report.quarantined, report.windows, report.warnings) == (5, 0, 1, ())
    assert in_force() == [
        ("control", None, None, Decimal("11.83"), None),
        ("primary", "gpt-5, input", "key_a", Decimal("0.08"), None),
        ("primary", "gpt-5, output", "key_a", Decimal("1.5"), None),
        ("primary", "refund", None, Decimal("-2.25"), "Credit"),
        ("primary", "web search", None, Decimal("12.5"), None),
    ]
    assert scene.load(NOW + timedelta(hours=6)).windows == 0
    # One line is restated and the others vanish; then there is nothing at all.
    stage.openai.done["costs"] = [cost(Decimal("0.07"))]
    assert scene.load(NOW, again=True).rows == 2
    assert in_force()[1:] == [("primary", "gpt-5, input", "key_a", Decimal("0.07"), None)]
    # What OpenAI has forgotten is no proof that there was nothing.
    stage.openai.told_since = date(2027, 1, 1)
    later = asking(stage, now=datetime(2028, 1, 1)).scene.source
    monkeypatch.setattr(openai_api, "api_source", lambda instance: replace(later, streams=(COSTS,), listings=()))
    forgotten, kept = scene.load(NOW, again=True).warnings
    assert "no longer tells of costs before 2027-01-01" in forgotten and "Kept as loaded" in kept
    assert len(in_force()) == 2
    monkeypatch.setattr(openai_api, "api_source", lambda instance: source)
    stage.openai.told_since = date(2020, 1, 1)
    stage.openai.done["costs"] = []
    report = scene.load(NOW, again=True)
    assert (report.rows, report.windows, report.warnings) == (0, 1, ())
    assert in_force() == []


def test_usage_is_loaded_with_its_tokens_and_tools(stage: Stage, tmp_path: Path) -> None:
    rows = records_of(usage_format("openai"), tmp_path, stage.usage())
    assert [row["_problem"] for row in rows] == [None] * len(rows)
    names = ("requests", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    (first,) = (
        row
        for row in of_kind(rows, "completions")
        if row["profile"] == "primary" and row["requests"] == 3 and row["user_id"]
    )
    assert tuple(first[name] for name in (*names, "output_tokens", "total_tokens")) == (
        3,
        5000,
        1800,
        150,
        50,
        700,
        None,
    )
    assert json.loads(first["other_usage"]) == {"input_audio_tokens": 100}
    bucket = (datetime(2026, 11, 2), datetime(2026, 11, 3), datetime(2026, 11, 6))
    assert (first["bucket_start"], first["bucket_end"], first["settles_at"]) == bucket
    assert first["grouping"] == "api_key_id,batch,model,project_id,service_tier,user_id"
    for kind in {row["usage_type"] for row in rows}:
        primary, control = (
            [sum(row[name] or 0 for row in of_kind(rows, kind) if row["profile"] == profile) for name in names]
            for profile in ("primary", "control")
        )
        assert control in (primary, [0] * 5), kind
    assert {row["usage_type"] for row in rows if row["profile"] == "control"} == {
        *DONE.keys() - {"costs", "vector_stores", "code_interpreter_sessions", "file_search_calls"}
    }


def of_kind(rows: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["usage_type"] == kind]


def test_every_kind_of_usage_has_its_dimensions_and_counts(stage: Stage) -> None:
    rows = of_profile(stage.usage(), "primary")
    assert {row["usage_type"] for row in rows} == DONE.keys() - {"costs"}
    batch, *_ = (row for row in of_kind(rows, "completions") if row["service_tier"] == "batch")
    assert batch["dimensions"] == {"batch": True, "service_tier": "default"}
    (nobody,) = (row for row in of_kind(rows, "completions") if row["api_key_id"] == "key_b")
    assert (nobody["user_id"], nobody["service_tier"]) == (None, "default")
    who = ("project_id", "user_id", "api_key_id", "model", "dimensions", "requests", "other_usage")
    tools = ("images", "audio_speeches", "audio_transcriptions", "vector_stores", "file_search_calls")
    assert values([row for kind in (*tools, "web_search_calls") for row in of_kind(rows, kind)], *who) == [
        (*WHO.values(), "img", {"size": "1024x1024", "source": "image.edit"}, 2, None),
        (*WHO.values(), "tts", None, 1, {"input_characters": 45}),
        (*WHO.values(), "stt", None, 5, {"audio_seconds": 20}),
        ("proj_search", None, None, None, None, None, None),
        (*WHO.values(), None, {"vector_store_id": "vs_1"}, None, {"file_searches": 2}),
        (*WHO.values(), "gpt-5", {"context_level": "low"}, 1, {"web_searches": 3}),
    ]
    (stored,) = of_kind(rows, "vector_stores")
    assert (stored["raw"]["usage_bytes"], stored["grouping"]) == (1024, "project_id")
    known = {key for report in openai_usage.REPORTS for key in report.others}
    assert known <= OTHER_USAGE.keys()


@pytest.mark.parametrize(
    ("told", "short", "long"),
    [
        ({}, None, None),
        ({"input_cache_write_tokens": 200}, "200", None),
        ({"input_cache_write_30m_tokens": 150, "input_cache_write_12h_tokens": 50}, "150", "50"),
        ({"input_cache_write_tokens": 200, "input_cache_write_12h_tokens": 50}, "150", "50"),
        ({"input_cache_write_tokens": 0, "input_cache_write_30m_tokens": None}, "0", None),
    ],
)
def test_rows_of_before_the_details_are_read(told: dict[str, Any], short: str | None, long: str | None) -> None:
    row = {"input_tokens": 5000, "input_cached_tokens": 1800, "output_tokens": 7, "num_model_requests": 1, **told}
    (report, *_) = openai_usage.REPORTS
    (found,) = openai_usage.usage_rows(report, "control", (), Bucket(datetime(2026, 7, 1), [row]))
    assert (found["input_tokens"], found["cache_read_tokens"], found["other_usage"]) == (5000, 1800, None)
    assert (found.get("cache_write_5m_tokens"), found.get("cache_write_1h_tokens")) == (short, long)


def test_input_that_is_not_the_sum_of_its_parts_is_told(stage: Stage) -> None:
    stage.openai.done["completions"] = [completions(input_uncached_tokens=2999), completions(api_key_id="key_b")]
    rows, (warning,) = stage.fetch("usage", DAY, 1)
    assert "OpenAI's usage of completions of 2026-11-02 whose parts don't add up: 1." in warning
    assert of_profile(rows, "primary")[0]["input_tokens"] == 5000


def test_costs_have_the_digits_that_were_sent(stage: Stage, tmp_path: Path) -> None:
    for value, amounts_are_text in (("123.4567890123456789", True), ("98765432.1234567890123", False), ("1E-9", False)):
        stage.openai.done["costs"] = [cost(Decimal(value))]
        stage.openai.amounts_are_text = amounts_are_text
        rows = records_of(costs_format("openai"), tmp_path, stage.costs())
        exact = Decimal(value).quantize(Decimal("1e-12"))
        assert [(row["_problem"], row["amount"]) for row in rows] == [(None, exact)] * 2
    (row, _) = rows
    assert (row["currency"], row["cost_unit"], row["quantity"], row["quantity_unit"]) == ("USD", "unit", 1000, "tokens")
    assert row["settles_at"] == datetime(2026, 11, 10)


@pytest.mark.parametrize("currency", [None, ""])
def test_a_currency_is_never_assumed(stage: Stage, currency: str | None) -> None:
    stage.openai.done["costs"] = [cost(Decimal(1), currency=currency)]
    with pytest.raises(UserError, match="A cost of 2026-11-02 that OpenAI tells of has no currency"):
        stage.costs()


def test_a_second_view_by_user_and_by_source_are_had_when_they_are_wanted(stage: Stage) -> None:
    asked = asking(stage, by_user=True, by_source=True)
    stage.openai.done["costs"] = [cost(Decimal(1)), cost(Decimal(2), api_source="agents_api", user_id=None)]
    rows = asked.costs()
    assert values(of_profile(rows, "users"), "user_id", "grouping", "amount", "line_item") == [
        ("user-ada", "user_id", "1", None),
        (None, "user_id", "2", None),
    ]
    assert values(of_profile(rows, "primary"), "dimensions", "amount") == [
        (None, "1"),
        ({"api_source": "agents_api"}, "2"),
    ]
    stage.openai.ungrouped = {"user_id", "api_source"}
    rows, warnings = asked.fetch("costs", DAY - ONE_DAY, 2)
    assert of_profile(rows, "users") == []
    assert {row["grouping"] for row in of_profile(rows, "primary")} == {"api_key_id,line_item,project_id"}
    assert len(warnings) == 2
    assert "refused to group costs of 2026-11-01 and maybe other days by api_source" in warnings[0]
    assert "refused to group costs of 2026-11-01 and maybe other days by user_id: there is no such view" in warnings[1]


def test_before_costs_had_keys_they_are_asked_for_without(stage: Stage) -> None:
    floor = openai_costs.KEYS_SINCE.date()
    assert epoch(floor) == KEYS_SINCE
    first = date(2025, 11, 1)
    days = [first + number * ONE_DAY for number in range(60)]
    stage.openai.done["costs"] = [cost(Decimal(1), day=day) for day in days]
    rows, warnings = asking(stage, now=datetime(2026, 1, 5)).fetch("costs", first, 60)
    primary = of_profile(rows, "primary")
    assert [(row["bucket_start"][:10], row.get("api_key_id")) for row in primary] == [
        (str(day), "key_a" if day >= floor else None) for day in days
    ]
    assert {row["grouping"] for row in primary if row["bucket_start"] < str(floor)} == {"line_item,project_id"}
    (warning,) = warnings
    assert "does not group costs by api_key_id before 2025-12-06" in warning
    grouped = [each for each in stage.asked("costs") if "api_key_id" in each.get("group_by", [])]
    assert {int(each["start_time"][0]) >= KEYS_SINCE for each in grouped} == {True}
    assert len(stage.openai.asked) < 12


def test_a_grouping_that_is_refused_for_old_days_is_had_of_the_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_costs, "KEYS_SINCE", datetime(2025, 1, 1))
    first, floor = date(2025, 11, 1), datetime.fromtimestamp(KEYS_SINCE, UTC).date()
    days = [first + number * ONE_DAY for number in range(60)]
    stage.openai.done["costs"] = [cost(Decimal(1), day=day) for day in days]
    rows, (warning,) = asking(stage, now=datetime(2026, 1, 5)).fetch("costs", first, 60)
    assert [(row["bucket_start"][:10], row.get("api_key_id")) for row in of_profile(rows, "primary")] == [
        (str(day), "key_a" if day >= floor else None) for day in days
    ]
    assert "refused to group costs of 2025-11-01 and maybe other days by api_key_id" in warning
    assert len(stage.openai.asked) < 30


def test_what_can_not_be_grouped_by_is_left_out_and_said_once(stage: Stage) -> None:
    stage.openai.ungrouped = {"api_key_id", "service_tier"}
    for name in ("embeddings", "moderations", "images", "audio_speeches", "audio_transcriptions", "web_search_calls"):
        stage.openai.missing.add(f"/usage/{name}")
    stage.openai.missing |= {"/usage/file_search_calls", "/usage/decisions"}
    rows, warnings = stage.fetch("costs", DAY - ONE_DAY, 2)
    assert {row["grouping"] for row in of_profile(rows, "primary")} == {"line_item,project_id"}
    (warning,) = warnings
    assert "by api_key_id: they are grouped by line_item, project_id" in warning and "is not supported" in warning
    # Nothing is left of completions to group by: that is no answer, and not a reason to go on.
    with pytest.raises(UserError, match="can't read usage as it was asked"):
        stage.usage()


def test_kinds_of_usage_that_there_are_not_are_said_once(stage: Stage) -> None:
    stage.openai.missing = {"/usage/decisions", "/usage/web_search_calls"}
    rows, warnings = stage.fetch("usage", DAY - ONE_DAY, 2)
    assert {row["usage_type"] for row in rows} == DONE.keys() - {"costs", "decisions", "web_search_calls"}
    assert [re.findall(r"does not offer \S+/usage/(\S+) here", warning) for warning in warnings] == [
        ["decisions"],
        ["web_search_calls"],
    ]
    assert len(stage.asked("usage/decisions")) == 1
    stage.openai.missing = {"/costs"}
    with pytest.raises(UserError, match=r"\(404\)"):
        stage.costs()


@pytest.mark.parametrize(("kept", "told_since"), [(400, 365), (364, 364), (250, 180), (31, 30), (3, None)])
def test_days_that_are_forgotten_are_said_and_not_read_as_empty(
    stage: Stage, kept: int, told_since: int | None
) -> None:
    stage.openai.told_since = NOW.date() - kept * ONE_DAY
    first = NOW.date() - (kept + 1) * ONE_DAY
    if told_since is None:
        with pytest.raises(UserError, match="available for the past year"):
            stage.costs(first)
        return
    rows, warnings = stage.fetch("costs", first, 2)
    assert rows == []
    (warning,) = (each for each in warnings if "no longer" in each)
    assert f"no longer tells of costs before {NOW.date() - told_since * ONE_DAY}" in warning
    assert "available for the past year" in warning
    known = NOW.date() - told_since * ONE_DAY
    stage.openai.done["costs"] = [cost(Decimal(1), day=known)]
    with stage.scene.source.open("default") as api, Spool(stage.scene.warehouse.folder / "x") as spool:
        COSTS.fetch(api, window_of(first), spool)
        assert (spool.rows, spool.is_proof) == (0, False)
    with stage.scene.source.open("default") as api, Spool(stage.scene.warehouse.folder / "x") as spool:
        COSTS.fetch(api, window_of(known), spool)
        assert (spool.rows, spool.is_proof) == (2, True)


def test_400_days_come_through_all_pages(stage: Stage) -> None:
    first = date(2025, 12, 10)
    days = [first + number * ONE_DAY for number in range(400)]
    stage.openai.days_of_page = 45
    stage.openai.done["costs"] = [cost(Decimal(number), day=day) for number, day in enumerate(days)]
    rows, warnings = asking(stage, now=datetime(2027, 2, 1)).fetch("costs", first, 400)
    assert values(of_profile(rows, "primary"), "bucket_start", "amount") == [
        (f"{day}T00:00:00.000Z", str(number)) for number, day in enumerate(days)
    ]
    assert warnings == []
    # A day, a week, 49 days on 2 pages, and twice 180 on 4 pages each: of each of two profiles.
    assert len(stage.openai.asked) == 2 * (1 + 1 + 2 + 4 + 4)


def page(*buckets: tuple[int, list[Any]], has_more: Any = False, next_page: Any = None) -> Fault:
    data = [{"start_time": start, "end_time": start + 86400, "results": rows} for start, rows in buckets]
    return Fault(200, {"object": "page", "data": data, "has_more": has_more, "next_page": next_page})


START = epoch(DAY)
ROW = {"object": "organization.costs.result", "amount": {"value": 1, "currency": "usd"}, "line_item": "x"}
BROKEN = {
    "the same page": ([page((START, []), has_more=True, next_page="a")] * 2, "has the rows of a page before it"),
    "the same token": (
        [page((START - 86400 * n, []), has_more=True, next_page="a") for n in range(2)],
        "leads back to a page before it",
    ),
    "the same day": (
        [page((START, [ROW]), has_more=True, next_page="a"), page((START, []))],
        "2026-11-02 comes twice",
    ),
    "the same day twice": ([page((START, [ROW]), (START, [ROW]), has_more=True, next_page="a"), page()], "comes twice"),
    "the same row": ([page((START, [ROW, ROW]))], "two rows have the same dimensions"),
    "no next page": ([page((START, []), has_more=True)], "does not say how to get the next one"),
    "no word of an end": ([page((START, []), has_more=None)], "does not say whether it is the last"),
    "an hour": ([page((START + 3600, []))], "a bucket is no UTC day"),
    "the old name": (
        [Fault(200, {"data": [{"start_time": START, "end_time": START + 86400, "result": []}]})],
        "does not say whether",
    ),
    "no results": ([page((START, None))], "has no list of results"),  # type: ignore[arg-type]
    "no object": ([page((START, ["row"]))], "a row is no object"),
    "no pages": ([Fault(200, [])], "something else than an object"),
    "no number": ([Fault(200, b'{"data": NaN}')] * 3, "is not JSON"),
    "without end": (
        [page((START - 86400 * n, []), has_more=True, next_page=str(n)) for n in range(5)],
        "they don't end after 5 pages",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_pages_that_are_not_what_they_should_be_are_an_error(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(openai_client, "MOST_PAGES", 5)
    faults, said = BROKEN[what]
    stage.openai.faults = list(faults)
    with pytest.raises(UserError, match=said):
        stage.costs()


def test_pages_behind_the_days_that_were_asked_for_are_left(stage: Stage) -> None:
    stage.openai.faults = [
        page((START, [ROW]), has_more=True, next_page="a"),
        page((START + 86400, []), has_more=True, next_page="b"),
    ]
    assert values(of_profile(stage.costs(), "primary"), "amount", "line_item") == [("1", "x")]


def test_what_passes_is_waited_for_and_what_stays_is_told(stage: Stage) -> None:
    stage.openai.patience = IMPATIENCE
    for faults in (PASSING[:2], PASSING[2:]):
        stage.openai.faults = list(faults)
        assert len(stage.costs()) == 5
    assert stage.scene.pauses[0] == 17
    stage.openai.faults = [Fault(500, {"error": {"message": "broken"}})] * 3
    with pytest.raises(UserError, match="answered 500"):
        stage.costs()


def test_a_day_without_anything_is_empty(stage: Stage) -> None:
    assert (stage.costs(DAY - ONE_DAY), stage.usage(DAY - ONE_DAY)) == ([], [])
    asked = [set(each.get("group_by", [])) for each in stage.asked("costs")]
    assert asked == [{"api_key_id", "line_item", "project_id"}, set()]


@pytest.mark.parametrize(
    ("key", "problem", "remedy"),
    [
        (PROJECT_KEY, "this is no admin key", "Organization, Admin keys"),
        ("sk-admin-wrong", "the key is wrong or was withdrawn", "Organization, Admin keys"),
    ],
)
def test_a_key_that_can_not_be_used_ends_the_load(stage: Stage, key: str, problem: str, remedy: str) -> None:
    asked = asking(stage, key=key)
    with pytest.raises(UserError) as refused:
        asked.costs()
    assert problem in refused.value.problem and remedy in refused.value.remedy
    assert key not in str(refused.value)
    with pytest.raises(UserError, match=problem):
        asked.scene.check()


def test_the_doctor_names_every_right(stage: Stage) -> None:
    everything = "costs, usage, projects, users, API keys, service accounts, admin keys and spend limits can be read"
    assert stage.scene.check() == everything
    stage.openai.forbidden = {"/usage/completions", "/users", "/admin_api_keys"}
    assert stage.scene.check() == (
        "costs, projects, API keys, service accounts and spend limits can be read; the key lacks the right to read"
        " usage, users and admin keys"
    )
    stage.openai.forbidden = {"/costs"}
    with pytest.raises(NotAllowedError, match="lacks the permission to read costs"):
        stage.scene.check()


def test_members_are_listed_and_no_key_is_kept(stage: Stage, tmp_path: Path) -> None:
    names = (
        "member_type",
        "member_id",
        "name",
        "email",
        "status",
        "is_deleted",
        "owner_type",
        "owner_id",
        "workspace_id",
    )
    found = {name: stage.listed(name) for name in ("projects", "users", "service_accounts", "api_keys", "admin_keys")}
    assert [row for rows, _ in found.values() for row in values(rows, *names)] == [
        ("project", "proj_search", "Search", None, "active", False, None, None, None),
        ("project", "proj_old", "Old", None, "archived", True, None, None, None),
        ("user", "user-ada", "Ada", "ada@acme.io", None, None, None, None, None),
        ("service_account", "svc_1", "indexer", None, None, None, None, None, "proj_search"),
        ("api_key", "key_a", "search", None, "active", None, "user", "user-ada", "proj_search"),
        ("admin_key", "key_admin", "billing", None, None, None, "user", "user-ada", None),
    ]
    read = records_of(
        observed(members_format("openai"), NOW), tmp_path, [row for rows, _ in found.values() for row in rows]
    )
    assert {row["_problem"] for row in read} == {None}
    assert {row["created_at"] for row in read} == {datetime(2024, 3, 26, 16, 45, 33)}
    spooled = json.dumps([rows for rows, _ in found.values()])
    assert not any(hidden in spooled for hidden in ("sk-proj", "sk-admin", "face.png", "last_used_at"))
    of_archived = [found[name][1] for name in ("service_accounts", "api_keys")]
    assert [f"{len(told)} {told[0][:61]}" for told in of_archived] == [
        "1 Archived projects that don't list their service accounts: 1, ",
        "1 Archived projects that don't list their api keys: 1, proj_old",
    ]
    assert {each["owner_project_access"][0] for each in stage.asked("projects/proj_search/api_keys")} == {"any"}


def test_limits_are_in_cents_and_a_limit_that_is_not_set_is_none(stage: Stage, tmp_path: Path) -> None:
    names = ("limit_id", "limit_value", "limit_unit", "window_unit", "scope", "status")
    rows, _ = stage.listed("spend_limits")
    assert values(rows, *names) == [
        ("organization:spend", "500000", "us_cent", "month", {}, "active"),
        ("project:proj_search:spend", "12345", "us_cent", "month", {"project": "proj_search"}, "exhausted"),
    ]
    read = records_of(observed(limits_format("openai"), NOW), tmp_path, rows)
    assert [(row["_problem"], row["limit_value"]) for row in read] == [(None, 500_000), (None, 12_345)]
    stage.openai.lists.pop("/spend_limit")
    assert len(stage.listed("spend_limits")[0]) == 1
    assert limit_row(None, {"threshold_amount": 1, "currency": "EUR"})["limit_unit"] is None


def test_long_lists_come_in_pages(stage: Stage) -> None:
    user = LISTS["/users"][0]
    stage.openai.lists["/users"] = [{**user, "id": f"user-{number}"} for number in range(130)]
    assert [row["member_id"] for row in stage.listed("users")[0]] == [f"user-{number}" for number in range(130)]
    stage.openai.members_of_page = 40
    assert len(stage.listed("users")[0]) == 130
    listing = {"object": "list", "data": [user], "has_more": True, "last_id": "user-ada"}
    stage.openai.faults = [Fault(200, listing), Fault(200, {**listing, "data": [{**user, "id": "user-bob"}]})]
    with pytest.raises(UserError, match="leads back to a page before it"):
        stage.listed("users")


def test_a_list_that_the_key_may_not_read_is_left_out(stage: Stage) -> None:
    stage.openai.forbidden = {"/users", "/projects/proj_search/api_keys"}
    stage.openai.missing = {"/admin_api_keys"}
    for name in ("users", "api_keys", "admin_keys"):
        with pytest.raises(NotAllowedError, match=r"list|does not offer"):
            stage.listed(name)
    # A project that was deleted since they were listed.
    stage.openai.lists["/projects/proj_search/service_accounts"] = refusal(404, "Project not found.")
    assert stage.listed("service_accounts")[0] == []


def test_a_user_has_a_name_in_one_of_two_places() -> None:
    row = user_row(
        {"id": "u", "added_at": 1, "name": "Ada", "email": "ada@acme.io", "projects": {"data": [{"id": "p"}]}}
    )
    assert (row["name"], row["email"], row["team_ids"]) == ("Ada", "ada@acme.io", ["p"])


def test_the_server_answers_as_the_sdk_of_openai_says(stage: Stage) -> None:
    from openai.types.admin import organization
    from openai.types.admin.organization import projects
    from pydantic import BaseModel, TypeAdapter

    def extras(model: Any) -> list[str]:
        inner = model if isinstance(model, list) else []
        found: list[str] = []
        if isinstance(model, BaseModel):
            found = list(model.model_extra or {})
            inner = [getattr(model, name) for name in type(model).model_fields]
        return found + [extra for each in inner for extra in extras(each)]

    asking(stage, by_user=True, by_source=True).costs()
    asking(stage, by_source=True).usage()
    for listing in LISTINGS:
        stage.listed(listing.name)
    models = {f"/usage/{name}": f"Usage{name.title().replace('_', '')}Response" for name in DONE if name != "costs"}
    models["/costs"] = "UsageCostsResponse"
    of_projects = {
        "api_keys": "ProjectAPIKey",
        "service_accounts": "ProjectServiceAccount",
        "spend_limit": "ProjectSpendLimit",
    }
    models |= {f"/projects/{{id}}/{name}": model for name, model in of_projects.items()}
    models |= {"/projects": "Project", "/users": "OrganizationUser", "/admin_api_keys": "AdminAPIKey"}
    models["/spend_limit"] = "OrganizationSpendLimit"
    assert {path for path, _ in stage.openai.answers} == models.keys()
    for path, answer in stage.openai.answers:
        kind = getattr(projects if "{id}" in path else organization, models[path])
        for document in answer["data"] if answer["object"] == "list" else [answer]:
            assert extras(TypeAdapter(kind).validate_json(fake_json(document))) == [], path


def test_the_settings_are_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    settings = {
        "ADMIN_KEY": KEY,
        "BASE_URL": f"{stage.openai.address}/v1",
        "COSTS_BY_USER": "true",
        "BY_API_SOURCE": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"SOURCES__OPENAI__{name}", value)
    with openai_api.api_source("default").open("default") as api:
        assert api.check().startswith("costs, usage")
        with Spool(stage.scene.warehouse.folder / "settings.jsonl") as spool:
            COSTS.fetch(api, window_of(DAY), spool)
    groups = [set(each.get("group_by", [])) for each in stage.asked("costs")][1:]
    assert groups == [{"api_key_id", "api_source", "line_item", "project_id"}, set(), {"user_id"}]
    monkeypatch.setenv("SOURCES__OPENAI__COSTS_BY_USER", "maybe")
    with pytest.raises(UserError, match="costs_by_user"), openai_api.api_source("default").open("default"):
        pass
