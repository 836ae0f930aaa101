"""Northwind, the synthetic organisation: who works where, what they build, who they sell to.

One re-organisation takes place inside the period: some people change team and one team changes cost centre.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")

FOUNDED = date(2025, 1, 1)
IN_HOUSE_MODEL = "internal-llm-v2"
USERS = 300
CUSTOMERS = 200
KEYS = 40

TEAMS: dict[str, tuple[str, str]] = {
    "platform": ("Platform engineering", "cc-engineering"),
    "search": ("Search", "cc-engineering"),
    "data-science": ("Data science", "cc-engineering"),
    "assistant": ("Assistant", "cc-product"),
    "onboarding": ("Onboarding", "cc-product"),
    "growth": ("Growth", "cc-product"),
    "support-emea": ("Customer support EMEA", "cc-support"),
    "support-amer": ("Customer support Americas", "cc-support"),
    "sales-ops": ("Sales operations", "cc-sales"),
    "marketing": ("Marketing", "cc-sales"),
    "finance": ("Finance", "cc-corporate"),
    "legal": ("Legal", "cc-corporate"),
}
MOVED_TEAM, MOVED_TO = "growth", "cc-sales"

FEATURES: dict[str, tuple[str, ...]] = {
    "platform": ("code-review", "incident-notes"),
    "search": ("semantic-search", "query-rewrite", "index-enrichment"),
    "data-science": ("forecast-notebook", "doc-classifier"),
    "assistant": ("chat-assistant", "meeting-summary", "voice-assistant"),
    "onboarding": ("setup-guide",),
    "growth": ("email-writer",),
    "support-emea": ("ticket-triage", "reply-draft"),
    "support-amer": ("ticket-triage", "reply-draft-us"),
    "sales-ops": ("lead-scoring", "call-summary"),
    "marketing": ("copywriter",),
    "finance": ("invoice-reader",),
    "legal": ("contract-review",),
}
CUSTOMER_FACING = frozenset({"search", "assistant", "onboarding", "support-emea", "support-amer"})
VIRTUAL_ACCOUNTS = {
    "nightly-batch": "data-science",
    "support-bot": "support-amer",
    "search-indexer": "search",
}

_FIRST = (
    "ana", "ben", "chloe", "dmitri", "elena", "farid", "grace", "hugo", "ines", "jonas",
    "kira", "liam", "mei", "nadia", "omar", "priya", "quinn", "rosa", "sven", "tara",
)  # fmt: skip
_LAST = (
    "almeida", "berg", "castro", "dubois", "eriksen", "fischer", "garcia", "haddad",
    "ivanova", "jensen", "kim", "larsen", "meyer", "novak", "okafor",
)  # fmt: skip
_DOMAINS = ("northwind.example", "northwind.example", "eu.northwind.example")
_TEAM_WEIGHTS = (10, 14, 12, 18, 6, 5, 12, 9, 5, 4, 3, 2)


@dataclass(frozen=True)
class Customer:
    customer_id: str
    plan: str


@dataclass(frozen=True)
class User:
    """A person; `teams` are one or two (from, team) steps. Contractors are in no HR list."""

    user_id: str
    teams: tuple[tuple[date, str], ...]
    joined: date = FOUNDED
    is_contractor: bool = False

    def team_on(self, day: date) -> str:
        since, team = self.teams[-1]
        return team if since <= day else self.teams[0][1]


@dataclass(frozen=True)
class ApiKey:
    """A LiteLLM key: what the gateway knows of it, and what the `api_keys` seed says."""

    key_hash: str
    alias: str
    gateway_user: str | None
    gateway_team: str | None
    team_only_as_id: bool
    owners: tuple[tuple[date, str | None, str | None], ...]
    """(from, owner_user_id, team_id) steps of the seed; empty when the seed doesn't know the key."""

    def owner_on(self, day: date) -> tuple[str | None, str | None]:
        steps = [(user, team) for since, user, team in self.owners if since <= day]
        return steps[-1] if steps else (None, None)


class Weighted(Generic[T]):
    """Draws items by weight; quicker than `Random.choices` for one item at a time."""

    def __init__(self, items: Sequence[T], weights: Iterable[float]) -> None:
        self._items = items
        self._bounds = list(accumulate(weights))
        self._total = self._bounds[-1]
        self._last = len(items) - 1

    def draw(self, rng: Random) -> T:
        return self._items[bisect_right(self._bounds, rng.random() * self._total, 0, self._last)]


def zipf(items: Sequence[T], exponent: float) -> Weighted[T]:
    """Draws with a skew: the first item is the most frequent."""
    return Weighted(items, ((rank + 1) ** -exponent for rank in range(len(items))))


