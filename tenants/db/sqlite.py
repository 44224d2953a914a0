"""Implements the operations for SQLite, which lets one connection write at a time.

SQLite waits by sleeping, up to a tenth of a second. In that time the database may be free, or a later writer comes
first. Each connection also reads again, at its next write, all that other connections have changed. So the threads of
a process take turns, and write by one connection.
"""

import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import (
    DateField,
    DateTimeField,
    DurationField,
    F,
    Field,
    ForeignKey,
    JSONField,
    QuerySet,
    UUIDField,
)

from tenants.db.operations import Adapter, Description, Engine, Plan, Risk, Row, Statement, database_errors

MIN_DISK_BYTES = 8 * 1024**2  # a write-ahead log grows to some MB before SQLite starts again at its beginning
# The statements that begin, commit and roll back a plan: by itself, and within a caller's transaction.
ALONE = ("BEGIN IMMEDIATE", ["COMMIT"], ["ROLLBACK"])
WITHIN = ("SAVEPOINT plan", ["RELEASE plan"], ["ROLLBACK TO plan", "RELEASE plan"])


class SQLite(Engine):
    """The engine for SQLite."""

    indexes_online = False

    def __init__(self) -> None:
        self._writing = threading.Lock()
        self._writer = Writer()

    def run_on(self, by: BaseDatabaseWrapper, sql: str, values: Sequence[Any], *, prepare: bool = True) -> list[Any]:
        with database_errors(by):
            cursor = by.connection.execute(_with_marks(sql), values)
            # To the end: a statement that is not read to its end keeps its locks.
            return list(cursor.fetchall()) if cursor.description else []

    def write(self, sql: str, values: Sequence[Any]) -> list[Any]:
        with self._exclusive_writer() as by:
            return self.run_on(by, sql, values)

    def run_plan(self, plan: Plan) -> list[Any] | None:
        """Run the parts in a transaction of plain SQL: Django's own would take longer than the statements in it."""
        with self._exclusive_writer() as by:
            begin, commit, roll_back = WITHIN if by.in_atomic_block else ALONE
            self.run_on(by, begin, [])
            is_committed = False
            try:
                rows = self._run_parts(by, plan)
                if rows is not None:
                    self._run_each(by, commit)
                    is_committed = True
                return rows
            finally:
                if not is_committed and by.connection.in_transaction:  # a full disk has ended the transaction already
                    self._run_each(by, roll_back)

    def _run_each(self, by: BaseDatabaseWrapper, texts: Sequence[str]) -> None:
        """Run statements that have no values."""
        for sql in texts:
            self.run_on(by, sql, [])

    def _run_parts(self, by: BaseDatabaseWrapper, plan: Plan) -> list[Any] | None:
        """Run the plan's parts and return the rows of its counters. Return None if a condition does not hold."""
        for sql, values in plan.writes:
            self.run_on(by, sql, values)
        if len(self.run_on(by, *plan.required)) != plan.required_count:
            return None
        sql, values = plan.holder
        holders = self.run_on(by, sql.format(after=""), values)
        expected = list(plan.expected.values())
        if [_decode_lists(row, expected) for row in holders] != [expected]:
            return None
        sql, values = plan.counters
        rows = self.run_on(by, sql.format(after=""), values)
        return rows if len(rows) == plan.counters_count else None

    def with_row_locks(self, select: str) -> str:
        """Return the SELECT as it is: a writer locks the whole file."""
        return select

    def lock(self, name: str, *, shared: bool) -> None:
        """Do nothing: a transaction here begins with the lock of all writers."""

    def table_of_rows(self, types: Sequence[str], rows: Sequence[Sequence[Any]]) -> Statement:
        row = f"({', '.join(['%s'] * len(types))})"
        return Statement(f"VALUES {', '.join([row] * len(rows))}", [self.adapt(value) for row in rows for value in row])

    def typed_placeholder(self, sql_type: str) -> str:
        return "%s"

    def adapter(self, field: "Field[Any, Any]") -> Adapter | None:
        match field:
            case ForeignKey():
                return self.adapter(field.target_field)
            case JSONField():
                return lambda value: connection.ops.adapt_json_value(value, field.encoder)
            case DateTimeField() | UUIDField():
                return self.adapt
            case DateField() | DurationField():
                return lambda value: field.get_db_prep_save(value, connection)
        return None

    def adapt(self, value: Any) -> Any:
        match value:
            case datetime():
                return _time_text(value)
            case date():
                return value.isoformat()
            case UUID():
                return value.hex
        return value

    def claim(self, due: QuerySet[Row], limit: int, until: datetime, names: Collection[str] = ()) -> list[Row]:
        with transaction.atomic():
            oldest, fields = due.order_by("due_at"), [field.attname for field in due.model._meta.concrete_fields]
            known = [name for name in fields if name in (names or fields)]
            claimed: list[Any] = self.build_rows(due.model, known, oldest.values_list(*known)[:limit])
            rows = due.model._default_manager.filter(pk__in=[row.pk for row in claimed])
            rows.update(due_at=until, fencing_token=F("fencing_token") + 1)
        for row in claimed:
            row.was_due, row.due_at = row.due_at, until
            row.fencing_token += 1
        return claimed

    def on_connect(self, connection: BaseDatabaseWrapper, **_: Any) -> None:
        """Do nothing: the settings' `init_command` sets up a connection."""

    def clock_difference(self) -> timedelta:
        return timedelta(0)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Open a transaction; writes of other connections wait for its end."""
        with transaction.atomic():
            yield

    def durability_risks(self) -> list[Risk]:
        """Return none: the settings of a connection let each commit wait for the disk."""
        return []

    def why_no_writes(self) -> str:
        here: Any = connections[DEFAULT_DB_ALIAS]
        if here.is_in_memory_db():
            return ""
        path = Path(here.settings_dict["NAME"])
        if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
            return "The database's file, or its folder, cannot be written."
        disk = os.statvfs(path.parent)
        if disk.f_bavail * disk.f_frsize < MIN_DISK_BYTES:
            return f"The disk of the database is full: fewer than {MIN_DISK_BYTES >> 20} MiB are free."
        return ""

    def is_refused_write(self, error: Exception) -> bool:
        code = getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF  # without the extended code
        return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)

    @contextmanager
    def migration_lock(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Lock the database's folder. SQLite's own locks are on the file, and are lost where a file is closed twice."""
        here: Any = connections[DEFAULT_DB_ALIAS]
        if here.is_in_memory_db():
            yield
            return
        folder = os.open(Path(here.settings_dict["NAME"]).resolve().parent, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def describe(self) -> Description:
        return Description("SQLite: right for one host alone", one_host_only=True)

    @contextmanager
    def _exclusive_writer(self) -> Iterator[BaseDatabaseWrapper]:
        """Yield the connection to write by, to one thread at a time. A caller's transaction is the writer already."""
        here = connections[DEFAULT_DB_ALIAS]
        if here.in_atomic_block:
            yield here
            return
        with self._writing:
            yield self._writer.get(here)


class Writer:
    """The connection by which all threads of a process write, one at a time."""

    def __init__(self) -> None:
        self._opened: BaseDatabaseWrapper | None = None
        self._opened_for: tuple[int, str] = (0, "")

    def get(self, here: Any) -> BaseDatabaseWrapper:
        """Return the connection. A forked process, or another file, has another one.

        `here`: this thread's own connection, which is returned for a database in memory: no other connection sees it.
        """
        if here.is_in_memory_db():
            return here  # type: ignore[no-any-return]
        process_and_file = os.getpid(), str(here.settings_dict["NAME"])
        if self._opened is None or self._opened_for != process_and_file:
            self._opened, self._opened_for = here.copy(), process_and_file
            self._opened.inc_thread_sharing()
        # As Django does with each thread's own connection at the start of a request.
        self._opened.close_if_unusable_or_obsolete()
        return self._opened


def _decode_lists(row: Sequence[Any], expected: Sequence[Any]) -> list[Any]:
    """Return a row's values, with the list of a JSON column, which is text here, wherever a list is expected."""
    pairs = zip(row, expected, strict=True)
    return [json.loads(value) if isinstance(other, list) else value for value, other in pairs]


@lru_cache(maxsize=1000)
def _with_marks(sql: str) -> str:
    """Return the SQL with `?` in the place of each `%s`."""
    return sql.replace("%s", "?")


@lru_cache(maxsize=1000)
def _time_text(value: datetime) -> Any:
    """Return the time as Django stores it in SQLite."""
    return connection.ops.adapt_datetimefield_value(value)
