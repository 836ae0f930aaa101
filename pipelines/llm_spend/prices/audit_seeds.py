"""Our side of the audit: what the price seeds charge on a day, and which waivers hold then."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from pathlib import Path

from llm_spend.errors import UserError
from llm_spend.prices.audit import Cell, OurPrices, Prices, Waiver, boundary
from llm_spend.prices.units import UNITS_BY_NAME

PACKAGED_WAIVERS = Path(__file__).with_name("audit_waivers.csv")
WAIVER_COLUMNS = (
    "channel",
    "model_id",
    "usage_unit",
    "service_tier",
    "input_tokens_gt",
    "reason",
    "expires",
)
_DATED = re.compile(r"[-@]20\d\d-?(0[1-9]|1[0-2])-?[0-3]\d$")
_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])([0-3]\d)$")

Row = Mapping[str, str]
Find = Callable[[str], Path]
"""The file of a seed, by its name."""


def our_prices(find: Find, on: date, names: Iterable[tuple[str, str]]) -> OurPrices:
    """What the seeds charge at the beginning of the UTC day `on`, and what `names` (channel, name) mean to them."""
    generated = [row for row in _rows(find("model_prices.csv")) if not row.get("retracted_at")]
    models = prices_of_day(generated, _rows(find("price_overrides.csv")), on)
    aliases = [
        *({**row, "excluded_pattern": "", "catalogue_order": "-1"} for row in _rows(find("alias_overrides.csv"))),
        *_rows(find("model_aliases.csv")),
    ]
    resolver = Resolver((row for row in aliases if _holds(row, on)), models)
    found = ((channel, name, resolver.model_id(channel, name)) for channel, name in names)
    return OurPrices(models, {(channel, name): model_id for channel, name, model_id in found if model_id})


def prices_of_day(generated: Iterable[Row], overrides: Iterable[Row], on: date) -> Mapping[tuple[str, str], Prices]:
    """Prices by channel and model. An override replaces all hours of the cell that it is for."""
    models: dict[tuple[str, str], dict[Cell, Decimal]] = {}
    replaced: set[tuple[tuple[str, str], Cell]] = set()
    for is_override, rows in ((True, overrides), (False, generated)):
        for row in rows:
            if not _holds(row, on) or row["region_scope"] != "*" or row["usage_unit"] not in UNITS_BY_NAME:
                continue
            model, cell = (row["channel"].lower(), row["model_id"]), _cell(row)
            whole = cell._replace(is_window=False)
            if is_override:
                replaced.add((model, whole))
            elif (model, whole) in replaced:
                continue
            models.setdefault(model, {})[cell] = _price(row)
    return models


class Resolver:
    """Which model a name means, as int_model_resolution decides: equals, the longest prefix, then the others."""

    def __init__(self, aliases: Iterable[Row], models: Iterable[tuple[str, str]]) -> None:
        self._aliases: dict[str, list[Row]] = {}
        for row in aliases:
            self._aliases.setdefault(row["channel"].lower(), []).append(row)
        self._ids = {(channel, model_id.lower()): model_id for channel, model_id in models}

    def model_id(self, channel: str, name: str) -> str | None:
        """None when nothing matches, neither the name nor the name without its date."""
        for spelling, is_undated in _spellings(name.lower()):
            found = [row for row in self._aliases.get(channel, []) if _means(row, spelling, is_undated)]
            if found:
                return min(found, key=_precedence)["model_id"]
            if (channel, spelling) in self._ids:
                return self._ids[channel, spelling]
        return None


def read_waivers(file: Path, on: date) -> list[Waiver]:
    """The waivers that hold on a day: `expires` is the last one. Raises UserError that names file and line."""
    waivers = []
    for line, row in enumerate(_rows(file, WAIVER_COLUMNS), start=2):
        try:
            expires = date.fromisoformat(row["expires"])
        except ValueError as error:
            raise UserError(
                f"{file}, line {line}: expires is {row['expires']!r}.", "Write it as YYYY-MM-DD."
            ) from error
        if not row["reason"].strip():
            raise UserError(f"{file}, line {line}: there is no reason.", "Say why the difference is right.")
        if on <= expires:
            waivers.append(Waiver(**{name: row[name].strip() for name in WAIVER_COLUMNS if name != "expires"}))
    return waivers


def _rows(path: Path, columns: Sequence[str] | None = None) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if columns and tuple(reader.fieldnames or ()) != tuple(columns):
                raise UserError(
                    f"{path} has the columns {', '.join(reader.fieldnames or ())}.",
                    f"They must be {', '.join(columns)}.",
                )
            return [{name: value or "" for name, value in row.items()} for row in reader]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read: {error}.", "It must be CSV in UTF-8.") from error


def _holds(row: Row, on: date) -> bool:
    instant = datetime.combine(on, time())
    return _instant(row.get("valid_from"), datetime.min) <= instant < _instant(row.get("valid_to"), datetime.max)


def _instant(text: str | None, otherwise: datetime) -> datetime:
    return datetime.fromisoformat(text) if text else otherwise


def _cell(row: Row) -> Cell:
    return Cell(
        usage_unit=row["usage_unit"],
        service_tier=row["service_tier"] or "standard",
        input_tokens_gt=boundary(int(row["input_tokens_gt"] or -1)),
        is_window=bool(row.get("tod_start_utc") or row.get("dow_mask")),
    )


def _price(row: Row) -> Decimal:
    try:
        return Decimal(row["unit_price"]) * UNITS_BY_NAME[row["usage_unit"]].size / Decimal(row["unit_size"])
    except (InvalidOperation, ZeroDivisionError) as error:
        raise UserError(
            f"The price {row['price_id']} of {row['model_id']} is {row['unit_price']!r} for {row['unit_size']!r}.",
            "Correct that row of the price seeds.",
        ) from error


def _spellings(name: str) -> Iterator[tuple[str, bool]]:
    """A name as it is, with its date as providers write it, and without: (spelling, the date is gone)."""
    yield name, False
    if _COMPACT_DATE.search(name):
        yield _COMPACT_DATE.sub(r"-\1-\2-\3", name), False
    if _DATED.search(name):
        yield _DATED.sub("", name), True


def _means(alias: Row, spelling: str, is_undated: bool) -> bool:
    pattern, kind = alias["pattern"].lower(), alias["match_type"]
    if alias["excluded_pattern"] and re.search(alias["excluded_pattern"].lower(), spelling):
        return False
    if kind == "equals" or is_undated:
        return kind == "equals" and spelling == pattern
    match kind:
        case "starts_with":
            return spelling.startswith(pattern)
        case "ends_with":
            return spelling.endswith(pattern)
        case "contains":
            return pattern in spelling
        case "regex":
            return re.search(pattern, spelling) is not None
    return False


def _precedence(alias: Row) -> tuple[int, int, int, str, str]:
    kind = alias["match_type"]
    return (
        {"equals": 1, "starts_with": 2}.get(kind, 3),
        -len(alias["pattern"]) if kind == "starts_with" else 0,
        int(alias["catalogue_order"]),
        kind,
        alias["pattern"],
    )
