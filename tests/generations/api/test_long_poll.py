"""Long polling: real threads that wait, and the thread that polls for them."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.db.backends.signals import connection_created

from generations import lifecycle
from generations.api import long_poll
from generations.models import Generation
from tests.support.factories import Caller, make_generation
from tests.support.patience import PATIENCE

threaded = pytest.mark.django_db(transaction=True)
one_database = pytest.mark.one_database
LONG = 120.0  # seconds; who waits so long has not been woken


class Polls:
    """The queries of the polling thread, and the connections that it opened."""

    def __init__(self) -> None:
        self.queries: list[int] = []  # the number of generations in each
        self.opened = 0
        self.error: Exception | None = None
        self._came = threading.Condition()

    def count_connection(self, connection: Any, **kwargs: Any) -> None:
        if threading.current_thread().name == "waiting":
            self.opened += 1
            connection.execute_wrappers = [self._run]

    def _run(self, execute: Any, sql: str, params: Any, *args: Any) -> Any:
        try:
            if self.error:
                raise self.error
            return execute(sql, params, *args)
        finally:
            with self._came:
                self.queries.append(len(params or ()))
                self._came.notify_all()

    def wait_for(self, *, generations: int = 0, more: int = 1) -> None:
        """Wait for `more` further queries of at least so many generations."""
        with self._came:
            before = len(self.queries)
            assert self._came.wait_for(
                lambda: sum(count >= generations for count in self.queries[before:]) >= more, PATIENCE
            )


@pytest.fixture
def polls() -> Iterator[Polls]:
    polls = Polls()
    connection_created.connect(polls.count_connection)
    yield polls
    connection_created.disconnect(polls.count_connection)


def join_polling_thread() -> None:
    """Wait until the polling thread has ended."""
    for thread in threading.enumerate():
        if thread.name == "waiting":
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture(autouse=True)
def _check_that_no_request_waits(monkeypatch: Any) -> Iterator[None]:
    """Check after each test that no request waits, and that the polling thread has ended."""
    monkeypatch.setattr(long_poll, "POLL_INTERVAL_SECONDS", 0.02)
    yield
    assert long_poll._watcher._waiting == {}
    join_polling_thread()
    assert long_poll._watcher._thread is None
    long_poll._watcher.reset()


Wait = Callable[..., "Future[tuple[bool, float, Any]]"]


@pytest.fixture
def wait() -> Iterator[Wait]:
    """Wait in a thread that has used the database, as a request has. Return whether it waited, and until when."""
    pool = ThreadPoolExecutor(64)

    def run(generation: Generation, seconds: float, wrappers: list[Any]) -> tuple[bool, float]:
        try:
            Generation.objects.exists()
            wrappers.append(connections["default"])
            return long_poll.wait_until_finished(generation.pk, seconds), time.monotonic()
        finally:
            connection.close()

    def wait(generation: Generation, seconds: float = LONG, wrappers: list[Any] | None = None) -> Any:
        return pool.submit(run, generation, seconds, [] if wrappers is None else wrappers)

    yield wait
    long_poll._watcher.stop()
    pool.shutdown()


def end(generation: Generation) -> float:
    """End the generation, and return the time of its end."""
    assert lifecycle.cancel(generation, "a test")
    return time.monotonic()


@threaded
def test_a_waiting_request_is_answered_when_the_generation_ends(alice: Caller, polls: Polls, wait: Wait) -> None:
    mine, others = make_generation(alice), make_generation(alice)
    answers = [wait(mine), wait(mine), wait(others)]
    polls.wait_for(generations=2)
    ended = end(mine)
    for answer in answers[:2]:
        waited, at = answer.result(PATIENCE)
        assert waited
        assert at - ended < LONG / 2
    polls.wait_for()
    assert not answers[2].done()
    end(others)
    assert answers[2].result(PATIENCE)[0]
    assert polls.opened == 1


@threaded
def test_a_waiting_request_is_answered_when_the_time_is_over(alice: Caller, polls: Polls, wait: Wait) -> None:
    started = time.monotonic()
    waited, at = wait(make_generation(alice), 0.1).result(PATIENCE)
    assert waited
    assert at - started >= 0.1
    assert long_poll.wait_until_finished(make_generation(alice).pk, 0) is False


@threaded
@one_database
def test_one_request_more_than_there_are_places_for_is_answered_at_once(
    alice: Caller, polls: Polls, wait: Wait, settings: Any
) -> None:
    settings.WAITERS = 2
    g = make_generation(alice)
    answers = [wait(g), wait(g)]
    while len(long_poll._watcher._waiting) < 2:
        polls.wait_for()
    assert long_poll.wait_until_finished(g.pk, LONG) is False
    end(g)
    assert all(answer.result(PATIENCE)[0] for answer in answers)
    settings.WAITERS = 1
    assert long_poll.wait_until_finished(g.pk, LONG) is True  # the places are free again
    settings.WAITERS = 0
    assert long_poll.wait_until_finished(g.pk, LONG) is False


def backends() -> int:
    """Return the number of PostgreSQL's connections to the test's database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


