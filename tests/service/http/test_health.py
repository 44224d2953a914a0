"""Probes say whether the process answers, and whether all its dependencies do."""

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from generations.models import Worker
from generations.reports import worker_hosts
from seedance_service.http import health
from tenants.db import refused_writes, schema
from tenants.db.engine import engine
from tests.http_client import Client
from tests.support.patience import PATIENCE

pytestmark = [pytest.mark.django_db(transaction=True)]  # each check has a connection of its own


@pytest.fixture(autouse=True)
def _forget_results(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the results of another test's checks, and give the checks of a slow machine time."""
    monkeypatch.setattr(health, "DEADLINE_SECONDS", PATIENCE)
    for check in health.CHECKS.values():
        check._latest = None
    yield
    for check in health.CHECKS.values():
        if check._latest:
            check._latest.result(60)


def probe(path: str = "/readyz", **options: Any) -> tuple[int, Any]:
    answer = Client().get(path, **options)
    return answer.status_code, answer.json()


def test_a_healthy_service_is_ready(bucket: Any) -> None:
    worker_hosts.record_heartbeat()
    status, body = probe()
    assert (status, body["ok"]) == (200, True)
    assert {name: check["ok"] for name, check in body["checks"].items()} == dict.fromkeys(health.CHECKS, True)
    assert all(check["ms"] >= 0 for check in body["checks"].values())


def test_each_failed_check_is_named_in_a_sentence(settings: Any) -> None:
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    settings.AWS_SECRET_ACCESS_KEY = "not-to-be-shown"
    status, body = probe()
    assert (status, body["ok"]) == (503, False)
    assert body["checks"]["bucket"]["error"] == "The bucket can not be reached, or is not there."
    assert body["checks"]["worker"]["error"] == "No worker has ever looked at the due rows."
    assert body["checks"]["database"]["ok"]
    assert "127.0.0.1" not in str(body)


def test_a_silent_worker_is_reported_and_a_load_balancer_may_skip_the_check(bucket: Any) -> None:
    age = worker_hosts.SILENT_AFTER + timedelta(seconds=5)
    Worker.objects.create(host="a", heartbeat_at=timezone.now() - age)
    Worker.objects.create(host="b")
    status, body = probe()
    assert status == 503
    sentence = re.fullmatch(r"No worker has looked at the due rows for (\d+) s\.", body["checks"]["worker"]["error"])
    assert sentence
    assert 185 <= int(sentence[1]) < 200  # a busy machine takes its time
    status, body = probe("/readyz?without=worker")
    assert (status, set(body["checks"])) == (200, {"database", "broker", "bucket"})
    Worker.objects.create(host="c", heartbeat_at=timezone.now())
    health.CHECKS["worker"]._latest = None
    assert probe()[0] == 200


def test_a_check_that_hangs_is_reported_in_time_and_not_repeated(monkeypatch: Any, bucket: Any) -> None:
    worker_hosts.record_heartbeat()
    monkeypatch.setattr(health, "DEADLINE_SECONDS", 0.05)
    released, calls = threading.Event(), []

    def hang() -> None:
        calls.append(1)
        released.wait(PATIENCE)

    monkeypatch.setattr(health.CHECKS["bucket"], "_check", hang)
    try:
        for _ in range(3):
            status, body = probe()
            assert status == 503
            assert "has not answered" in body["checks"]["bucket"]["error"]
        assert calls == [1]
    finally:
        released.set()


def test_a_storm_of_probes_is_one_check(monkeypatch: Any, bucket: Any) -> None:
    calls: list[int] = []
    monkeypatch.setattr(health, "MAX_RESULT_AGE_SECONDS", 60.0)
    monkeypatch.setattr(health.CHECKS["database"], "_check", lambda: calls.append(1))
    for _ in range(20):
        probe()
    assert calls == [1]
    monkeypatch.setattr(health, "MAX_RESULT_AGE_SECONDS", 0.0)
    probe()
    assert calls == [1, 1]


@pytest.mark.one_database
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_probe_is_answered_for_any_host_name(bucket: Any, path: str) -> None:
    http = Client()
    answer = http.get(path, headers={"Host": "10.1.2.3:8000"})
    assert answer.status_code in (200, 503)
    assert answer["Cache-Control"] == "no-store"
    assert "X-Request-Id" not in answer
    assert http.head(path).content == b""
    assert http.post(path).status_code == 405


@pytest.mark.one_database
def test_the_process_answers_without_its_database(monkeypatch: Any, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert probe("/livez") == (200, {"ok": True})


def test_a_machine_without_threads_is_not_ready_and_is_checked_again(bucket: Any, monkeypatch: Any) -> None:
    worker_hosts.record_heartbeat()
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", _no_thread)
        status, body = probe()
    assert (status, body["checks"]["database"]["error"]) == (503, "The database does not answer.")
    monkeypatch.setattr(health, "MAX_RESULT_AGE_SECONDS", 0.0)
    assert probe()[0] == 200


def _no_thread(thread: Any) -> None:
    raise RuntimeError("can't start new thread")


def database_says() -> str:
    """Return the error of the database's check, "" where there is none, from a check that is not cached."""
    for check in health.CHECKS.values():
        if check._latest:
            check._latest.result(60)
            check._latest = None
    return str(probe("/readyz?without=worker,broker,bucket")[1]["checks"]["database"].get("error", ""))


def test_a_release_whose_migrations_are_missing_is_not_ready() -> None:
    recorder = MigrationRecorder(connection)
    newest = max(name for app, name in recorder.applied_migrations() if app == "generations")
    recorder.record_unapplied("generations", newest)
    try:
        assert schema.missing_migrations() == {("generations", newest)}
        assert database_says() == (
            "The database's schema is older than this release: 1 migrations are not applied. Run manage.py migrate."
        )
    finally:
        recorder.record_applied("generations", newest)
    assert database_says() == ""


def test_a_release_goes_on_beside_the_schema_of_a_newer_one() -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_applied("generations", "9999_of_the_next_release")
    try:
        assert database_says() == ""
    finally:
        recorder.record_unapplied("generations", "9999_of_the_next_release")


def test_a_database_without_any_table_is_not_ready(monkeypatch: Any) -> None:
    def no_table() -> Any:
        engine.run("SELECT app, name FROM no_such_migrations", [])

    monkeypatch.setattr(schema, "missing_migrations", no_table)
    assert database_says() == "The database does not answer."


def test_the_names_of_files_are_the_migrations_that_django_knows() -> None:
    """Of all apps, also the libraries': a start asks Django itself, a probe has no time for that."""
    from django.db.migrations.loader import MigrationLoader

    assert schema._of_this_release() == set(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)


def test_a_database_that_takes_no_writes_is_not_ready(monkeypatch: Any) -> None:
    monkeypatch.setattr(engine, "why_no_writes", lambda: "The database is read-only.")
    assert database_says() == "The database is read-only."


def test_a_write_that_was_refused_is_remembered_for_a_moment(monkeypatch: Any) -> None:
    error = OperationalError("database or disk is full")
    monkeypatch.setattr(engine, "is_refused_write", lambda error: True)
    monkeypatch.setattr(refused_writes, "_refused_at", float("-inf"))
    assert database_says() == ""
    refused_writes.remember(error)
    assert "has just refused a write" in database_says()
    monkeypatch.setattr(refused_writes, "MEMORY_SECONDS", 0.0)
    assert database_says() == ""
