"""What is asked of a PostgreSQL server besides rows: the lock of the host that migrates, and what a crash may lose."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper

from tenants.db.operations import Risk

DURABILITY = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')"
STANDBYS = "SELECT application_name, sync_state FROM pg_stat_replication ORDER BY application_name"
LOSS = "accepted generations may be lost, and a paid submit may be sent a second time"
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


def durability_risks(settings: Mapping[str, str], standbys: Sequence[tuple[str | None, str | None]]) -> list[Risk]:
    """Return what a commit may not survive, by the server's settings and its connected standbys' `sync_state`.

    Source: https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT
    """
    risks = []
    if settings["fsync"] == "off":
        risks.append(Risk(f"fsync is off: after a crash of the server's machine {LOSS}", "Set fsync = on."))
    if settings["full_page_writes"] == "off":
        risks.append(Risk("full_page_writes is off: a crash may damage the database", "Set full_page_writes = on."))
    commit = settings["synchronous_commit"]
    if commit == "off":
        fact = f"synchronous_commit is off: after a crash of the server {LOSS}"
        risks.append(Risk(fact, "Set synchronous_commit = on for this database."))
    is_synchronous = any(state in ("sync", "quorum") for _, state in standbys)
    if standbys and (not is_synchronous or commit == "local"):
        names = ", ".join(name or "a standby" for name, _ in standbys)
        why = "synchronous_commit is local" if is_synchronous else f"{names}: asynchronous, or not shown to this role"
        fix = "Name a standby in synchronous_standby_names, and set synchronous_commit = on."
        risks.append(Risk(f"{why}: after a failover {LOSS}", fix))
    return risks
