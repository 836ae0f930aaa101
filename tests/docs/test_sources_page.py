"""docs/sources.md tells what every source says about itself."""

from __future__ import annotations

from dataclasses import fields

import pytest

from llm_spend.sources import SOURCES, about
from llm_spend.sources.about import About
from tests.docs.generate_sources import PAGE, page

_OPTIONAL = {"files", "api", "settings"}


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_says_all_about_itself(name: str) -> None:
    told = about(name)
    said = {field.name for field in fields(About) if getattr(told, field.name)}
    assert said | _OPTIONAL == {field.name for field in fields(About)}
    assert bool(told.files) == (SOURCES[name].files is not None or SOURCES[name].needs_mapping)
    assert bool(told.api) == SOURCES[name].has_api
