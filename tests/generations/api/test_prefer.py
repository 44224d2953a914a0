"""`Prefer: wait`: the forms of the header, and the answers after a wait and without a place to wait."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from generations import lifecycle
from generations.api import long_poll
from generations.models import Generation
from tests.generations.test_lifecycle import put_in
from tests.support.factories import Caller, make_generation
from tests.support.patience import PATIENCE

BODY = {"image": "https://images.example.com/a.png", "resolution": "480p"}
WAIT = {"Prefer": "wait=20"}
committed = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *[("wait=30", 30), ("WAIT=5", 5), (" wait = 7 ", 7), ('wait="12"', 12), ("wait=0", 0), ("wait=007", 7)],
        *[("wait=61", 60), ("wait=" + "9" * 5000, 60)],
        *[("respond-async, wait=10", 10), ("wait=10,respond-async", 10), (",,wait=3,,", 3)],
        *[("wait=20; x=y", 20), ("wait=20;;", 20), ('wait=20;note="a, wait=9"', 20)],
        *[('note="a, wait=9", wait=4', 4), (r'note="a\", wait=9", wait=4', 4), ("note;wait=9, wait=4", 4)],
        *[("wait=3, wait=9", 3), ("wait, wait=9", 60), ("wait=x, wait=9", None), ("respond-async,Wait", 60)],
        *[("wait", 60), ("wait=", 60), ('wait=""', 60), ("wait; a=b", 60), ("WAIT ", 60), ('wait = ""', 60)],
        *[("", None), ("waits", None), ("waits=3", None), ("a wait=3", None), ("a=wait", None), ('"wait"', None)],
        *[("wait=-1", None), ("wait=+1", None), ("wait=1.5", None), ("wait=1e1", None), ("wait=1_0", None)],
        *[("wait=3 0", None), ("wait=30s", None), ("wait=3=0", None), ("wait=\u0663", None), ("wait=\xb2", None)],
        *[('wait="3', None), ('wait=3"', None), ("wait='3'", None), ('note="a, wait=9', None), ('note="\\', None)],
    ],
)
def test_the_header_is_read_as_rfc_7240_has_it(header: str, seconds: float | None) -> None:
    assert long_poll.preferred_seconds(Request(APIRequestFactory().get("/", headers={"Prefer": header}))) == seconds


def test_a_hostile_header_takes_no_time() -> None:
    started = time.process_time()
    for header in ('"' * 60_001, '"\\' * 30_000, '"a' * 30_000, 'a="\\"' * 12_000, "," * 60_000):
        long_poll.preferred_seconds(Request(APIRequestFactory().get("/", headers={"Prefer": header})))
    assert time.process_time() - started < 10  # in a time that grows with the square they would take minutes


def test_without_the_header_the_answer_comes_at_once() -> None:
    assert long_poll.preferred_seconds(Request(APIRequestFactory().get("/"))) is None


def test_the_answer_says_how_long_it_would_have_waited() -> None:
    assert long_poll.headers(60.0) == {"Preference-Applied": "wait=60"}


@pytest.fixture(autouse=True)
def _wait_for_the_polling_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Wait after each test for the polling thread to end, and its connection with it."""
    monkeypatch.setattr(long_poll, "POLL_INTERVAL_SECONDS", 0.02)
    yield
    for thread in threading.enumerate():
        if thread.name == "waiting":
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture
def cancelled_soon() -> Iterator[None]:
    """Cancel each queued generation as soon as a request waits for it."""
    done = threading.Event()

    def cancel() -> None:
        while not long_poll._watcher._waiting and not done.wait(0.01):
            pass
        for generation in Generation.objects.filter(status="queued"):
            lifecycle.cancel(generation, "")
        connection.close()

    thread = threading.Thread(target=cancel)
    thread.start()
    yield
    done.set()
    thread.join()


@committed
def test_a_create_that_waits_is_answered_with_the_end(alice: Caller, cancelled_soon: None) -> None:
    answer = alice.http.post("/v1/generations", BODY, format="json", headers=WAIT)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer["Preference-Applied"] == "wait=20"
    assert "Retry-After" not in answer
    assert answer["Location"].endswith(answer.json()["id"])


@committed
def test_a_repeated_create_waits_for_the_same_generation(alice: Caller, cancelled_soon: None) -> None:
    key = {"Idempotency-Key": "k"}
    first = alice.http.post("/v1/generations", BODY, format="json", headers=key).json()
    assert first["status"] == "queued"
    again = alice.http.post("/v1/generations", BODY, format="json", headers={**WAIT, **key})
    assert (again.json()["id"], again.json()["status"]) == (first["id"], "cancelled")
    assert again["Idempotent-Replayed"] == "true"


@committed
@pytest.mark.parametrize("path", ["/v1/generations/{}", "/v3/async/task-result?task_id={}"])
def test_a_read_that_waits_is_answered_with_the_end(alice: Caller, cancelled_soon: None, path: str) -> None:
    answer = alice.http.get(path.format(make_generation(alice).pk), headers=WAIT)
    assert (answer.status_code, answer["Preference-Applied"]) == (200, "wait=20")
    assert "Retry-After" not in answer
    assert answer.json().get("status") == "cancelled" or answer.json()["task"]["status"] == "TASK_STATUS_FAILED"


@pytest.mark.parametrize("path", ["/v1/generations/{}", "/v3/async/task-result?task_id={}"])
def test_without_a_place_to_wait_the_answer_comes_at_once(alice: Caller, settings: Any, path: str) -> None:
    settings.WAITERS = 0
    answer = alice.http.get(path.format(make_generation(alice).pk), headers=WAIT)
    assert "Preference-Applied" not in answer
    assert 1 <= int(answer["Retry-After"]) <= 60


def test_a_generation_that_has_ended_is_answered_at_once(alice: Caller) -> None:
    generation, _ = put_in(alice, "failed")
    answer = alice.http.get(f"/v1/generations/{generation.pk}", headers=WAIT)
    assert ("Preference-Applied" in answer, "Retry-After" in answer) == (False, False)
