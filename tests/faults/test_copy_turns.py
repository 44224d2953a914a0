"""A copy whose worker dies, sleeps or gets answers late leaves one video, one capture and only legal transitions."""

from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from generations import leases
from generations.models import Generation
from generations.telemetry.failpoints import FailpointError
from generations.worker import steps
from tests.faults.copies import (
    Status,
    assert_copied,
    assert_legal,
    assert_nothing_is_served,
    at_the_upstream,
    claim,
    objects,
    take_step,
    until_done,
)
from tests.support.factories import Caller
from tests.support.images import mp4
from tests.support.upstream import Upstream, refusal, task
from tests.support.worker import claim_due, ledger_kinds


@pytest.fixture
def running(alice: Caller, bucket: Any, upstream: Upstream) -> Generation:
    upstream.video(mp4())
    return at_the_upstream(alice)


# Kills


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("copy_started", []),
        ("copy_reading", []),
        ("copy_stored", [".jpg", ".mp4"]),  # the poster goes beside the video
        ("copy_verified", [".jpg", ".mp4"]),
        ("finish_before_ledger", [".jpg", ".mp4"]),
    ],
)
def test_a_worker_that_dies_in_a_copy_is_followed_by_one_that_succeeds(
    running: Generation, alice: Caller, bucket: Any, settings: Any, name: str, left: list[str]
) -> None:
    settings.FAILPOINT = f"{name}:raise"
    with pytest.raises(FailpointError, match=name):
        take_step(running)
    settings.FAILPOINT = ""
    g = Generation.objects.get(pk=running.pk)
    assert g.status == Status.COPYING
    assert timezone.now() < g.due_at <= timezone.now() + leases.COPY_LEASE  # type: ignore[operator]
    assert sorted(key[-4:] for key in objects(bucket, g)) == left
    assert_nothing_is_served(alice, g)
    assert claim_due(1) == []
    assert_copied(alice, take_step(g), mp4(), bucket)


@pytest.mark.parametrize("before", [Status.RUNNING, Status.COPYING])
def test_a_worker_that_dies_within_a_transition_changes_nothing(
    running: Generation, alice: Caller, upstream: Upstream, bucket: Any, settings: Any, before: str
) -> None:
    if before == Status.COPYING:
        upstream.on_video = 503, {}, b""
        take_step(running)
        upstream.video(mp4())
    settings.FAILPOINT = "move_before_event:raise"
    with pytest.raises(FailpointError):
        take_step(running)
    settings.FAILPOINT = ""
    g = Generation.objects.get(pk=running.pk)
    assert g.status == before
    assert_nothing_is_served(alice, g)
    assert_copied(alice, until_done(g), mp4(), bucket)


def test_a_worker_that_dies_after_the_end_changes_nothing(
    running: Generation, alice: Caller, bucket: Any, settings: Any
) -> None:
    settings.FAILPOINT = "finish_committed:raise"
    with pytest.raises(FailpointError):
        take_step(running)
    settings.FAILPOINT = ""
    g = Generation.objects.get(pk=running.pk)
    assert_copied(alice, g, mp4(), bucket)
    Generation.objects.filter(pk=g.pk, due_at__isnull=False).update(due_at=timezone.now())
    assert claim_due(1) == []


def test_deaths_at_every_failpoint_one_after_the_other_leave_one_video(
    running: Generation, alice: Caller, upstream: Upstream, bucket: Any, settings: Any
) -> None:
    for name in ("copy_started", "copy_reading", "copy_stored", "copy_verified", "finish_before_ledger") * 2:
        settings.FAILPOINT = f"{name}:raise"
        if name == "copy_started" and upstream.polls:
            continue  # a retried copy does not pass it
        with pytest.raises(FailpointError, match=name):
            take_step(running)
    settings.FAILPOINT = ""
    assert_copied(alice, take_step(running), mp4(), bucket)


# Answers that come late, twice or in another order


LATE = {
    "success": task("TASK_STATUS_SUCCEED", url="http://127.0.0.1:1/v.mp4"),
    "running": task("TASK_STATUS_PROCESSING", progress=10),
    "failed": task("TASK_STATUS_FAILED", reason="late"),
    "404": refusal(404, "TASK_NOT_FOUND"),
    "garbage": (200, {}, b"?"),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", [Status.SUCCEEDED, Status.FAILED])
def test_an_answer_after_the_end_changes_nothing(alice: Caller, upstream: Upstream, bucket: Any, end: str) -> None:
    """Let one worker's poll be in progress while another claims the row, polls too, and finishes."""
    upstream.video(mp4())
    settled = task("TASK_STATUS_FAILED", reason="no") if end == Status.FAILED else upstream.on_poll
    for name, late in LATE.items():
        slow = claim(at_the_upstream(alice))

        def overtaken(handler: Any, slow: Generation = slow, late: Any = late) -> Any:
            upstream.on_poll = settled
            assert take_step(slow).status == end
            connection.close()
            return late

        upstream.on_poll, before = overtaken, len(upstream.polls)
        steps.advance(slow)
        assert len(upstream.polls) == before + 2
        g = Generation.objects.get(pk=slow.pk)
        assert g.status == end, name
        assert_legal(g)
        assert claim_due(1) == []
        if end == Status.SUCCEEDED:
            assert_copied(alice, g, mp4(), bucket)
        else:
            assert_nothing_is_served(alice, g)
            assert ledger_kinds(g) == ["hold", "release"]


@pytest.mark.parametrize("held", [Status.RUNNING, Status.COPYING])
def test_a_worker_with_an_old_fencing_token_changes_nothing(
    alice: Caller, upstream: Upstream, bucket: Any, held: str
) -> None:
    for late in LATE.values():
        upstream.video(mp4())
        running = at_the_upstream(alice)
        if held == Status.COPYING:
            upstream.on_video = 503, {}, b""
            take_step(running)
            upstream.video(mp4())
        stale = claim(running)
        assert stale.status == held
        assert until_done(running).status == Status.SUCCEEDED
        upstream.on_poll = late
        steps.advance(stale)
        assert_copied(alice, Generation.objects.get(pk=running.pk), mp4(), bucket)


def test_one_poll_answered_to_two_workers_makes_one_copy(
    running: Generation, alice: Caller, upstream: Upstream, bucket: Any
) -> None:
    first, second = claim(running), claim(running)
    steps.advance(second)
    steps.advance(first)
    assert_copied(alice, Generation.objects.get(pk=running.pk), mp4(), bucket)
