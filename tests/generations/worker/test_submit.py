"""The submit step, against an upstream on a socket and an S3 in this process."""

import time
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import OperationalError, connection
from django.utils import timezone

from generations import leases
from generations.bucket import inputs
from generations.media.images import inspect
from generations.models import Generation
from generations.upstream import circuit_breaker
from generations.worker import steps, submit
from tests.support import attempts
from tests.support.factories import Caller, make_generation
from tests.support.images import data_uri, image_bytes
from tests.support.patching import patch_library
from tests.support.upstream import Upstream, refusal
from tests.support.worker import claim_due, due_in, ledger_kinds, take_step

pytestmark = pytest.mark.one_database

Status = Generation.Status


def test_a_submit_sends_exactly_what_was_recorded(queued: Generation, upstream: Upstream) -> None:
    g = take_step(queued)
    assert (g.status, g.upstream_id) == (Status.RUNNING, "upstream-1")
    assert upstream.submits == [
        {
            "image": data_uri(image_bytes()),
            "prompt": "",
            "resolution": "480p",
            "aspect_ratio": "16:9",
            "duration": 5,
            "camera_fixed": False,
            "seed": 1234,
        }
    ]
    assert 1.5 < due_in(g) <= 2.0
    [attempt] = g.attempts.all()
    assert (attempt.outcome, attempt.detail) == ("created", "upstream-1")


@pytest.mark.django_db(transaction=True)
def test_the_attempt_is_committed_before_the_upstream_receives_it(queued: Generation, upstream: Upstream) -> None:
    states: list[Any] = []

    def answer(handler: Any) -> Any:
        """Read the row in the upstream's thread: its own connection reads only what was committed."""
        g = Generation.objects.get(pk=queued.pk)
        states.append((g.status, g.attempts.count()))
        connection.close()
        return refusal(429, "RATE_LIMIT_EXCEEDED")

    upstream.on_submit = answer
    take_step(queued)
    assert states == [("submitting", 1)]


def test_a_refused_generation_fails_with_the_upstreams_reason_and_is_released(
    queued: Generation, upstream: Upstream
) -> None:
    upstream.on_submit = refusal(400, "ILLEGAL_PROMPT")
    g = take_step(queued)
    assert (g.status, g.error_code) == (Status.FAILED, "upstream_refused")
    assert "ILLEGAL_PROMPT" in g.error_message
    assert ledger_kinds(g) == ["hold", "release"]


def test_a_submit_that_was_certainly_not_created_waits_with_its_hold_and_is_sent_again(
    queued: Generation, upstream: Upstream
) -> None:
    upstream.on_submit = refusal(429, "RATE_LIMIT_EXCEEDED", **{"Retry-After": "30"})
    g = take_step(queued)
    assert g.status == Status.QUEUED
    assert circuit_breaker.seconds_until_submit("novita") > 29
    upstream.on_submit = lambda handler: (200, {}, b'{"task_id": "second"}')
    circuit_breaker.resume("novita")
    g = take_step(g)
    assert (g.status, g.upstream_id) == (Status.RUNNING, "second")
    assert [attempt.outcome for attempt in g.attempts.order_by("number")] == ["not_created", "created"]
    assert ledger_kinds(g) == ["hold"]


def test_a_generation_whose_model_this_worker_does_not_know_waits_for_a_worker_that_does(
    queued: Generation, upstream: Upstream
) -> None:
    """A worker of the release before, or without the new file, fails nothing while hosts are replaced."""
    model = queued.model
    Generation.objects.filter(pk=queued.pk).update(model="acme-dream-1")
    row = take_step(queued)
    assert (row.status, row.consecutive_failures, upstream.submits) == ("queued", 1, [])
    Generation.objects.filter(pk=queued.pk).update(model=model)
    row = take_step(queued)
    assert (row.status, len(upstream.submits)) == ("running", 1)


def test_a_generation_fails_whose_model_no_worker_knows_for_an_hour(queued: Generation, upstream: Upstream) -> None:
    Generation.objects.filter(pk=queued.pk).update(model="acme-dream-1", consecutive_failures=59)
    row = take_step(queued)
    assert (row.status, row.error_code, upstream.submits) == ("failed", "model_unknown", [])
    assert ledger_kinds(row) == ["hold", "release"]


