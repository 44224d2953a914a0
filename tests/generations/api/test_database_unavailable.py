"""A database that fails a request: a 503 in the API's format, nothing half recorded, and the next request works."""

from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection

from generations.intake import create
from generations.models import Generation
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
def test_a_disk_that_is_full_loses_nothing_that_was_accepted(alice: Caller, path: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("a PostgreSQL whose disk is full needs a disk of its own")
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
    assert Generation.objects.count() == LedgerEntry.objects.count() == len(accepted)
    assert alice.http.post(path, BODY, format="json").status_code in (200, 202)
