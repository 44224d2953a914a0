"""The rate limit at the upstream, over all workers: submits a minute, and unfinished tasks at once."""

import threading
import time
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from generations import leases
from generations.bucket import inputs
from generations.catalog import video_models
from generations.media.images import inspect
from generations.models import Event, Generation, Pace
from generations.upstream import rate_limit
from generations.worker import claims, loop, steps, submit
from tests.generations.test_lifecycle import put_in
from tests.support import attempts, novita_calls
from tests.support.factories import Caller, make_generation
from tests.support.images import image_bytes
from tests.support.upstream import Upstream

pytestmark = pytest.mark.django_db
Status = Generation.Status


def reserve() -> float | None:
    """Reserve a moment for a submit. Return None if the limit is reached."""
    try:
        with transaction.atomic():
            return rate_limit.reserve(novita_calls.account())
    except rate_limit.RateLimited:
        return None


def test_without_a_limit_the_database_is_not_queried(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert rate_limit.estimate_capacity(novita_calls.account()) >= 1000
        assert rate_limit.reserve(novita_calls.account()) == 0.0


def test_moments_are_reserved_one_after_the_other(settings: Any) -> None:
    settings.UPSTREAM_RPM = 240  # one in a quarter of a second
    assert rate_limit.estimate_capacity(novita_calls.account()) == 5
    waits = [reserve() for _ in range(8)]
    reserved = [wait for wait in waits if wait is not None]
    assert len(reserved) == 5  # within MAX_AHEAD
    gaps = [later - earlier for earlier, later in pairwise(reserved)]
    assert all(0.1 < gap <= 0.26 for gap in gaps), gaps  # less by what the call itself took
    assert rate_limit.estimate_capacity(novita_calls.account()) == 0


def test_a_moment_too_far_ahead_was_written_by_a_wrong_clock_and_is_ignored(settings: Any) -> None:
    settings.UPSTREAM_RPM = 60
    Pace.objects.create(upstream="novita", free_at=timezone.now() + timedelta(hours=1))
    assert rate_limit.estimate_capacity(novita_calls.account()) == 2
    assert reserve() is not None


def test_a_task_counts_until_the_upstream_has_finished(alice: Caller, settings: Any) -> None:
    settings.UPSTREAM_CONCURRENCY = 2
    rendering = put_in(alice, Status.RUNNING)[0]
    put_in(alice, Status.COPYING)[0]  # the upstream is done with it
    Generation.objects.filter(pk=put_in(alice, Status.RUNNING)[0].pk).update(test=True, account="sandbox")
    assert (rate_limit.estimate_capacity(novita_calls.account()), reserve()) == (1, 0.0)
    put_in(alice, Status.SUBMITTING)[0]
    assert (rate_limit.estimate_capacity(novita_calls.account()), reserve()) == (0, None)
    Generation.objects.filter(pk=rendering.pk).update(status=Status.COPYING)
    assert (rate_limit.estimate_capacity(novita_calls.account()), reserve()) == (1, 0.0)


def test_a_submit_over_the_limit_waits_without_a_trace(
    alice: Caller, settings: Any, bucket: Any, upstream: Upstream
) -> None:
    settings.UPSTREAM_CONCURRENCY = 1
    put_in(alice, Status.RUNNING)[0]
    waiting = make_generation(alice, image=inputs.store(alice.tenant.pk, inspect(image_bytes())))
    [claimed] = claims.claim_submits(1)
    steps.advance(claimed)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.consecutive_failures, waiting.attempts.count()) == (Status.QUEUED, 0, 0)
    assert waiting.due_at is not None
    assert waiting.due_at > timezone.now()
    assert upstream.submits == []
    assert Event.objects.filter(generation=waiting).count() == 1


def test_waiting_in_our_own_queue_fails_no_generation(
    alice: Caller, settings: Any, bucket: Any, upstream: Upstream
) -> None:
    settings.UPSTREAM_CONCURRENCY, settings.SUBMIT_DEADLINE = 1, 60
    put_in(alice, Status.RUNNING)[0]
    waiting = make_generation(alice, image=inputs.store(alice.tenant.pk, inspect(image_bytes())))
    Generation.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - timedelta(hours=2))
    [claimed] = claims.claim_submits(1)
    steps.advance(claimed)
    waiting.refresh_from_db()
    assert waiting.status == Status.QUEUED


@pytest.mark.django_db(transaction=True)
def test_many_workers_together_stay_within_the_limit(alice: Caller, settings: Any) -> None:
    """Start 12 submits in 12 threads at once: between the count and the write of one, others count too."""
    settings.UPSTREAM_CONCURRENCY = 3
    queued = [make_generation(alice) for _ in range(12)]
    barrier = threading.Barrier(len(queued))

    def start(generation: Generation) -> None:
        barrier.wait()
        try:
            submit._start_attempt(generation, video_models.default(), attempts.offer_of(generation), "")
        except rate_limit.RateLimited:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=start, args=(generation,)) for generation in queued]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Generation.objects.filter(status=Status.SUBMITTING).count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_worker_run_keeps_the_rate_limit_and_the_order(
    alice: Caller, settings: Any, bucket: Any, upstream: Upstream, monkeypatch: Any
) -> None:
    settings.UPSTREAM_RPM = 600  # ten a second
    monkeypatch.setattr(leases, "RUN_SECONDS", 1.5)
    image = inputs.store(alice.tenant.pk, inspect(image_bytes()))
    rows = [make_generation(alice, image=image) for _ in range(40)]
    for number, row in enumerate(rows):
        Generation.objects.filter(pk=row.pk).update(due_at=timezone.now() - timedelta(seconds=100 - number))
    started = time.monotonic()
    loop.run()
    seconds = time.monotonic() - started
    assert 8 <= len(upstream.submits) <= seconds * 10 + 2
    sent = list(Generation.objects.exclude(submitted_at=None).values_list("pk", flat=True))
    assert set(sent) == {row.pk for row in rows[: len(sent)]}
