"""What `llm-spend doctor` must know about each warehouse: how things are called there, and what to grant."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from llm_spend.destinations.warehouse import Session, Warehouse
from llm_spend.errors import UserError


class Rights(ABC):
    """The rights of a user of a warehouse, and what to paste where one is missing.

    `connection` and `copying` are the warehouse's words for a first query and for the load of a file; `types` are its
    names for the columns of the row that is loaded on trial.
    """

    connection: ClassVar[str]
    copying: ClassVar[str]
    whole_number: ClassVar[str]
    types: ClassVar[Mapping[str, str]]
    session_has_zone: ClassVar[bool] = False

    @abstractmethod
    def introduce(self, session: Session) -> str:
        """Who and where we are. Raises when not even that can be asked."""

    @abstractmethod
    def to_connect(self) -> str:
        """What it takes to run a query."""

    @abstractmethod
    def to_use(self, schema: str) -> str:
        """What it takes to have a schema."""

    @abstractmethod
    def to_create(self, schema: str) -> str:
        """What it takes to have tables and views in a schema."""

    @abstractmethod
    def to_copy(self) -> str:
        """What it takes to load a file."""


class SnowflakeRights(Rights):
    """Of a role of Snowflake."""

    connection = "connection"
    copying = "stage and copy"
    whole_number = "bigint"
    types: ClassVar[Mapping[str, str]] = {
        "happened_at": "timestamp_ntz",
        "arrived_at": "timestamp_ltz",
        "amount": "number(38, 12)",
        "document": "variant",
    }
    session_has_zone = True
    facts = ("account", "region", "user", "role", "warehouse", "database", "version")

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._database = _snowflake_name(environment.get("database", "<database>"))
        self._role = _snowflake_name(environment.get("role", "<role>"))
        self._warehouse = _snowflake_name(environment.get("warehouse", "<warehouse>"))

    def introduce(self, session: Session) -> str:
        found: dict[str, Any] = {}
        for name in self.facts:
            with suppress(Exception):  # they are told as far as they can be asked
                found[name] = session.rows(f"select current_{name}()")[0][0]
        if not found:
            session.rows("select 1")
        if found.get("role"):
            self._role = _snowflake_name(found["role"])
        if "warehouse" in found and not found["warehouse"]:
            raise UserError("connected, but there is no warehouse to compute with")
        return ", ".join(f"{name} {value}" for name, value in found.items() if value)

    def to_connect(self) -> str:
        return (
            "Check account, user and password (or key), and whether a network policy lets you in. The role needs:\n"
            f"grant usage on warehouse {self._warehouse} to role {self._role};\n"
            f"grant usage on database {self._database} to role {self._role};\n"
            "Name them in [destination.snowflake.credentials]: warehouse, role, database."
        )

    def to_use(self, schema: str) -> str:
        return (
            f"grant usage, create schema on database {self._database} to role {self._role};\n"
            f"-- or create it for this role:\n"
            f"create schema if not exists {self._database}.{schema};\n{self.to_create(schema)}"
        )

    def to_create(self, schema: str) -> str:
        name = f"{self._database}.{schema}"
        return (
            f"grant usage, create table, create view on schema {name} to role {self._role};\n"
            f"grant ownership on all tables in schema {name} to role {self._role} copy current grants;\n"
            f"grant ownership on all views in schema {name} to role {self._role} copy current grants;"
        )

    def to_copy(self) -> str:
        return (
            "Files are staged in the storage of your account: a firewall must let you reach the hosts that"
            " `select system$allowlist();` lists. Nothing is to be granted: a table's stage belongs to its owner."
        )


class BigQueryRights(Rights):
    """Of a user or service account of BigQuery."""

    connection = "query job"
    copying = "load job"
    whole_number = "int64"
    types: ClassVar[Mapping[str, str]] = {
        "happened_at": "timestamp",
        "arrived_at": "timestamp",
        "amount": "bignumeric(38, 12)",
        "document": "json",
    }

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._project = environment.get("project", "<project>")
        self._location = environment.get("location", "<location>")
        self._member = _member(environment.get("client_email"))

    def introduce(self, session: Session) -> str:
        user = session.rows("select session_user()")[0][0]
        self._member = _member(user)
        return f"project {self._project}, location {self._location}, user {user}"

    def to_connect(self) -> str:
        return (
            f"gcloud services enable bigquery.googleapis.com --project={self._project}\n"
            f"gcloud projects add-iam-policy-binding {self._project}"
            f" --member={self._member} --role=roles/bigquery.user"
        )

    def to_use(self, schema: str) -> str:
        return (
            f"{self.to_connect()}\n-- or create it for this user:\n"
            f"create schema if not exists `{self._project}`.`{schema}` options (location = '{self._location}');\n"
            f"{self.to_create(schema)}"
        )

    def to_create(self, schema: str) -> str:
        return (
            f'grant `roles/bigquery.dataEditor` on schema `{self._project}`.`{schema}` to "{self._member}";\n'
            f"If the dataset lies elsewhere than in {self._location}: set DESTINATION__BIGQUERY__LOCATION to its place."
        )

    def to_copy(self) -> str:
        return self.to_connect()


def rights_of(destination: Warehouse, environment: Mapping[str, str]) -> Rights:
    """The rights in a destination; `environment` is its configuration, as far as it is known, without secrets."""
    return {"snowflake": SnowflakeRights, "bigquery": BigQueryRights}[destination.name](environment)


def _snowflake_name(name: str) -> str:
    return name if re.fullmatch(r"\w+|<\w+>", name) else f'"{name}"'


def _member(user: str | None) -> str:
    if not user:
        return "user:<you>"
    return f"{'serviceAccount' if user.endswith('.gserviceaccount.com') else 'user'}:{user}"
