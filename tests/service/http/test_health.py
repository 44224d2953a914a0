"""What probers are told: whether the process answers, and whether all that it needs does."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from generations.models import Worker
from generations.reports import worker_hosts
from seedance_service.http import health
from tests.http_client import Client

pytestmark = [pytest.mark.django_db(transaction=True)]  # each check asks by a connection of its own


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    """Nothing that another test saw."""
    for check in health.CHECKS.values():
        check._seen = None
    yield
    for check in health.CHECKS.values():
        if check._seen:
            check._seen.result(5)


def probe(path: str = "/readyz", **options: Any) -> tuple[int, Any]:
    answer = Client().get(path, **options)
    return answer.status_code, answer.json()


def test_a_service_that_is_well_is_ready(bucket: Any) -> None:
    worker_hosts.record_heartbeat()
    status, told = probe()
    assert (status, told["ok"]) == (200, True)
    assert {name: check["ok"] for name, check in told["checks"].items()} == dict.fromkeys(health.CHECKS, True)
    assert all(check["ms"] >= 0 for check in told["checks"].values())


def test_each_thing_that_is_not_well_is_named_in_a_sentence(settings: Any) -> None:
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    settings.AWS_SECRET_ACCESS_KEY = "not-to-be-told"
    status, told = probe()
    assert (status, told["ok"]) == (503, False)
    assert told["checks"]["bucket"]["error"] == "The bucket can not be reached, or is not there."
    assert told["checks"]["worker"]["error"] == "No worker has ever looked at the due rows."
    assert told["checks"]["database"]["ok"]
    assert "127.0.0.1" not in str(told)


def test_a_worker_that_fell_silent_is_told_and_a_load_balancer_may_do_without(bucket: Any) -> None:
    age = worker_hosts.SILENT_AFTER + timedelta(seconds=5)
    Worker.objects.create(host="a", heartbeat_at=timezone.now() - age)
    Worker.objects.create(host="b")
    status, told = probe()
    assert status == 503
    assert told["checks"]["worker"]["error"] == "No worker has looked at the due rows for 185 s."
    status, told = probe("/readyz?without=worker")
    assert (status, set(told["checks"])) == (200, {"database", "broker", "bucket"})
    Worker.objects.create(host="c", heartbeat_at=timezone.now())
    health.CHECKS["worker"]._seen = None
    assert probe()[0] == 200


def test_what_hangs_is_told_in_time_and_asked_no_second_time(monkeypatch: Any, bucket: Any) -> None:
    worker_hosts.record_heartbeat()
    monkeypatch.setattr(health, "DEADLINE", 0.05)
    let_go, asked = threading.Event(), []

    def hang() -> None:
        asked.append(1)
        let_go.wait(10)

    monkeypatch.setattr(health.CHECKS["bucket"], "_ask", hang)
    try:
        for _ in range(3):
            status, told = probe()
            assert status == 503
            assert "has not answered" in told["checks"]["bucket"]["error"]
        assert asked == [1]
    finally:
        let_go.set()


def test_a_storm_of_probes_is_one_look(monkeypatch: Any, bucket: Any) -> None:
    asked: list[int] = []
    monkeypatch.setattr(health, "KEPT", 60.0)
    monkeypatch.setattr(health.CHECKS["database"], "_ask", lambda: asked.append(1))
    for _ in range(20):
        probe()
    assert asked == [1]
    monkeypatch.setattr(health, "KEPT", 0.0)
    probe()
    assert asked == [1, 1]


@pytest.mark.one_database
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_it_answers_whoever_calls_by_whatever_name(bucket: Any, path: str) -> None:
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


def test_a_machine_without_threads_is_not_well_and_is_asked_again(bucket: Any, monkeypatch: Any) -> None:
    worker_hosts.record_heartbeat()
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", _no_thread)
        status, told = probe()
    assert (status, told["checks"]["database"]["error"]) == (503, "The database does not answer.")
    monkeypatch.setattr(health, "KEPT", 0.0)
    assert probe()[0] == 200


def _no_thread(thread: Any) -> None:
    raise RuntimeError("can't start new thread")
