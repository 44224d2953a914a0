"""Once a create is committed its answer has the id, whatever fails after that."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection

from generations import lifecycle, wakeups
from generations.api import create_generation, long_poll, render, tenant_scope
from generations.models import Generation
from generations.telemetry import metrics
from tests.generations.test_lifecycle import VIDEO, put_in
from tests.support import attempts
from tests.support.aws_agent import Agent, session_of
from tests.support.factories import Caller
from tests.support.patience import PATIENCE

BODY = {"image": "https://images.example.com/a.png", "resolution": "480p"}
NATIVE, NOVITA = "/v1/generations", "/v3/async/seedance-v1-lite-i2v"
WAIT = {"Prefer": "wait=20"}
committed = pytest.mark.django_db(transaction=True)


def fail(error: Exception) -> Callable[..., Any]:
    """Return a function that raises the error."""

    def failing(*args: Any, **options: Any) -> Any:
        raise error

    return failing


def assert_accepted(answer: Any, path: str = NATIVE) -> None:
    """Check that the answer has the id of the only generation."""
    generation = Generation.objects.get()
    if path == NOVITA:
        assert (answer.status_code, answer.json()["task_id"]) == (200, str(generation.pk))
    else:
        assert (answer.status_code, answer.json()["id"]) == (202, str(generation.pk)), answer.content
        assert answer["Location"] == f"/v1/generations/{generation.pk}"
        assert int(answer["Retry-After"]) > 0


BROKEN: dict[str, Any] = {
    "the ring": (wakeups._coalescer.__class__, "coalesce"),
    "the metrics": (metrics.ACCEPT, "observe"),
    "the headers": (create_generation.ratelimit_headers, "render"),
}


@pytest.mark.parametrize("path", [NATIVE, NOVITA])
@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("error", [OSError("no space left"), OperationalError("gone"), KeyError("x")], ids=repr)
def test_what_fails_after_the_commit_hides_no_id(
    alice: Caller, monkeypatch: Any, path: str, name: str, error: Exception
) -> None:
    monkeypatch.setattr(*BROKEN[name], fail(error))
    assert_accepted(alice.http.post(path, BODY, format="json", headers={"Idempotency-Key": "k"}), path)
    assert_accepted(alice.http.post(path, BODY, format="json", headers={"Idempotency-Key": "k"}), path)


@pytest.fixture
def ended_soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each queued generation succeed as soon as a request waits for it."""
    monkeypatch.setattr(long_poll, "POLL_INTERVAL_SECONDS", 0.02)
    done = threading.Event()

    def end() -> None:
        while not long_poll._watcher._waiting and not done.wait(0.01):
            pass
        for generation in Generation.objects.filter(status="queued"):
            attempt = attempts.start_submitting(generation)
            assert attempt is not None
            lifecycle.mark_running(generation, attempt, f"up-{generation.pk}", 2)
            attempts.start_copying(generation, 77)
            lifecycle.mark_succeeded(generation, VIDEO)
        connection.close()

    thread = threading.Thread(target=end)
    thread.start()
    yield
    done.set()
    thread.join()
    for waiting in threading.enumerate():
        if waiting.name == "waiting":
            waiting.join(PATIENCE)


@committed
def test_a_wait_at_whose_end_no_url_can_be_signed_is_a_202(
    alice: Caller, agent: Callable[..., Agent], ended_soon: None
) -> None:
    agent((500, {"message": "the role is not there"}))
    answer = alice.http.post(NATIVE, BODY, format="json", headers=WAIT | {"Idempotency-Key": "k"})
    assert_accepted(answer)
    again = alice.http.post(NATIVE, BODY, format="json", headers=WAIT | {"Idempotency-Key": "k"})
    assert_accepted(again)
    read = alice.http.get(answer["Location"])
    assert (read.status_code, read.json()["code"], read["Retry-After"]) == (503, "storage_unavailable", "5")
    assert "created" not in read.json()["detail"]


AGENTS = {
    "it answers 500": (500, {}),
    "it has failed": (200, {"Code": "Failed"}),
    "its session has ended": session_of(-5),
}


@pytest.mark.parametrize("answered", AGENTS.values(), ids=AGENTS)
def test_a_read_whose_url_cannot_be_signed_is_a_503_that_says_so(
    alice: Caller, agent: Callable[..., Agent], answered: Any
) -> None:
    agent(answered)
    generation, _ = put_in(alice, "succeeded")
    reads = ["/v1/generations", *[f"/v1/generations/{generation.pk}{rest}" for rest in ("", "/video", "/poster")]]
    for path in reads:
        answer = alice.http.get(path)
        assert (answer.status_code, answer["Retry-After"], answer.json()["code"]) == (503, "5", "storage_unavailable")
        assert "signed" in answer.json()["detail"]
        assert "created" not in answer.json()["detail"]
    answer = alice.http.get(f"/v3/async/task-result?task_id={generation.pk}")
    assert (answer.status_code, answer["Retry-After"], answer.json()["reason"]) == (503, "5", "CREATE_TASK_FAILED")


@committed
@pytest.mark.parametrize("error", [OperationalError("gone"), RuntimeError("unexpected")], ids=repr)
@pytest.mark.parametrize(
    ("where", "name"),
    [(tenant_scope, "get_own"), (render, "as_json"), (long_poll, "release_connection")],
    ids=["the database", "the body", "the connection"],
)
def test_a_wait_that_fails_is_a_202(
    alice: Caller, monkeypatch: Any, ended_soon: None, where: Any, name: str, error: Exception
) -> None:
    monkeypatch.setattr(where, name, fail(error))
    assert_accepted(alice.http.post(NATIVE, BODY, format="json", headers=WAIT))


def test_a_database_that_goes_away_after_the_commit_is_a_202(alice: Caller, monkeypatch: Any) -> None:
    """Without a wait nothing is read after the commit."""
    render_created = render.as_created

    def render_without_database(generation: Generation) -> Any:
        with connection.execute_wrapper(fail(OperationalError("gone"))):
            return render_created(generation)

    monkeypatch.setattr(render, "as_created", render_without_database)
    assert_accepted(alice.http.post(NATIVE, BODY, format="json"))