def test_retry_intervals_grow_up_to_a_minute(queued: Generation, upstream: Upstream) -> None:
    upstream.on_submit = refusal(403, "NOT_ENOUGH_BALANCE")
    intervals = []
    for _ in range(8):
        circuit_breaker.resume("novita")  # this test is about the generation's own intervals
        intervals.append(round(due_in(take_step(queued))))
    assert intervals == [2, 4, 8, 16, 32, 60, 60, 60]


def test_a_lost_answer_is_in_doubt_and_never_sent_again(queued: Generation, upstream: Upstream) -> None:
    upstream.on_submit = lambda handler: None
    g = take_step(queued)
    assert g.status == Status.IN_DOUBT
    g = take_step(g)  # the tenant's policy is to hold it
    assert 23 * 3600 < due_in(g) <= 24 * 3600
    assert len(upstream.submits) == 1
    with time_machine.travel(timezone.now() + timedelta(hours=24), tick=False):
        g = take_step(g)
    assert (g.status, g.error_code) == (Status.FAILED, "submit_unconfirmed")
    assert len(upstream.submits) == 1
    assert ledger_kinds(g) == ["hold", "release"]


def test_an_answer_is_recorded_although_the_database_is_away_for_a_moment(
    queued: Generation, upstream: Upstream, monkeypatch: Any
) -> None:
    calls, record = [], submit._record

    def away(*args: Any) -> None:
        calls.append(args)
        if len(calls) < 3:
            raise OperationalError("the server closed the connection")
        record(*args)

    monkeypatch.setattr(submit, "_record", away)
    patch_library(monkeypatch, submit, time, sleep=lambda seconds: None)
    g = take_step(queued)
    assert (g.status, len(calls), len(upstream.submits)) == (Status.RUNNING, 3, 1)


def test_a_worker_lost_while_submitting_leaves_the_generation_in_doubt_without_a_second_submit(
    queued: Generation, upstream: Upstream
) -> None:
    [claimed] = claim_due(1)
    assert attempts.start_submitting(claimed)
    g = take_step(queued)
    assert g.status == Status.IN_DOUBT
    assert upstream.submits == []


def test_two_workers_with_one_row_submit_it_once(queued: Generation, upstream: Upstream) -> None:
    [first] = claim_due(1)
    Generation.objects.filter(pk=queued.pk).update(due_at=timezone.now())
    [second] = claim_due(1)
    steps.advance(second)
    steps.advance(first)
    assert len(upstream.submits) == 1


def test_an_image_that_the_bucket_returns_wrong_is_not_paid_for(
    queued: Generation, upstream: Upstream, bucket: Any
) -> None:
    assert queued.image is not None
    bucket.put_object(Bucket="seedance-tests", Key=queued.image.key, Body=b"abd")
    g = take_step(queued)
    assert (g.status, g.consecutive_failures) == (Status.QUEUED, 1)
    assert upstream.submits == []


def test_a_bucket_that_is_down_delays_a_submit_and_loses_nothing(
    queued: Generation, upstream: Upstream, settings: Any
) -> None:
    settings.S3_BUCKET = "not-there"
    g = take_step(queued)
    assert (g.status, g.consecutive_failures) == (Status.QUEUED, 1)
    assert upstream.submits == []


def test_large_images_wait_for_memory_and_small_images_do_not(
    queued: Generation, alice: Caller, upstream: Upstream, monkeypatch: Any
) -> None:
    monkeypatch.setattr(leases, "MEMORY_WAIT_SECONDS", 0.01)
    large = inputs.store(alice.tenant.pk, inspect(image_bytes(kind="PNG") + b"\0" * (submit.LARGE_BYTES + 1)))
    waiting = make_generation(alice, image=large)
    with submit._large_bodies, submit._large_bodies:
        assert take_step(queued).status == Status.RUNNING
        assert take_step(waiting).status == Status.QUEUED
    assert take_step(waiting).status == Status.RUNNING
    assert len(upstream.submits) == 2
