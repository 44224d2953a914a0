"""`Prefer: wait=30` at one real web process: the waits, the threads left to others, stops and cut connections."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from django.db import connection

from deploy import stack, waiting
from generations import lifecycle
from generations.models import Generation
from tests.support.databases import url_of_test
from tests.support.factories import Caller, make_generation

pytestmark = pytest.mark.django_db(transaction=True)
WAITERS, CALLERS = 3, 40
ASLEEP = 1.0  # seconds after which a waiting request sleeps: nothing shows it from outside

FORK = """
import os, sys, threading, time, uuid
import django
django.setup()
from generations.api import long_poll
threading.Thread(target=long_poll.wait_until_finished, args=(uuid.uuid4(), 3)).start()
time.sleep(0.5)
with long_poll._watcher._lock:
    child = os.fork()
    if not child:
        os._exit(0 if long_poll.wait_until_finished(uuid.uuid4(), 0.5) else 3)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def environment(folder: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "SECRET_KEY")},
        "DJANGO_SETTINGS_MODULE": "seedance_service.settings",
        "ALLOWED_HOSTS": "127.0.0.1",
        "VAR_DIR": str(folder),
        "DATABASE_URL": url_of_test(),
        "NOVITA_API_KEY": "none",
        "S3_BUCKET": "tests",
        "WAITERS": str(WAITERS),
    }


class Web:
    """A web process, started as `make run` starts it, and its callers."""

    def __init__(self, folder: Path) -> None:
        port = stack.free_port(30_000 + os.getpid() % 20_000)
        self.url = f"http://127.0.0.1:{port}"
        (folder / "static").mkdir()
        self.process = stack.web(port, folder / "static", folder, environment(folder))
        waiting.until_answers(self.process, f"{self.url}/v1/generations")
        self._pool = ThreadPoolExecutor(CALLERS)

    def read(self, caller: Caller, generation: Generation, *preferences: str) -> tuple[httpx.Response, float]:
        """Return the answer and when it came. Each preference is a header of its own."""
        lines = [("Authorization", f"Bearer {caller.key_text}"), *(("Prefer", one) for one in preferences)]
        answer = httpx.get(f"{self.url}/v1/generations/{generation.pk}", headers=lines, timeout=40)
        return answer, time.monotonic()

    def waits(self, caller: Caller, generation: Generation) -> "Future[tuple[httpx.Response, float]]":
        return self._pool.submit(self.read, caller, generation, "respond-async", "wait=30")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    started = Web(tmp_path)
    yield started
    stack.stop([started.process])
    started._pool.shutdown()


def backends() -> list[int]:
    """Return the ids of the other connections to the tests' database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return [pid for (pid,) in cursor.fetchall()]


def assert_waited(answer: httpx.Response, status: str) -> None:
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (200, "wait=30")
    assert answer.json()["status"] == status


def test_a_waiting_caller_is_answered_within_a_second_of_the_end(alice: Caller, web: Web) -> None:
    g = make_generation(alice)
    answers = [web.waits(alice, g) for _ in range(WAITERS)]
    time.sleep(ASLEEP)
    assert not any(answer.done() for answer in answers)
    if connection.vendor == "postgresql":
        assert len(backends()) == 1  # of the thread that polls
    assert lifecycle.cancel(g, "a test")
    ended = time.monotonic()
    for one in answers:
        answer, at = one.result(10)
        assert_waited(answer, "cancelled")
        assert at - ended < 1


def test_waiting_callers_leave_threads_to_others(alice: Caller, web: Web) -> None:
    g = make_generation(alice)
    asked = [web.waits(alice, g) for _ in range(CALLERS)]
    ends = time.monotonic() + 15
    while sum(one.done() for one in asked) < CALLERS - WAITERS and time.monotonic() < ends:
        time.sleep(0.02)
    at_once = [one.result()[0] for one in asked if one.done()]
    assert len(at_once) == CALLERS - WAITERS
    for answer in at_once:
        assert "Preference-Applied" not in answer.headers
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    started = time.monotonic()
    assert web.read(alice, g)[1] - started < 0.5
    assert lifecycle.cancel(g, "a test")
    assert sum("Preference-Applied" in one.result(10)[0].headers for one in asked) == WAITERS


def test_a_stop_answers_waiting_callers_and_is_not_delayed(alice: Caller, web: Web) -> None:
    g = make_generation(alice)
    answers = [web.waits(alice, g) for _ in range(WAITERS)]
    time.sleep(ASLEEP)
    asked = time.monotonic()
    web.process.terminate()
    for one in answers:
        assert_waited(one.result(10)[0], "queued")
    while not web.process.has_ended() and time.monotonic() - asked < 10:
        time.sleep(0.02)
    assert time.monotonic() - asked < 3


def test_a_wait_survives_a_database_that_cuts_every_connection(alice: Caller, web: Web) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no connection to cut")
    g = make_generation(alice)
    one = web.waits(alice, g)
    time.sleep(ASLEEP)
    with connection.cursor() as cursor:
        for pid in backends():
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    assert lifecycle.cancel(g, "a test")
    ended = time.monotonic()
    answer, at = one.result(10)
    assert_waited(answer, "cancelled")
    assert at - ended < 2.5
    assert "does not tell what has ended" in web.process.log.read_text()


def test_a_fork_during_a_wait_starts_afresh(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK], env=environment(tmp_path), cwd=stack.ROOT, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
