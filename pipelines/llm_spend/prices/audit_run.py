"""The audit as the command runs it: seeds, the other data set, waivers, and usage when there is some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from llm_spend.answers.formats import month_name
from llm_spend.errors import UserError
from llm_spend.prices.audit import TOLERANCE, Usage, audit
from llm_spend.prices.audit_litellm import read_cost_map
from llm_spend.prices.audit_report import Report
from llm_spend.prices.audit_seeds import PACKAGED_WAIVERS, our_prices, read_waivers
from llm_spend.prices.audit_usage import last_full_month
from llm_spend.prices.files import seed_file

DATA_SETS = ("litellm",)


@dataclass(frozen=True)
class Request:
    """What is audited, and how strictly."""

    on: date
    against: str = "litellm"
    cost_map: Path | None = None
    """The file of the other data set; None is the one that is installed."""
    seeds: Path | None = None
    """The user's own seeds; a file there replaces the packaged one of its name."""
    waivers: Path | None = None
    """More waivers, beside the packaged ones."""
    fail_over: Decimal = TOLERANCE


def run(request: Request, usage_of: Callable[[date], Usage] | None = None, *, must_weigh: bool = False) -> Report:
    """Audit the prices of `request.on`. Raises UserError for what can't be read.

    `usage_of` gives the usage of the month before a day. When it raises UserError, the report says so, unless
    `must_weigh`.
    """
    if request.against not in DATA_SETS:
        raise UserError(f"There is no data set {request.against!r}.", f"Known: {', '.join(DATA_SETS)}.")
    theirs = read_cost_map(request.cost_map)
    names = [(listing.channel, listing.name) for listing in theirs.listings]
    ours = our_prices(lambda name: seed_file(request.seeds, name), request.on, names)
    waivers = read_waivers(PACKAGED_WAIVERS, request.on)
    if request.waivers:
        waivers += read_waivers(request.waivers, request.on)
    usage, reason = _usage(request.on, usage_of, must_weigh)
    return Report(
        audit=audit(ours, theirs.listings, waivers, usage, request.fail_over),
        against=theirs.version,
        on=request.on,
        weighed_by=month_name(last_full_month(request.on)[0]) if usage is not None else None,
        unweighed_because=reason,
    )


def _usage(on: date, usage_of: Callable[[date], Usage] | None, must_weigh: bool) -> tuple[Usage | None, str | None]:
    if usage_of is None:
        return None, None
    try:
        return usage_of(on), None
    except UserError as error:
        if must_weigh:
            raise
        return None, error.problem
