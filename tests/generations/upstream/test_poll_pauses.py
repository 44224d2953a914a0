"""An upstream that refuses polls gets fewer, on all hosts, and no generation fails by that."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from generations import leases
from generations.models import Generation, PollPause
from generations.upstream import poll_pauses
from generations.upstream.errors import AccountError
from generations.worker import backoff, claims, loop
from generations.worker.poll_batch import PollBatch
from tests.generations.test_lifecycle import put_in
from tests.support.factories import Caller
from tests.support.upstream import Upstream, refusal, task
from tests.support.worker import due_in, take_step

pytestmark = [pytest.mark.one_database, pytest.mark.django_db(transaction=True)]

TOO_MANY = refusal(429, "RATE_LIMIT_EXCEEDED", **{"Retry-After": "60"})


@pytest.fixture
def running(alice: Caller, upstream: Upstream) -> list[Generation]:
    """Return ten generations that the upstream renders."""
    return [put_in(alice, "running")[0] for _ in range(10)]


def poll_due() -> None:
    """Poll each row that is due once, as an iteration of a worker run does."""
    poll_pauses._known.next_refresh = 0.0
    poll_pauses.refresh()
    batch = PollBatch()
    for generation in claims.claim_polls(100):
        batch.poll(generation)
    batch.release([])
    batch.write()


def make_due() -> None:
    Generation.objects.filter(status="running").update(due_at=timezone.now())


def test_after_one_429_the_polls_of_all_tasks_wait_for_its_retry_after(
    running: list[Generation], upstream: Upstream
) -> None:
    upstream.on_poll = TOO_MANY
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(58):
            make_due()
            poll_due()
            clock.shift(1)
        assert len(upstream.polls) == 1
        upstream.on_poll = task("TASK_STATUS_PROCESSING", progress=50)
        clock.shift(3)
        make_due()
        poll_due()
        assert len(upstream.polls) == 11
        assert {round(due_in(g)) for g in Generation.objects.all()} == {4}  # twice as long as usual, for a while
    assert set(Generation.objects.values_list("status", "progress_percent")) == {("running", 50)}


def test_worker_runs_heed_it(running: list[Generation], upstream: Upstream, monkeypatch: Any) -> None:
    monkeypatch.setattr(leases, "RUN_SECONDS", 0.5)
    upstream.on_poll = TOO_MANY
    make_due()
    loop.run()
    first = len(upstream.polls)
    assert 1 <= first <= 10  # what was in flight together
    poll_pauses.forget()  # the next run may be another process's
    make_due()
    loop.run()
    assert len(upstream.polls) == first


def test_what_waited_is_not_polled_all_at_once(running: list[Generation], upstream: Upstream) -> None:
    upstream.on_poll = TOO_MANY
    make_due()
    poll_due()
    make_due()
    poll_due()
    waits = sorted(due_in(g) for g in Generation.objects.all())
    assert waits[0] > 58
    assert len({round(wait, 2) for wait in waits}) > 5


def test_the_pause_grows_with_each_refusal_and_is_forgotten_step_by_step(
    running: list[Generation], upstream: Upstream
) -> None:
    upstream.on_poll = refusal(429, "RATE_LIMIT_EXCEEDED")
    factors, start = [], timezone.now()
    with time_machine.travel(start, tick=False) as clock:
        for _ in range(6):
            make_due()
            poll_due()
            factors.append(poll_pauses.interval_factor("novita"))
            clock.shift(61)
        assert factors == [2, 4, 8, 16, 16, 16]
        assert len(upstream.polls) == 6
        for refusals in (3, 2, 1):
            clock.shift(61)
            poll_due_without_answer()
            assert PollPause.objects.get().refusals == refusals
        clock.shift(61)
        poll_due_without_answer()
    assert not PollPause.objects.exists()
    assert poll_pauses.interval_factor("novita") == 1


def poll_due_without_answer() -> None:
    """Read the rows again, as each worker run does."""
    poll_pauses._known.next_refresh = 0.0
    poll_pauses.refresh()


@pytest.mark.parametrize("answer", [refusal(401, "FAILED_TO_AUTH"), refusal(403, "INVALID_API_KEY"), (403, {}, b"no")])
def test_a_refusal_of_our_account_is_shown_to_operators_and_fails_no_generation(
    running: list[Generation], upstream: Upstream, admin_client: Any, settings: Any, client: Any, answer: Any
) -> None:
    settings.METRICS_TOKEN = "token-of-the-tests"
    upstream.on_poll = answer
    for _ in range(5):
        make_due()
        poll_due()
    assert len(upstream.polls) == 1
    assert set(Generation.objects.values_list("status", flat=True)) == {"running"}
    for page in ("/admin/", "/admin/generations/pause/"):
        assert f"HTTP {answer[0]}" in admin_client.get(page).content.decode()
    metrics = client.get("/metrics", headers={"Authorization": "Bearer token-of-the-tests"}).content.decode()
    assert 'seedance_polls_paused{upstream="novita"} 1.0' in metrics
    assert 'seedance_polls_paused{upstream="sandbox"} 0.0' in metrics


def test_a_refusal_of_one_task_alone_pauses_no_other(running: list[Generation], upstream: Upstream) -> None:
    refused = running[3].upstream_id

    def answer(handler: Any) -> Any:
        return refusal(403, "SOMETHING_NEW") if upstream.polls[-1] == refused else task("TASK_STATUS_PROCESSING")

    upstream.on_poll = answer
    for _ in range(3):
        make_due()
        poll_due()
    assert len(upstream.polls) == 30
    assert not PollPause.objects.exists()


def test_copies_wait_too(running: list[Generation], upstream: Upstream, alice: Caller) -> None:
    copying, _ = put_in(alice, "copying")
    poll_pauses.record_refusal("novita", AccountError("429", is_rate_limit=True, retry_after=100))
    assert take_step(copying).status == "copying"
    assert upstream.polls == []


def test_the_sandbox_does_not_pause_the_live_upstream(running: list[Generation], upstream: Upstream) -> None:
    poll_pauses.record_refusal("sandbox", AccountError("429", is_rate_limit=True, retry_after=100))
    make_due()
    poll_due()
    assert len(upstream.polls) == 10


def test_another_process_heeds_the_pause(running: list[Generation], upstream: Upstream) -> None:
    poll_pauses.record_refusal("novita", AccountError("429", is_rate_limit=True, retry_after=100))
    poll_pauses.forget()
    make_due()
    poll_due()
    assert upstream.polls == []


def test_a_poll_costs_no_query(running: list[Generation], upstream: Upstream) -> None:
    make_due()
    claimed = claims.claim_polls(10)
    poll_pauses.refresh()
    batch = PollBatch()
    with CaptureQueriesContext(connection) as queries:
        for generation in claimed:
            batch.poll(generation)
            poll_pauses.refresh()
    assert list(queries) == []
    assert len(upstream.polls) == 10


def test_a_pause_by_a_host_whose_clock_is_ahead_is_cut_to_the_maximum(db: None) -> None:
    with time_machine.travel(timezone.now() + timedelta(hours=1), tick=False):
        poll_pauses.record_refusal("novita", AccountError("429", is_rate_limit=True))
    assert 0 < poll_pauses.seconds_left("novita") <= poll_pauses.MAX_PAUSE_SECONDS


def test_a_stalled_task_is_not_polled_more_seldom_than_stalled_ones_are(db: None) -> None:
    for _ in range(5):
        PollPause.objects.update(until=timezone.now() - timedelta(seconds=1))
        poll_pauses.record_refusal("novita", AccountError("429", is_rate_limit=True))
        poll_due_without_answer()
    assert backoff.poll_interval(timedelta(minutes=59), "novita") <= backoff.STALLED_POLL_SECONDS
