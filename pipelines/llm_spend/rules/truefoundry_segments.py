"""The oldest rate limits of TrueFoundry as pydantic models: `segments`, each so many requests or tokens per minute."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictInt, StrictStr

from llm_spend.rules.truefoundry import Manifest, Name, Pairs, Strict, Subject


def _user(value: str) -> str:
    if "@" not in value:
        raise ValueError(f"{value!r} may be a user or a group; write subject: user:… or subject: team:…")
    return value.strip()


class Segment(Strict):
    """`user` is the older name of `subject`, for a user's e-mail address."""

    id: Name
    subject: Subject | None = None
    user: Annotated[StrictStr, AfterValidator(_user)] | None = None
    model: Name | None = None
    limit: StrictInt = Field(ge=0)
    unit: Literal["requests", "tokens"]
    metadata: Pairs | None = None


class SegmentsConfig(Manifest):
    name: Name = "segments"
    segments: list[Segment] = Field(min_length=1)


class TenantSegments(Strict):
    tenant_name: Name = Field(alias="tenantName")
    segments: list[Segment] = Field(min_length=1)


class TenantsConfig(Manifest):
    """The same, below the one tenant whose segments they are."""

    configs: list[TenantSegments] = Field(min_length=1, max_length=1)