@threaded
def test_a_waiting_request_holds_no_connection(alice: Caller, polls: Polls, wait: Wait) -> None:
    g = make_generation(alice)
    wrappers: list[Any] = []
    answers = [wait(g, LONG, wrappers) for _ in range(5)]
    ends = time.monotonic() + 5
    while len(wrappers) < 5 or any(wrapper.connection for wrapper in wrappers):
        polls.wait_for()
        assert time.monotonic() < ends
    assert len(long_poll._watcher._waiting) == 5
    # this test's and that of the thread that polls; a backend outlives its client by a moment
    while connection.vendor == "postgresql" and backends() > 2:
        polls.wait_for()
        assert time.monotonic() < ends
    end(g)
    assert all(answer.result(PATIENCE)[0] for answer in answers)


@threaded
def test_fifty_waiting_requests_are_one_query_a_poll(alice: Caller, polls: Polls, wait: Wait, settings: Any) -> None:
    settings.WAITERS = 50
    generations = [make_generation(alice) for _ in range(5)]
    answers = [wait(generations[number % 5]) for number in range(50)]
    while len(long_poll._watcher._waiting) < 50:
        polls.wait_for()
    polls.wait_for(generations=5)
    before, started = len(polls.queries), time.monotonic()
    polls.wait_for(generations=5, more=5)
    assert len(polls.queries) - before <= (time.monotonic() - started) / long_poll.POLL_INTERVAL_SECONDS + 2
    for generation in generations:
        end(generation)
    assert all(answer.result(PATIENCE)[0] for answer in answers)
    assert polls.opened == 1


@threaded
def test_the_poll_goes_on_after_a_database_error(
    alice: Caller, polls: Polls, wait: Wait, monkeypatch: Any, caplog: Any
) -> None:
    monkeypatch.setattr(long_poll, "ERROR_INTERVAL_SECONDS", 0.02)
    g, another = make_generation(alice), make_generation(alice)
    polls.error = OperationalError("server closed the connection")
    answer, short = wait(g), wait(another, 0.05)
    polls.wait_for(more=3)
    assert short.result(PATIENCE)[0]  # its time was over
    polls.error = None
    end(g)
    assert answer.result(PATIENCE)[0]
    assert "does not tell what has ended" in caplog.text
    assert polls.opened >= 3  # each on a fresh connection


@threaded
@one_database
def test_a_new_thread_polls_after_an_unexpected_error(alice: Caller, polls: Polls, wait: Wait) -> None:
    g = make_generation(alice)
    failed: list[Any] = []
    polls.error = RuntimeError("a mistake of ours")
    hook, threading.excepthook = threading.excepthook, failed.append
    try:
        assert wait(g, 0.2).result(PATIENCE)[0]
    finally:
        threading.excepthook = hook
    assert [failure.exc_type for failure in failed] == [RuntimeError]
    polls.error = None
    end(g)
    assert wait(g).result(PATIENCE)[0]


@threaded
def test_no_request_is_lost_while_the_polling_thread_ends_and_starts(alice: Caller, monkeypatch: Any) -> None:
    """Each request waits for a generation that has ended, so the thread ends just when the next request comes."""
    monkeypatch.setattr(long_poll, "POLL_INTERVAL_SECONDS", 0.0)
    g = make_generation(alice)
    end(g)

    def waits(_: int) -> float:
        started = time.monotonic()
        assert long_poll.wait_until_finished(g.pk, LONG)
        return time.monotonic() - started

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(waits, range(80))) < LONG / 2


@threaded
@one_database
def test_without_a_free_thread_the_answer_comes_at_once(alice: Caller, monkeypatch: Any, caplog: Any) -> None:
    g = make_generation(alice)

    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", none_left)
        assert long_poll.wait_until_finished(g.pk, LONG) is False
    assert "nobody can wait" in caplog.text
    end(g)
    assert long_poll.wait_until_finished(g.pk, LONG) is True


@threaded
@one_database
def test_a_process_that_is_to_end_ends_all_waiting(alice: Caller, polls: Polls, wait: Wait) -> None:
    g = make_generation(alice)
    answer = wait(g)
    polls.wait_for()
    long_poll._watcher.stop()
    assert answer.result(PATIENCE)[0]
    assert long_poll.wait_until_finished(g.pk, LONG) is False


def test_within_a_transaction_the_connection_stays(alice: Caller, settings: Any) -> None:
    assert connection.in_atomic_block
    assert long_poll.wait_until_finished(make_generation(alice).pk, 0.01) is True
    assert Generation.objects.count() == 1
    join_polling_thread()  # before the database is closed to this test
