"""A database that fails a request: a 503 in the API's format, nothing half recorded, and the next request works."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import IntegrityError, InterfaceError, InternalError, OperationalError, ProgrammingError, connection

from generations.intake import create
from generations.models import Generation
from tenants.db import refused_writes
from tenants.db.engine import engine
from tenants.models import LedgerEntry
from tests.support.factories import Caller

BODY = {"image": "https://images.example.com/a.png", "resolution": "480p", "prompt": "x" * 2000}
APIS = ["/v1/generations", "/v3/async/seedance-v1-lite-i2v"]


def assert_unavailable(answer: Any, path: str) -> None:
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    payload = answer.json()
    if path.startswith("/v1/"):
        assert (payload["code"], payload["status"]) == ("database_unavailable", 503)
    else:
        assert (payload["code"], payload["reason"]) == (503, "CREATE_TASK_FAILED")


@pytest.mark.parametrize("error", [OperationalError("server closed the connection"), InterfaceError("it is closed")])
@pytest.mark.parametrize("path", APIS)
def test_a_lost_database_is_a_503_and_is_connected_to_again(
    alice: Caller, monkeypatch: Any, path: str, error: Exception, caplog: Any
) -> None:
    def lost(*args: Any) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(create, "create_generation", lost)
        assert_unavailable(alice.http.post(path, BODY, format="json"), path)
    assert "the database is in trouble" in caplog.text
    assert alice.http.post(path, BODY, format="json").status_code in (200, 202)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", APIS)
def test_a_disk_that_is_full_loses_nothing_that_was_accepted(alice: Caller, path: str, monkeypatch: Any) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("a PostgreSQL whose disk is full needs a disk of its own")
    monkeypatch.setattr(refused_writes, "_refused_at", float("-inf"))
    by: Any = engine._writer.get(connection)  # type: ignore[attr-defined]
    by.ensure_connection()
    by.close_at = None  # one that is older than CONN_MAX_AGE is closed, and with it what is set here
    with by.cursor() as cursor:
        cursor.execute("VACUUM")  # what other tests left free would take hundreds of creates
        [most] = cursor.execute("PRAGMA max_page_count").fetchone()
        cursor.execute(f"PRAGMA max_page_count = {cursor.execute('PRAGMA page_count').fetchone()[0]}")
    accepted = []
    try:
        for _ in range(200):
            answer = alice.http.post(path, BODY, format="json")
            if answer.status_code not in (200, 202):
                break
            accepted.append(answer.json())
    finally:
        with by.cursor() as cursor:
            cursor.execute(f"PRAGMA max_page_count = {most}")
    assert_unavailable(answer, path)
    assert refused_writes.is_recent()  # so that probes send creates elsewhere
    assert Generation.objects.count() == LedgerEntry.objects.count() == len(accepted)
    assert alice.http.post(path, BODY, format="json").status_code in (200, 202)


@contextmanager
def no_writes() -> Iterator[None]:
    """Let the database of this thread refuse writes, as a standby or a full disk does."""
    connection.ensure_connection()
    on, off = ("PRAGMA query_only = 1", "PRAGMA query_only = 0")
    if connection.vendor == "postgresql":
        on, off = "SET default_transaction_read_only = on", "SET default_transaction_read_only = off"
    by: Any = engine._writer.get(connection) if connection.vendor == "sqlite" else connection  # type: ignore[attr-defined]
    by.ensure_connection()
    by.close_at = None
    with by.cursor() as cursor:
        cursor.execute(on)
    try:
        yield
    finally:
        with by.cursor() as cursor:
            cursor.execute(off)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", APIS)
def test_a_read_only_database_is_a_503_and_is_not_ready(alice: Caller, path: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(refused_writes, "_refused_at", float("-inf"))
    with no_writes():
        assert_unavailable(alice.http.post(path, BODY, format="json"), path)
        assert refused_writes.is_recent()
        assert connection.vendor == "sqlite" or engine.why_no_writes() == "The database is read-only."
    assert engine.why_no_writes() == ""
    assert alice.http.post(path, BODY, format="json").status_code in (200, 202)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", APIS)
@pytest.mark.parametrize("names", ["COLUMN prompt TO old", "TO generations_old"])
def test_a_schema_that_is_older_than_the_release_is_a_503(alice: Caller, path: str, names: str) -> None:
    old = names.split()[-1]
    table, back = "generations_generation", "COLUMN old TO prompt"
    if old != "old":
        table, back = "generations_event", "TO generations_event"
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME {names}")
    try:
        assert_unavailable(alice.http.post(path, BODY, format="json"), path)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table if old == 'old' else old} RENAME {back}")


def test_an_error_of_our_own_sql_is_no_outage() -> None:
    assert not engine.is_outage(ProgrammingError("syntax error"))
    assert not engine.is_outage(IntegrityError("a duplicate"))
    assert not engine.is_outage(InternalError("current transaction is aborted"))


@pytest.mark.skipif(connection.vendor != "sqlite", reason="a server's disk is not this host's")
@pytest.mark.django_db(transaction=True)
def test_a_disk_that_is_nearly_full_is_seen_before_a_write_fails(monkeypatch: Any) -> None:
    class Disk:
        f_bavail, f_frsize = 100, 4096

    assert engine.why_no_writes() == ""
    with monkeypatch.context() as full:
        full.setattr("tenants.db.sqlite.os.statvfs", lambda folder: Disk)
        assert engine.why_no_writes() == "The disk of the database is full: fewer than 8 MiB are free."
    monkeypatch.setattr("tenants.db.sqlite.os.access", lambda path, mode: False)
    assert engine.why_no_writes() == "The database's file, or its folder, cannot be written."
