"""Implements the operations for PostgreSQL."""

import json
import select
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, DataError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, JSONField, QuerySet
from psycopg.errors import (
    DiskFull,
    DivisionByZero,
    IdleInTransactionSessionTimeout,
    ReadOnlySqlTransaction,
    UndefinedColumn,
    UndefinedTable,
)
from psycopg.sql import Literal

from tenants.db import clock, postgresql_server
from tenants.db.operations import Adapter, Description, Engine, Plan, Risk, Row, Statement, database_errors

# A host that is cut off from the database cannot close its connections. The server would keep the locks of the host's
# transaction until TCP gives up, after two hours on most systems, and claims would skip those rows all that time.
MAX_IDLE_IN_TRANSACTION = timedelta(seconds=15)  # a transaction here takes milliseconds, and waits for nothing

# The whole plan as one statement. The last line divides by zero, which rolls the statement back, unless all counters
# had capacity, no required row is missing, and the locked holder is as expected. A counter's capacity is checked on the
# row as it is once locked, as in a statement of its own. Each locking part names the part before it, so that all plans
# lock in one order. To lock and judge before writing took twice the time.
PLAN = """
WITH {writes}, required AS ({required}), holder AS ({holder}), counters AS ({counters})
SELECT 1 / COALESCE(((SELECT count(*) FROM counters) = %s AND (SELECT count(*) FROM required) = %s AND (
    SELECT to_jsonb(holder) FROM holder
) = CAST(%s AS jsonb))::int, 0), (SELECT COALESCE(json_agg(json_build_array({returning})), '[]') FROM counters)
"""
AFTER_REQUIRED = "AND (SELECT count(*) FROM required) >= 0"
AFTER_HOLDER = "AND (SELECT count(*) FROM holder) >= 0"
# The CTE fences the LIMIT: PostgreSQL may run a subquery of the UPDATE again for each row, and so claim all rows.
# NO KEY: rows that refer to the claimed ones can be written at the same time.
CLAIM = """
WITH picked AS MATERIALIZED ({due} LIMIT %s FOR NO KEY UPDATE SKIP LOCKED)
UPDATE {table} SET due_at = %s, turn = turn + 1 FROM picked WHERE {table}.id = picked.id
RETURNING {columns}, picked.due_at AS was_due
"""


