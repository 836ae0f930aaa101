"""The PostgreSQL database of a LiteLLM proxy: its spend log by windows of time, its own totals, and who it knows.

Facts (LiteLLM's schema): a row of `LiteLLM_SpendLogs` is written some seconds after its call, hours later when the
proxy had to wait for its database; it may change later; and it is deleted after the retention of the proxy. It is found
by its start, which has an index. Proxies of other versions lack columns and tables: what is there is looked up first.
A statement is answered with JSON lines that go from the server into the file as they come. Bodies are never asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson
import psycopg
from psycopg import errors, pq
from psycopg.conninfo import make_conninfo

from llm_spend.errors import UserError, first_line
from llm_spend.log import redact
from llm_spend.readers.api.source import ApiSource, Listing, NotAllowedError, Stream, secret
from llm_spend.readers.api.spool import CutOffError, Spool
from llm_spend.readers.sql import identifier, quote
from llm_spend.schema import REQUESTS
from llm_spend.sources import litellm_lists as lists
from llm_spend.sources.expressions import PROMPT_HASH
from llm_spend.sources.litellm import SPEND_LOGS
from llm_spend.sources.shared_tables import limit_usage_format, limits_format, members_format, totals_format
from llm_spend.windows import Window

SPEND_TABLE = "LiteLLM_SpendLogs"
LOOK_BACK = timedelta(days=1)
REACH = timedelta(days=7)
"""How long after its day has been asked for again a changed row is still found."""

_LOG_COLUMNS = (
    "request_id", "call_type", "api_key", "spend", "total_tokens", "prompt_tokens", "completion_tokens", "startTime",
    "endTime", "completionStartTime", "request_duration_ms", "model", "model_id", "model_group", "custom_llm_provider",
    "api_base", "user", "cache_hit", "request_tags", "team_id", "organization_id", "end_user", "session_id", "status",
    "litellm_call_id", "updated_at", "cache_key",
)  # fmt: skip
_TIMES = ("startTime", "endTime", "completionStartTime", "updated_at")
_NEEDED_COLUMNS = ("request_id", "startTime", "endTime", "spend", "model", "prompt_tokens", "completion_tokens")
_METADATA_TEXTS = (
    "user_api_key_alias", "user_api_key_user_email", "user_api_key_team_id", "user_api_key_team_alias",
    "user_api_key_org_id", "user_api_key_project_id", "user_api_key_project_alias", "original_model_group",
    "is_silent_experiment", "litellm_call_id", "status",
)  # fmt: skip
_METADATA_DOCUMENTS = ("spend_logs_metadata", "usage_object", "additional_usage_values", "cost_breakdown")
# Messages of errors and what guardrails say may repeat the prompt.
_WITH_BODIES = ("error_information", "guardrail_information")
_ERROR = (
    "error_code", "error_class", "error_rate_limit_category", "error_rate_limit_type", "error_budget_entity_type",
    "error_budget_entity_id",
)  # fmt: skip
_ERROR_SQL = (
    "CASE WHEN jsonb_typeof(given.error_information) = 'object' THEN jsonb_build_object("
    + ", ".join(f"{quote(name)}, given.error_information -> {quote(name)}" for name in _ERROR)
    + ") END AS error_information"
)
_GUARDRAIL_SQL = (
    """CASE WHEN given.guardrail_information @> '[{"guardrail_status": "guardrail_intervened"}]'"""
    " THEN 'guardrail_intervened' END AS guardrail_status"
)

# By table of totals: the dimensions that are made of it, and the column that says the member; None: all of it.
_TOTALS: Mapping[str, Mapping[str, str | None]] = {
    "LiteLLM_DailyUserSpend": {"all": None, "user": "user_id", "model": "model", "api_key": "api_key"},
    "LiteLLM_DailyTeamSpend": {"team": "team_id"},
    "LiteLLM_DailyOrganizationSpend": {"organization": "organization_id"},
    "LiteLLM_DailyEndUserSpend": {"end_user": "end_user_id"},
    "LiteLLM_DailyTagSpend": {"tag": "tag"},
}

_TRIES = 3
# In seconds, and the last one in milliseconds.
_PATIENCE = {"connect_timeout": "10", "keepalives_idle": "30", "tcp_user_timeout": "60000"}
_STATEMENT_LIMIT = "30min"
_LATER = "Run it again later: what was loaded is kept."
# A row is one value of a format that quotes nothing in it: JSON has no control characters.
_AS_LINES = "(FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Address:
    """Where a database is: what libpq takes, and the schema of the tables; None for the usual one."""

    settings: Mapping[str, str]
    schema: str | None = None
    database_url: str = field(default="", repr=False)

    @staticmethod
    def of(url: str) -> Address:
        """The address in a URL as the proxy has it in DATABASE_URL. Raises UserError, which does not show it."""
        try:
            parts = urlsplit(url)
            port, host, user, password = parts.port, parts.hostname, parts.username, parts.password
            options = dict(parse_qsl(parts.query))
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("postgres", "postgresql"):
            raise UserError(
                "`database_url` of LiteLLM is no address of a PostgreSQL database.",
                "It is postgresql://user:password@host:5432/database, with %-signs for special characters in the"
                " password; the proxy has it as DATABASE_URL.",
            )
        known = {each.keyword.decode() for each in pq.Conninfo.get_defaults()}
        # Prisma, which the proxy uses, takes options that PostgreSQL's own library refuses.
        settings = {name: value for name, value in options.items() if name in known}
        given = {"host": host, "port": port and str(port), "user": user, "password": password}
        settings |= {name: unquote(value) for name, value in given.items() if value}
        if database := parts.path.strip("/"):
            settings["dbname"] = unquote(database)
        return Address(settings, options.get("schema"), url)

    def without_secrets(self, text: str) -> str:
        """A message that shows neither the password nor the address."""
        for hidden in (self.database_url, self.settings.get("password")):
            if hidden:
                text = text.replace(hidden, "***")
        return redact(text)


class LiteLLMDatabase:
    """Reads the database of one proxy. `clock` gives naive UTC times."""

    def __init__(
        self,
        address: Address,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC).replace(tzinfo=None),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._address = address
        self._clock = clock
        self._sleep = sleep
        self._connection: psycopg.Connection[Any] | None = None
        self._known_columns: Mapping[str, frozenset[str]] | None = None
        self._new_numbers: tuple[str, ...] = ()

    def __enter__(self) -> LiteLLMDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def check(self) -> str:
        columns = self._columns_of_log()
        changes = "" if "updated_at" in columns else ", which does not tell of late changes (an older proxy)"
        return f"the spend log can be read{changes}"

    def fetch_requests(self, window: Window, spool: Spool) -> None:
        """Write the rows of the spend log that started in a window."""
        columns = self._columns_of_log()
        self._copy(spend_logs_sql(columns, window, self._new_numbers), spool)

    def changed_days(self, since: datetime) -> dict[date, datetime]:
        """By day of the spend log, when a row of it was last changed after its windows had been asked for again."""
        columns = self._columns_of_log()
        if "updated_at" not in columns:
            return {}
        return {day: at for day, at in self._query(changed_days_sql(since, self._clock()))}

    def fetch_totals(self, window: Window, spool: Spool) -> None:
        """Write what the proxy itself added up for the day of a window. Raises NotAllowedError."""
        for table, dimensions in _TOTALS.items():
            if columns := self._columns(table):
                for dimension, member in dimensions.items():
                    if not member or member in columns:
                        self._copy(totals_sql(table, columns, dimension, member, window.start.date()), spool)

    def fetch_members(self, spool: Spool) -> None:
        """Write the keys, teams, users and other members, deleted ones too."""
        for owner in lists.OWNERS:
            rows = self._rows(owner.table)
            spool.add_rows(list(lists.members(owner, rows)))
            if archive := lists.ARCHIVES.get(owner.table):
                known = {owner.identify(row) for row in rows}
                deleted = [row for row in self._rows(archive, like=owner.table) if owner.identify(row) not in known]
                spool.add_rows(list(lists.members(owner, deleted, are_deleted=True)))

    def fetch_limits(self, spool: Spool) -> None:
        """Write the budgets and rate limits of all members."""
        spool.add_rows(lists.limit_rows(list(self._limits())))

    def fetch_limit_usage(self, spool: Spool) -> None:
        """Write what the proxy has counted against its budgets."""
        spool.add_rows(lists.usage_rows(list(self._limits())))

    def _limits(self) -> Iterator[lists.Limit]:
        now = self._clock()
        counters = lists.Counters.of(self._rows("LiteLLM_BudgetTable"), self._rows("LiteLLM_BudgetWindowSpend"))
        for owner in lists.OWNERS:
            yield from lists.limits_of(owner, self._rows(owner.table), counters, now)
        yield from lists.limits_of_memberships(self._rows("LiteLLM_TeamMembership"), counters, now)

    def _rows(self, table: str, like: str | None = None) -> list[dict[str, Any]]:
        """The rows of a table that a version of the proxy may lack, with the columns that say something."""
        available = self._columns(table)
        names = [name for name in lists.COLUMNS[like or table] if name in available]
        if not names:
            return []
        selected = ", ".join(identifier(name) for name in names)
        lines = f"SELECT row_to_json(t)::text FROM (SELECT {selected} FROM {identifier(table)}) AS t"
        return [orjson.loads(line) for (line,) in self._query(lines)]

    def _columns_of_log(self) -> frozenset[str]:
        found = self._columns(SPEND_TABLE)
        if lacking := [name for name in _NEEDED_COLUMNS if name not in found]:
            where = f"schema {self._address.schema!r}" if self._address.schema else "the schema"
            raise UserError(
                f"There is no table {SPEND_TABLE} with {', '.join(lacking)} in {where} of the database of LiteLLM.",
                "Check the database in `database_url` of [sources.litellm], and its ?schema=.",
            )
        return found

    def _columns(self, table: str) -> frozenset[str]:
        """The columns of a table that may be read; none when there is no such table. Raises NotAllowedError."""
        if self._known_columns is None:
            found: dict[str, set[str]] = {}
            new = set()
            for name, column, is_allowed, is_number in self._query(_COLUMNS_SQL):
                found.setdefault(name, set()).update([column] if is_allowed else [])
                if name == SPEND_TABLE and is_allowed and is_number and column not in _LOG_COLUMNS:
                    new.add(column)
            self._new_numbers = tuple(sorted(new))
            self._known_columns = {name: frozenset(columns) for name, columns in found.items()}
        columns = self._known_columns.get(table)
        if columns is not None and not columns:
            raise NotAllowedError(
                f"The user of the database of LiteLLM may not read {table}.",
                f"GRANT SELECT ON {identifier(table)} TO it; of {identifier(SPEND_TABLE)} the columns without"
                " messages, response and proxy_server_request are enough.",
            )
        return columns or frozenset()

    def _query(self, query: str) -> list[tuple[Any, ...]]:
        def ask(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
            return connection.execute(query).fetchall()

        return self._tried(ask)

    def _copy(self, query: str, spool: Spool) -> None:
        """Write the rows of a query, each of which is one JSON object."""

        def copy(connection: psycopg.Connection[Any]) -> None:
            rows, size = spool.rows, spool.size
            with connection.cursor() as cursor:

                def receive(target: Any) -> None:
                    with cursor.copy(f"COPY ({query}) TO STDOUT {_AS_LINES}") as lines:
                        for line in lines:
                            target.write(line)

                found = spool.add_lines(receive)
                if found != cursor.rowcount:
                    spool.taken_back(rows, size)
                    raise CutOffError(f"{cursor.rowcount:,} rows were sent and {found:,} came")

        self._tried(copy)

    def _tried(self, work: Callable[[psycopg.Connection[Any]], _T]) -> _T:
        """What `work` gives in a transaction that reads, tried again when a connection breaks."""
        for tried in range(1, _TRIES + 1):
            try:
                with self._reading() as connection:
                    return work(connection)
            except errors.InsufficientPrivilege as error:
                raise NotAllowedError(
                    f"The database of LiteLLM refused: {self._said(error)}.", "GRANT SELECT on it to the user."
                ) from None
            except (psycopg.OperationalError, psycopg.InterfaceError, CutOffError) as error:
                self._close()
                if tried == _TRIES or not _may_pass(error):
                    raise UserError(
                        f"The database of LiteLLM can't be read: {self._said(error)}.", _remedy(str(error))
                    ) from None
                self._sleep(2.0 ** (tried - 1))
            except psycopg.Error as error:
                raise UserError(
                    f"The database of LiteLLM refused a question: {self._said(error)}.",
                    "Report this as a bug, with the version of the proxy.",
                ) from None
        raise AssertionError("unreachable")

    @contextmanager
    def _reading(self) -> Iterator[psycopg.Connection[Any]]:
        if self._connection is None:
            self._connection = psycopg.connect(
                make_conninfo("", **{**_PATIENCE, **self._address.settings}),
                application_name="llm-spend",
                client_encoding="utf-8",
                # A pooler may give another connection to the next statement.
                prepare_threshold=None,
            )
        with self._connection.transaction():
            self._connection.execute(_settings_sql(self._address.schema))
            yield self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _said(self, error: Exception) -> str:
        return self._address.without_secrets(" ".join(first_line(error).split())).rstrip(".")


_COLUMNS_SQL = """
SELECT class.relname, attribute.attname, has_column_privilege(class.oid, attribute.attnum, 'SELECT'),
attribute.atttypid::regtype::text IN ('smallint', 'integer', 'bigint', 'real', 'double precision', 'numeric', 'boolean')
FROM pg_catalog.pg_class AS class
INNER JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
INNER JOIN pg_catalog.pg_attribute AS attribute ON attribute.attrelid = class.oid
WHERE namespace.nspname = current_schema() AND class.relkind IN ('r', 'p', 'v', 'm', 'f')
AND starts_with(class.relname, 'LiteLLM_') AND attribute.attnum > 0 AND NOT attribute.attisdropped
"""


def _settings_sql(schema: str | None) -> str:
    path = f" SET LOCAL search_path = {identifier(schema)};" if schema else ""
    # Amounts come with all their digits, and times in UTC.
    return (
        f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '{_STATEMENT_LIMIT}';{path}"
        " SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL extra_float_digits = 3"
    )


def spend_logs_sql(columns: Iterable[str], window: Window, new: Iterable[str] = ()) -> str:
    """A SELECT of one JSON object a row of the spend log that started in a window, of the columns that there are.

    `new`: columns that nobody knows here, which hold no text: the loader tells of them and keeps them.
    """
    available = set(columns)
    selected = [_selected(name) for name in (*_LOG_COLUMNS, *new) if name in available]
    metadata = ""
    if "metadata" in available:
        # A document is unpacked once, and only what is needed of it goes on.
        document = "CASE WHEN jsonb_typeof(log.metadata) = 'object' THEN log.metadata ELSE '{}' END"
        fields = [f"{identifier(name)} text" for name in _METADATA_TEXTS]
        fields += [f"{identifier(name)} jsonb" for name in (*_METADATA_DOCUMENTS, *_WITH_BODIES)]
        kept = [f"given.{identifier(name)}" for name in (*_METADATA_TEXTS, *_METADATA_DOCUMENTS)]
        metadata = (
            f" CROSS JOIN LATERAL (SELECT {', '.join([*kept, _ERROR_SQL, _GUARDRAIL_SQL])}"
            f" FROM jsonb_to_record({document}) AS given({', '.join(fields)})) AS kept"
        )
        selected.append("kept AS metadata")
    return (
        f"SELECT row_to_json(line) FROM (SELECT {', '.join(selected)} FROM {identifier(SPEND_TABLE)} AS log{metadata}"
        f' WHERE log."startTime" >= {_literal(window.start)} AND log."startTime" < {_literal(window.end)}) AS line'
    )


def _selected(name: str) -> str:
    column = f"log.{identifier(name)}"
    # Text that says that it is UTC is read fastest.
    if name == "cache_key":
        # A key that somebody made himself may repeat the prompt.
        return f"(regexp_match(lower(trim({column})), {quote(PROMPT_HASH)}))[2] AS {identifier(name)}"
    as_text = f'to_char({column}, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') AS {identifier(name)}'
    return as_text if name in _TIMES else column


def changed_days_sql(since: datetime, now: datetime) -> str:
    """A SELECT of the days with rows that may have changed after they had been asked for again, and when.

    A window may end right after its row, so what was changed from `LOOK_BACK` after the row on may have been missed.
    """
    first = now - LOOK_BACK - timedelta(days=1) - REACH
    day = "date_trunc('day', \"startTime\")"
    return (
        f"SELECT CAST({day} AS date), max(updated_at) FROM {identifier(SPEND_TABLE)}"
        f' WHERE "startTime" >= {_literal(first)} AND updated_at >= {_literal(since)}'
        f" AND updated_at >= \"startTime\" + interval '{LOOK_BACK.days} days' GROUP BY 1"
    )


def totals_sql(table: str, columns: Iterable[str], dimension: str, member: str | None, day: date) -> str:
    """A SELECT of one JSON object for each member of a dimension, with what a table of totals has of a day."""
    available = set(columns)

    def total(*names: str) -> str:
        if not available.issuperset(names):
            return "NULL"
        return f"CAST(sum({' + '.join(identifier(name) for name in names)}) AS text)"

    cached = ("cache_read_input_tokens", "cache_creation_input_tokens")
    raw = ", ".join(f"{quote(name)}, {total(name)}" for name in cached)
    of_member = f"nullif({identifier(member)}, '')" if member else "NULL"
    values = {
        "bucket_start": quote(f"{day}T00:00:00Z"),
        "bucket_end": quote(f"{day + timedelta(days=1)}T00:00:00Z"),
        "dimension": quote(dimension),
        "member": of_member,
        "requests": total("api_requests"),
        "errors": total("failed_requests"),
        "input_tokens": total("prompt_tokens"),
        "output_tokens": total("completion_tokens"),
        "total_tokens": total("prompt_tokens", "completion_tokens"),
        # The text of a float has all its digits; a numeric of it has fifteen.
        "cost_amount": "CAST(sum(CAST(CAST(spend AS text) AS numeric)) AS text)",
        "cost_unit": "'usd'",
        "raw": f"json_build_object({raw})",
    }
    pairs = ", ".join(f"{quote(name)}, {value}" for name, value in values.items())
    grouped = f"GROUP BY {of_member}" if member else "HAVING count(*) > 0"
    return f'SELECT json_build_object({pairs}) FROM {identifier(table)} WHERE "date" = {quote(str(day))} {grouped}'


def _literal(moment: datetime) -> str:
    return f"timestamp {quote(moment.isoformat(sep=' '))}"


_REFUSALS = ("password authentication", "no pg_hba.conf entry", "does not exist", "not permitted", "certificate")


def _may_pass(error: Exception) -> bool:
    return not any(word in str(error) for word in _REFUSALS)


def _remedy(said: str) -> str:
    if "password authentication" in said or "role" in said:
        return "Check the user and the password in `database_url` of [sources.litellm]."
    if not any(word in said for word in _REFUSALS):
        return f"Check the address in `database_url` and the network. {_LATER}"
    return "Check `database_url` of [sources.litellm], and that the database lets this machine in."


@contextmanager
def _opened(instance: str) -> Iterator[LiteLLMDatabase]:
    address = Address.of(secret("litellm", instance, "database_url", "address of LiteLLM's database"))
    with LiteLLMDatabase(address) as database:
        yield database


STREAMS = (
    Stream(
        REQUESTS,
        SPEND_LOGS,
        "startTime",
        LiteLLMDatabase.fetch_requests,
        look_back=(LOOK_BACK,),
        changed=LiteLLMDatabase.changed_days,
    ),
    Stream("totals", totals_format("litellm"), "bucket_start", LiteLLMDatabase.fetch_totals, whole_days=True),
)
LISTINGS = (
    Listing("members", members_format("litellm"), LiteLLMDatabase.fetch_members),
    Listing("limits", limits_format("litellm"), LiteLLMDatabase.fetch_limits),
    Listing("limit_usage", limit_usage_format("litellm"), LiteLLMDatabase.fetch_limit_usage),
)
DATABASE = ApiSource("litellm", _opened, STREAMS, LISTINGS)
