"""How the threads of a process write to SQLite: in turn, and where each write is short, by one connection for all.

SQLite's own way to wait is to sleep, up to a tenth of a second, while the database is free; and whoever comes meanwhile
is first. And each connection reads anew, at its next write, all that others have changed since its last one.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from tenants import statements

_writing = threading.Lock()


def may_be_by_hand() -> bool:
    """Whether several writes may be a transaction of their own: in another one, their failure would end that too."""
    return not connection.in_atomic_block


@contextmanager
def one_writer() -> Iterator[None]:
    """No other thread of the process writes meanwhile."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    with _writing:
        yield


class ByHand:
    """A transaction of SQLite that Django knows nothing of: its own takes longer than what is done in it."""

    def __init__(self, by: BaseDatabaseWrapper) -> None:
        self._by, self.is_over = by, False

    def run(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """As `statements.run`, in it."""
        return statements.run_by(self._by, sql, values)

    def commit(self) -> None:
        self.run("COMMIT", [])
        self.is_over = True


@contextmanager
def by_hand() -> Iterator[ByHand]:
    """What is not committed goes back."""
    with _writing:
        by = _writer.get()
        made = ByHand(by)
        made.run("BEGIN IMMEDIATE", [])
        try:
            yield made
        finally:
            if not made.is_over and by.connection.in_transaction:  # a disk that is full has ended it
                made.run("ROLLBACK", [])


class Writer:
    """The connection that they write by: to be had by who writes just now."""

    def __init__(self) -> None:
        self._made: BaseDatabaseWrapper | None = None
        self._of: tuple[Any, ...] = ()

    def get(self) -> BaseDatabaseWrapper:
        here: Any = connections[DEFAULT_DB_ALIAS]
        if here.is_in_memory_db():  # it is where its connections are
            return here  # type: ignore[no-any-return]
        of = os.getpid(), here.settings_dict["NAME"]
        if self._made is None or of != self._of:
            self._made, self._of = here.copy(), of
            self._made.inc_thread_sharing()
        self._made.close_if_unusable_or_obsolete()  # as Django does with each thread's own where a request begins
        return self._made


_writer = Writer()