class PostgreSQL(Engine):
    """The engine for PostgreSQL."""

    indexes_online = True

    def run(self, sql: str, values: Sequence[Any], *, prepare: bool = True) -> list[Any]:
        here = connections[DEFAULT_DB_ALIAS]  # `connection` would look it up at each attribute
        if here.connection and not here.in_atomic_block:
            _close_if_cut(here.connection)
        return self.run_on(here, sql, values, prepare=prepare)

    def run_on(self, by: BaseDatabaseWrapper, sql: str, values: Sequence[Any], *, prepare: bool = True) -> list[Any]:
        with database_errors(by):
            # With the server's own `$1`: Django's cursor would write each value into the text, and the driver's cursor
            # would parse a text of more than fifty values each time, which took two fifths of a create.
            cursor: Any = psycopg.RawCursor(by.connection)
            cursor.execute(_numbered(sql), values, prepare=None if prepare else False)
            # Not `description`: psycopg would build an object for each column, a tenth of a read.
            return list(cursor.fetchall()) if cursor.rownumber is not None else []

    def run_plan(self, plan: Plan) -> list[Any] | None:
        texts = [statement.sql for statement in plan.writes]
        sql = _plan_text(tuple(texts), plan.required.sql, plan.holder.sql, plan.counters.sql, plan.returning)
        values = [value for statement in plan.writes for value in statement.values]
        values += [*plan.required.values, *plan.holder.values, *plan.counters.values]
        values += [plan.counters_count, plan.required_count, json.dumps(plan.expected)]
        try:
            with transaction.atomic() if connection.in_atomic_block else nullcontext():
                [[_, rows]] = self.run(sql, values)
        except DataError as error:
            if isinstance(error.__cause__, DivisionByZero):
                return None
            raise
        return list(rows)

    def with_row_locks(self, select: str) -> str:
        return f"{select} FOR NO KEY UPDATE"

    def lock(self, name: str, *, shared: bool) -> None:
        function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        self.run(f"SELECT {function}(%s)", [zlib.crc32(name.encode())])

    def table_of_rows(self, types: Sequence[str], rows: Sequence[Sequence[Any]]) -> Statement:
        """Return the rows as one array for each column, so that the text is the same for any number of rows."""
        arrays = ", ".join(f"%s::{sql_type}[]" for sql_type in types)
        columns = [list(column) for column in zip(*rows, strict=True)]
        return Statement(f"SELECT * FROM unnest({arrays})", columns)  # noqa: S608

    def typed_placeholder(self, sql_type: str) -> str:
        return f"CAST(%s AS {sql_type})"

    def adapter(self, field: "Field[Any, Any]") -> Adapter | None:
        target = _target(field)
        if isinstance(target, JSONField):
            return lambda value: connection.ops.adapt_json_value(value, target.encoder)
        return None

    def adapt(self, value: Any) -> Any:
        return value

    def claim(self, due: QuerySet[Row], limit: int, until: datetime, names: Collection[str] = ()) -> list[Row]:
        model = due.model
        table = f'"{model._meta.db_table}"'
        picked, parameters = due.order_by("due_at").values("id", "due_at").query.sql_with_params()
        # Strings are literals: once a statement is prepared, a parameter does not match a partial index.
        picked %= tuple(Literal(value).as_string() if isinstance(value, str) else "%s" for value in parameters)
        fields = [field for field in model._meta.concrete_fields if field.attname in names]
        columns = ", ".join(f'{table}."{field.column}"' for field in fields) or f"{table}.*"
        sql = CLAIM.format(due=picked, table=table, columns=columns)
        values = [*(value for value in parameters if not isinstance(value, str)), limit, until]
        if not names:
            return list(model._default_manager.raw(sql, values))
        rows = self.run(sql, values)
        claimed: list[Any] = self.build_rows(model, names, [row[:-1] for row in rows])
        for claim, row in zip(claimed, rows, strict=True):
            claim.was_due = row[-1]
        return claimed

    def on_connect(self, connection: BaseDatabaseWrapper, **_: Any) -> None:
        """Let the server end a transaction that is idle for MAX_IDLE_IN_TRANSACTION, and read its clock.

        The limit is set by a statement, since some poolers refuse parameters of the connection's start.
        """
        milliseconds = MAX_IDLE_IN_TRANSACTION // timedelta(milliseconds=1)
        asked_at = datetime.now(UTC)
        set_up = f"SELECT set_config('idle_in_transaction_session_timeout', '{milliseconds}', false), clock_timestamp()"
        _, at = connection.connection.execute(set_up).fetchone()
        clock.remember(asked_at, at, datetime.now(UTC))

    def clock_difference(self) -> timedelta:
        asked_at = datetime.now(UTC)
        [[at]] = self.run("SELECT clock_timestamp()", [])
        return clock.difference(asked_at, at, datetime.now(UTC))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Open a read-only snapshot that no writer waits for; in a caller's transaction, a savepoint of that."""
        outermost = not connection.in_atomic_block
        with transaction.atomic():
            if outermost:
                self.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", [])
            yield

    def durability_risks(self) -> list[Risk]:
        settings = dict(self.run(postgresql_server.DURABILITY, []))
        return postgresql_server.durability_risks(settings, self.run(postgresql_server.STANDBYS, []))

    def why_no_writes(self) -> str:
        [[is_standby, read_only]] = self.run("SELECT pg_is_in_recovery(), current_setting('transaction_read_only')", [])
        if is_standby:
            return "The database server is a standby, which takes no writes."
        return "The database is read-only." if read_only == "on" else ""

    def is_refused_write(self, error: Exception) -> bool:
        return isinstance(error.__cause__, DiskFull | ReadOnlySqlTransaction)

    def is_outage(self, error: Exception) -> bool:
        older_schema_or_cut = UndefinedTable | UndefinedColumn | IdleInTransactionSessionTimeout
        return super().is_outage(error) or isinstance(error.__cause__, older_schema_or_cut)

    def migration_lock(self, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
        return postgresql_server.migration_lock(connections[DEFAULT_DB_ALIAS].copy(), on_wait)

    def describe(self) -> Description:
        query = "SELECT current_setting('server_version'), current_setting('max_connections')::int, now()"
        [[version, max_connections, at]] = self.run(query, [])
        return Description(f"PostgreSQL {version}, {max_connections} connections", at, max_connections)


def _close_if_cut(pooled: Any) -> None:
    """Close a connection that a restart of the server has cut, so that the next statement opens another one.

    A cut connection has something to read, which `poll` sees without a round trip. Django would query the server
    before each request's first statement.
    """
    if not pooled.closed:
        poll = select.poll()
        poll.register(pooled.fileno(), select.POLLIN)
        if not poll.poll(0) or connection.is_usable():
            return
    connection.close()


@lru_cache(maxsize=1000)
def _numbered(sql: str) -> str:
    """Return the SQL with `$1, $2, …` in the place of each `%s`."""
    first, *rest = sql.split("%s")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))


@cache
def _plan_text(writes: tuple[str, ...], required: str, holder: str, counters: str, returning: str) -> str:
    """Return the plan's one statement, from the SQL of its parts."""
    lock = PostgreSQL().with_row_locks
    return PLAN.format(
        writes=", ".join(f"write_{number} AS ({sql})" for number, sql in enumerate(writes)),
        required=lock(required),
        holder=lock(holder.format(after=AFTER_REQUIRED)),
        counters=counters.format(after=AFTER_HOLDER),
        returning=returning,
    )


def _target(field: "Field[Any, Any]") -> "Field[Any, Any]":
    """Return the field that a foreign key refers to at last, or the field itself."""
    return _target(field.target_field) if field.remote_field else field  # type: ignore[attr-defined]
