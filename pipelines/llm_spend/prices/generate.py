"""Writes the generated price seeds, and tells whether the committed ones are stale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from llm_spend.errors import UserError
from llm_spend.prices import files
from llm_spend.prices.aliases import Alias, catalogue_aliases, reconcile_aliases
from llm_spend.prices.cells import left_out, price_spans
from llm_spend.prices.dataset import DataSet, load_catalogues
from llm_spend.prices.ledger import Change, LedgerRow, Offer, changes, last_entry, reconcile
from llm_spend.seeds import seed_place

# Those who make models and sell them themselves, then the two clouds that bill for other people's models.
FIRST_PARTY = (
    "openai",
    "anthropic",
    "google",
    "mistral",
    "deepseek",
    "groq",
    "x-ai",
    "cohere",
    "aws",
    "azure",
)


def provider_names(text: str | None) -> Collection[str] | None:
    """What `--providers` says: `a,b`, `all` (None), or nothing, which is FIRST_PARTY. Raises UserError for none."""
    if text is None:
        return FIRST_PARTY
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UserError(f"There is no provider in {text!r}.", "Name some, as a,b, or all.")
    return None if names == ["all"] else names


@dataclass(frozen=True)
class Plan:
    """What the data set makes of the seeds in a folder, before anything is written."""

    source: str
    source_version: str
    as_of: date
    places: Mapping[str, Path]
    """Where each file is, or is to be."""
    before: Sequence[LedgerRow]
    after: Sequence[LedgerRow]
    aliases_before: Sequence[Alias]
    aliases: Sequence[Alias]
    fallbacks: Sequence[files.Fallback]
    left_out: tuple[str, ...]

    @property
    def changes(self) -> list[Change]:
        return changes(self.before, self.after)

    def texts(self) -> dict[str, str]:
        """The content of each generated file."""
        return {
            files.PRICES: files.price_text(self.after),
            files.ALIASES: files.alias_text(self.aliases),
            files.FALLBACKS: files.fallback_text(self.fallbacks),
        }


@dataclass(frozen=True)
class PriceSeedReport:
    """What a run made of the data set. `stale` names the files whose content differed."""

    source: str
    source_version: str
    rows: dict[str, int]
    changed: dict[str, int]
    """Rows of model_prices.csv by what became of them: see `ledger.Change`."""
    stale: tuple[str, ...]
    written: bool
    left_out: tuple[str, ...]


def generate(
    seeds_dir: Path,
    *,
    providers: Collection[str] | None = FIRST_PARTY,
    check: bool = False,
    as_of: date | None = None,
) -> PriceSeedReport:
    """Write the generated CSV files where `seeds_dir` has them, else into `seeds_dir`/prices; `check` only compares.

    `providers` None means all. `as_of` is the day on which changes are said to be seen, today if not given. Raises
    UserError when the data set is missing or a file can't be continued.
    """
    plan = make_plan(seeds_dir, providers=providers, as_of=as_of)
    texts = plan.texts()
    stale = tuple(name for name, text in texts.items() if not _holds(plan.places[name], text))
    if not check:
        for name in stale:
            plan.places[name].parent.mkdir(parents=True, exist_ok=True)
            plan.places[name].write_bytes(texts[name].encode())
    return PriceSeedReport(
        source=plan.source,
        source_version=plan.source_version,
        rows={name: text.count("\n") - 1 for name, text in texts.items()},
        changed=dict(Counter(change.kind for change in plan.changes)),
        stale=stale,
        written=not check and bool(stale),
        left_out=plan.left_out,
    )


def make_plan(seeds_dir: Path, *, providers: Collection[str] | None, as_of: date | None = None) -> Plan:
    """Reconcile the installed data set with the files in `seeds_dir`, which need not exist.

    A file that is not there yet continues the one that came with the package: its retired models and cancelled
    announcements are known nowhere else.
    """
    data_set = load_catalogues(providers)
    places = {name: seed_place(seeds_dir, "prices", name) for name in (files.PRICES, files.ALIASES, files.FALLBACKS)}
    before = files.read_prices(files.seed_file(seeds_dir, files.PRICES))
    day = _as_of(before, as_of)
    offered, skipped = _aliases(data_set)
    channels = {catalogue.channel for catalogue in data_set.catalogues}
    orders = {
        (catalogue.channel, model.model_id): order
        for catalogue in data_set.catalogues
        for order, model in enumerate(catalogue.models, start=1)
    }
    fallbacks = files.read_fallbacks(files.seed_file(seeds_dir, files.FALLBACKS))
    aliases = files.read_aliases(files.seed_file(seeds_dir, files.ALIASES))
    return Plan(
        source=data_set.source,
        source_version=data_set.version,
        as_of=day,
        places=places,
        before=before,
        after=reconcile(before, offer(data_set), day),
        aliases_before=aliases,
        aliases=reconcile_aliases(aliases, offered, orders, day),
        fallbacks=_fallbacks(
            data_set,
            [row for row in fallbacks if row.channel not in channels],
            channels | {row.key.channel for row in before},
        ),
        left_out=(
            *(
                line
                for catalogue in data_set.catalogues
                for model in catalogue.models
                for line in left_out(catalogue.channel, model)
            ),
            *skipped,
        ),
    )


def offer(data_set: DataSet) -> Offer:
    """The prices of a data set, as the ledger compares them."""
    models = [(catalogue.channel, model) for catalogue in data_set.catalogues for model in catalogue.models]
    return Offer(
        source=data_set.source,
        source_version=data_set.version,
        models=frozenset((channel, model.model_id) for channel, model in models),
        prices={key: spans for channel, model in models for key, spans in price_spans(channel, model).items()},
    )


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def _as_of(ledger: Sequence[LedgerRow], asked: date | None) -> date:
    last = last_entry(ledger)
    if asked is not None and asked < last:
        raise UserError(f"The price ledger has an entry of {last}, after {asked}.", "Give that day, or a later one.")
    return asked or max(datetime.now(UTC).date(), last)


def _aliases(data_set: DataSet) -> tuple[list[Alias], list[str]]:
    aliases: list[Alias] = []
    skipped: list[str] = []
    for catalogue in data_set.catalogues:
        found, left_out_here = catalogue_aliases(catalogue)
        aliases += found
        skipped += left_out_here
    return aliases, skipped


def _fallbacks(data_set: DataSet, others: Sequence[files.Fallback], known: Collection[str]) -> list[files.Fallback]:
    """Fallbacks whose prices are known, beside those of channels that the data set was not asked for."""
    found = [
        files.Fallback(catalogue.channel, channel, order)
        for catalogue in data_set.catalogues
        for order, channel in enumerate((name for name in catalogue.fallbacks if name in known), start=1)
    ]
    return sorted([*others, *found], key=lambda row: (row.channel, row.fallback_order))
