"""The operations on SQLite, which lets one connection write at a time.

SQLite's own way to wait is to sleep, up to a tenth of a second, while the database is free; and whoever comes meanwhile
is first. Each connection also reads anew, at its next write, all that others have changed since its last one. So the
threads of a process take turns, and write by one connection.
"""

import os
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateField, DateTimeField, F, Field, ForeignKey, JSONField, QuerySet, UUIDField

from tenants.db.operations import Adapter, Description, Engine, Plan, Row, Statement, database_errors

# How a short transaction begins, is kept and is taken back: by itself, and within a caller's.
ALONE = ("BEGIN IMMEDIATE", ["COMMIT"], ["ROLLBACK"])
WITHIN = ("SAVEPOINT plan", ["RELEASE plan"], ["ROLLBACK TO plan", "RELEASE plan"])


class SQLite(Engine):
    def __init__(self) -> None:
        self._writing = threading.Lock()
        self._writer = Writer()

    def run_by(self, by: BaseDatabaseWrapper, sql: str, values: Sequence[Any]) -> list[Any]:
        with database_errors(by):
            cursor = by.connection.execute(_with_marks(sql), values)
            # To the end: a statement that is not read to its end keeps its locks.
            return list(cursor.fetchall()) if cursor.description else []

    def write(self, sql: str, values: Sequence[Any]) -> list[Any]:
        with self._turn() as by:
            return self.run_by(by, sql, values)

    def run_plan(self, plan: Plan) -> list[Any] | None:
        """Run the parts in a transaction that Django knows nothing of: its own takes longer than what is done in it."""
        with self._turn() as by:
            begin, keep, take_back = WITHIN if by.in_atomic_block else ALONE
            self.run_by(by, begin, [])
            is_kept = False
            try:
                rows = self._run_parts(by, plan)
                if rows is not None:
                    self._run_each(by, keep)
                    is_kept = True
                return rows
            finally:
                if not is_kept and by.connection.in_transaction:  # a disk that is full has ended it
                    self._run_each(by, take_back)

    def _run_each(self, by: BaseDatabaseWrapper, texts: Sequence[str]) -> None:
        for sql in texts:
            self.run_by(by, sql, [])

    def _run_parts(self, by: BaseDatabaseWrapper, plan: Plan) -> list[Any] | None:
        """Return the counters' rows; None as soon as a condition does not hold."""
        for sql, values in plan.writes:
            self.run_by(by, sql, values)
        if len(self.run_by(by, *plan.required)) != plan.required_count:
            return None
        sql, values = plan.holder
        holders = self.run_by(by, sql.format(after=""), values)
        if [tuple(row) for row in holders] != [tuple(plan.expected.values())]:
            return None
        sql, values = plan.counters
        rows = self.run_by(by, sql.format(after=""), values)
        return rows if len(rows) == plan.counters_count else None

    def locking(self, select: str) -> str:
        """Whoever writes has the whole file."""
        return select

    def table_of(self, types: Sequence[str], rows: Sequence[Sequence[Any]]) -> Statement:
        row = f"({', '.join(['%s'] * len(types))})"
        return Statement(f"VALUES {', '.join([row] * len(rows))}", [self.adapt(value) for row in rows for value in row])

    def typed(self, sql_type: str) -> str:
        return "%s"

    def adapter(self, field: "Field[Any, Any]") -> Adapter | None:
        match field:
            case ForeignKey():
                return self.adapter(field.target_field)
            case JSONField():
                return lambda value: connection.ops.adapt_json_value(value, field.encoder)
            case DateTimeField() | UUIDField():
                return self.adapt
            case DateField():
                return lambda value: field.get_db_prep_save(value, connection)
        return None

    def adapt(self, value: Any) -> Any:
        match value:
            case datetime():
                return _time_text(value)
            case UUID():
                return value.hex
        return value

    def claim(self, due: QuerySet[Row], limit: int, until: datetime, names: Collection[str] = ()) -> list[Row]:
        with transaction.atomic():
            oldest = due.order_by("due_at")
            claimed: list[Any] = list((oldest.only(*names) if names else oldest)[:limit])
            taken = due.model._default_manager.filter(pk__in=[row.pk for row in claimed])
            taken.update(due_at=until, fencing_token=F("fencing_token") + 1)
        for row in claimed:
            row.was_due, row.due_at = row.due_at, until
            row.fencing_token += 1
        return claimed

    def on_connect(self, connection: BaseDatabaseWrapper, **_: Any) -> None:
        """The settings' `init_command` says it all."""

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Others' writes wait for it."""
        with transaction.atomic():
            yield

    def describe(self) -> Description:
        return Description("SQLite: right for one host alone", one_host_only=True)

    @contextmanager
    def _turn(self) -> Iterator[BaseDatabaseWrapper]:
        """This thread's turn to write, and the connection to write by. A caller's transaction has the turn already."""
        here = connections[DEFAULT_DB_ALIAS]
        if here.in_atomic_block:
            yield here
            return
        with self._writing:
            yield self._writer.get(here)


class Writer:
    """The connection by which all threads of a process write; whoever has the turn may use it."""

    def __init__(self) -> None:
        self._opened: BaseDatabaseWrapper | None = None
        self._opened_for: tuple[int, str] = (0, "")

    def get(self, here: Any) -> BaseDatabaseWrapper:
        """Return the connection: another one in a process that was forked, or for another file. `here`: this thread's
        own, which it is for a database in memory: that exists in its connections alone."""
        if here.is_in_memory_db():
            return here  # type: ignore[no-any-return]
        wanted = os.getpid(), str(here.settings_dict["NAME"])
        if self._opened is None or self._opened_for != wanted:
            self._opened, self._opened_for = here.copy(), wanted
            self._opened.inc_thread_sharing()
        self._opened.close_if_unusable_or_obsolete()  # as Django does with each thread's own where a request begins
        return self._opened


@lru_cache(maxsize=1000)
def _with_marks(sql: str) -> str:
    """Put `?` in the place of each `%s`."""
    return sql.replace("%s", "?")


@lru_cache(maxsize=1000)
def _time_text(value: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(value)