@dataclass
class Organisation:
    users: list[User]
    customers: list[Customer]
    keys: list[ApiKey]
    reorganised_on: date
    user_draw: Weighted[User] = field(init=False)
    customer_draw: Weighted[Customer] = field(init=False)
    key_draw: Weighted[ApiKey] = field(init=False)
    members: dict[str, User] = field(init=False)

    def __post_init__(self) -> None:
        self.user_draw = zipf(self.users, 0.8)
        self.customer_draw = zipf(self.customers, 0.9)
        self.key_draw = zipf(self.keys, 0.7)
        self.members = {user.user_id: user for user in self.users if not user.is_contractor}

    def draw_user(self, rng: Random, day: date) -> User:
        """Someone who already works here on that day."""
        while True:
            user = self.user_draw.draw(rng)
            if user.joined <= day:
                return user

    def member_team(self, user_id: str, day: date) -> str | None:
        """What the HR list says."""
        user = self.members.get(user_id)
        return user.team_on(day) if user is not None and user.joined <= day else None

    def cost_center(self, team_id: str, day: date) -> str:
        if team_id == MOVED_TEAM and day >= self.reorganised_on:
            return MOVED_TO
        return TEAMS[team_id][1]


def build(seed: int, first: date, last: date) -> Organisation:
    """The organisation of a period. The re-organisation falls at three quarters of it."""
    rng = Random(f"{seed}:organisation")
    reorganised_on = first + timedelta(days=((last - first).days + 1) * 3 // 4)
    joined_late = first + timedelta(days=((last - first).days + 1) // 4)
    teams = list(TEAMS)
    users: list[User] = []
    names = [f"{first_name}.{last_name}" for last_name in _LAST for first_name in _FIRST]
    rng.shuffle(names)
    for index in range(USERS):
        contractor = index % 30 == 17
        domain = "contractors.example" if contractor else rng.choice(_DOMAINS)
        home = rng.choices(teams, weights=_TEAM_WEIGHTS)[0]
        steps = [(FOUNDED, home)]
        if index % 9 == 4 and not contractor:
            steps.append((reorganised_on, rng.choice([team for team in teams if team != home])))
        joined = joined_late if index % 25 == 11 and len(steps) == 1 else FOUNDED
        users.append(User(f"{names[index]}@{domain}", tuple(steps), joined, contractor))
    customers = [_customer(index) for index in range(CUSTOMERS)]
    keys = [_key(index, rng, users, reorganised_on) for index in range(KEYS)]
    return Organisation(users, customers, keys, reorganised_on)


def _customer(index: int) -> Customer:
    plan = ("enterprise", "pro", "free", "pro", "free")[index % 5]
    special = {3: "o'neill-legal", 20: "l'atelier-nord", 8: "MÜLLER-AG"}
    return Customer(special.get(index, f"cust-{index:04d}"), plan)


def _key(index: int, rng: Random, users: list[User], reorganised_on: date) -> ApiKey:
    """Five sorts of key, from fully known to unknown."""
    key_hash = f"{rng.getrandbits(256):064x}"
    user = users[index * 5 % USERS]
    other = users[(index * 5 + 3) % USERS]
    team = user.teams[0][1]
    match index % 5:
        case 0 | 1:
            return ApiKey(key_hash, f"personal-{index:02d}", user.user_id, team, False, ())
        case 2:
            seed = ((FOUNDED, user.user_id, team),)
            return ApiKey(key_hash, f"service-{index:02d}", None, team, index % 2 == 0, seed)
        case 3:
            steps: tuple[tuple[date, str | None, str | None], ...] = ((FOUNDED, user.user_id, team),)
            if index % 2 == 0:
                steps += ((reorganised_on, other.user_id, None),)
            return ApiKey(key_hash, f"legacy-{index:02d}", None, None, False, steps)
        case _:
            return ApiKey(key_hash, f"orphan-{index:02d}", None, None, False, ())


def write_seeds(org: Organisation, folder: Path) -> None:
    """The seeds about the organisation and its own model, as a user of the package would keep them."""
    folder.mkdir(parents=True, exist_ok=True)
    members: list[list[str]] = []
    for user in org.users:
        if user.is_contractor:
            continue
        for index, (since, team) in enumerate(user.teams):
            until = user.teams[index + 1][0].isoformat() if index + 1 < len(user.teams) else ""
            members.append([user.user_id, team, max(since, user.joined).isoformat(), until])
    write_csv(folder / "org_members.csv", ("user_id", "team_id", "valid_from", "valid_to"), members)

    teams: list[list[str]] = []
    moved = org.reorganised_on.isoformat()
    for team_id, (name, cost_center) in TEAMS.items():
        if team_id == MOVED_TEAM:
            teams.append([team_id, name, cost_center, FOUNDED.isoformat(), moved])
            teams.append([team_id, name, MOVED_TO, moved, ""])
        else:
            teams.append([team_id, name, cost_center, FOUNDED.isoformat(), ""])
    header: tuple[str, ...] = ("team_id", "team_name", "cost_center_id", "valid_from", "valid_to")
    write_csv(folder / "org_teams.csv", header, teams)

    keys: list[list[str]] = []
    for key in org.keys:
        for index, (since, owner, team_of_key) in enumerate(key.owners):
            until = key.owners[index + 1][0].isoformat() if index + 1 < len(key.owners) else ""
            keys.append([key.key_hash, key.alias, owner or "", team_of_key or "", since.isoformat(), until])
    header = ("api_key_id", "key_name", "owner_user_id", "team_id", "valid_from", "valid_to")
    write_csv(folder / "api_keys.csv", header, keys)

    own_model = [IN_HOUSE_MODEL, "", "", "Runs on our own servers: nobody bills its tokens"]
    write_csv(folder / "unpriced_models.csv", ("model_pattern", "valid_from", "valid_to", "reason"), [own_model])


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes one seed."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
