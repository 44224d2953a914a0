"""What is asked of a PostgreSQL server besides rows: the lock of the host that migrates."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper

MIGRATION_LOCK = 0x5EEDA9CE  # the advisory lock of the host that migrates, by its number within the database
MIGRATION_LOCK_INTERVAL_SECONDS = 0.5
# The transaction is idle while the other connection migrates. A host that vanishes is detected within half a minute.
MIGRATION_LOCK_SETTINGS = (
    "idle_in_transaction_session_timeout = 0",
    "tcp_keepalives_idle = 20",
    "tcp_keepalives_interval = 5",
    "tcp_keepalives_count = 2",
)


@contextmanager
def migration_lock(by: BaseDatabaseWrapper, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold an advisory lock by the open transaction of the connection `by`, which nothing else uses.

    A lock of the session would be lost, or stay for ever, behind a pooler that shares connections by transaction. The
    lock is tried for: a host that waits in a statement holds a snapshot, for whose end the other host's CREATE INDEX
    CONCURRENTLY waits in turn.
    """
    try:
        has_waited = False
        while not _try_lock(by):
            if not has_waited:
                on_wait()
            has_waited = True
            time.sleep(MIGRATION_LOCK_INTERVAL_SECONDS)
        yield
    finally:
        by.close()


def _try_lock(by: BaseDatabaseWrapper) -> bool:
    """Begin a transaction that has the lock and lasts, and return True; or end the transaction and return False."""
    by.ensure_connection()
    by.set_autocommit(False)
    with by.cursor() as cursor:
        for setting in MIGRATION_LOCK_SETTINGS:
            cursor.execute(f"SET LOCAL {setting}")
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [MIGRATION_LOCK])
        if cursor.fetchone() == (True,):
            return True
    by.rollback()
    return False
