"""What each deadline counts: every status with every outage, some shorter and some longer than the deadline."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations import deadlines
from generations.bucket import inputs, objects
from generations.bucket.errors import StorageError
from generations.media.images import inspect
from generations.models import Generation
from generations.worker import backoff, held_submits, steps
from tests.support.factories import Caller, make_generation
from tests.support.images import image_bytes, mp4
from tests.support.upstream import Upstream, refusal, task
from tests.support.worker import claim_due, ledger_kinds, take_step, take_steps_until

pytestmark = pytest.mark.one_database

Status = Generation.Status
LENGTHS = [timedelta(minutes=1), timedelta(hours=25), timedelta(days=8)]


class Outside:
    """The hosts that a generation needs: the upstream, its file host, and the bucket. At first all work."""

    def __init__(self, upstream: Upstream, patches: pytest.MonkeyPatch) -> None:
        self.upstream, self._patches = upstream, patches

    def refuse_account(self) -> None:
        """Let the upstream refuse our account."""
        self.upstream.on_submit = refusal(403, "NOT_ENOUGH_BALANCE")

    def cut_upstream(self) -> None:
        """Let the upstream close each connection."""
        self.upstream.on_poll = lambda handler: None

    def break_upstream(self) -> None:
        """Let a gateway answer in the upstream's place."""
        self.upstream.on_poll = (503, {}, b"bad gateway")

    def break_files(self) -> None:
        """Let the file host fail."""
        self.upstream.on_video = (502, {}, b"")

    def break_bucket(self) -> None:
        """Let the bucket answer with an error."""

        def fail(*args: Any, **options: Any) -> Any:
            raise StorageError("S3 answered SlowDown")

        for name in ("read", "put", "put_file", "list_keys"):
            self._patches.setattr(objects, name, fail)

    def restore(self) -> None:
        """Let all of them work, and the video be ready."""
        self._patches.undo()
        self.upstream.on_submit = lambda handler: (200, {}, b'{"task_id": "upstream-1"}')
        self.upstream.video(mp4())


@pytest.fixture
def outside(upstream: Upstream) -> Any:
    """Yield the hosts that a generation needs."""
    with pytest.MonkeyPatch.context() as patches:
        yield Outside(upstream, patches)


@pytest.fixture
def queued(alice: Caller, bucket: Any, upstream: Upstream) -> Generation:
    """Return a queued generation whose image is in the bucket."""
    return make_generation(alice, image=inputs.store(alice.tenant.pk, inspect(image_bytes())))


def live_through(generation: Generation, length: timedelta) -> Generation:
    """Take a step now, some during the time, and one at its end."""
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(6):
            generation = take_step(generation)
            clock.shift(length / 5)
    return generation


OUTAGES: dict[tuple[str, str], Callable[[Outside], None]] = {
    ("queued", "the upstream refuses our account"): Outside.refuse_account,
    ("queued", "the bucket is away"): Outside.break_bucket,
    ("running", "the upstream does not answer"): Outside.cut_upstream,
    ("running", "the upstream answers 503"): Outside.break_upstream,
    ("copying", "the upstream does not answer"): Outside.cut_upstream,
    ("copying", "the upstream answers 503"): Outside.break_upstream,
    ("copying", "the file host answers 502"): Outside.break_files,
    ("copying", "the bucket is away"): Outside.break_bucket,
}


@pytest.mark.parametrize("length", LENGTHS, ids=str)
@pytest.mark.parametrize(("status", "outage"), OUTAGES, ids=" ".join)
def test_no_outage_ends_a_generation(
    queued: Generation, outside: Outside, status: str, outage: str, length: timedelta
) -> None:
    g = queued
    if status != "queued":
        g = take_steps_until(g, Status.RUNNING)
    if status == "copying":
        outside.upstream.video(mp4())
        outside.break_files()
        g = take_steps_until(g, Status.COPYING)
        outside.upstream.video(mp4())
    OUTAGES[status, outage](outside)
    g = live_through(g, length)
    assert (g.status, ledger_kinds(g)) == (status, ["hold"])
    outside.restore()
    with time_machine.travel(timezone.now() + length + timedelta(minutes=6), tick=False):
        g = take_steps_until(g, Status.SUCCEEDED)
    assert ledger_kinds(g) == ["hold", "capture"]


@pytest.mark.parametrize("hours", [25, 24 * 8])
def test_an_outage_is_not_in_the_day_that_the_upstream_has(queued: Generation, outside: Outside, hours: int) -> None:
    g = take_steps_until(queued, Status.RUNNING)
    outside.break_upstream()
    g = live_through(g, timedelta(hours=hours))
    outside.upstream.on_poll = task("TASK_STATUS_PROCESSING", progress=40)
    with time_machine.travel(timezone.now() + timedelta(hours=hours), tick=False) as clock:
        assert take_step(g).status == Status.RUNNING
        clock.shift(timedelta(hours=23))
        assert take_step(g).status == Status.RUNNING
        clock.shift(timedelta(hours=1, minutes=5))
        g = take_step(g)
    assert (g.status, g.error_code) == (Status.FAILED, "upstream_gave_no_result")


def test_the_time_in_which_no_worker_ran_is_not_in_the_day_either(queued: Generation, outside: Outside) -> None:
    g = take_steps_until(queued, Status.RUNNING)
    with time_machine.travel(timezone.now() + timedelta(days=2), tick=False):
        [claimed] = claim_due(1)
        steps.advance(claimed)
        g.refresh_from_db()
    assert g.status == Status.RUNNING
    assert timedelta(days=2) - g.outage_time < timedelta(minutes=1)


def test_a_copy_ends_only_after_a_day_of_answers_that_the_video_is_gone(queued: Generation, outside: Outside) -> None:
    g = take_steps_until(queued, Status.RUNNING)
    outside.upstream.video(mp4())
    outside.upstream.on_video = (404, {}, b"")
    g = take_steps_until(g, Status.COPYING)
    with time_machine.travel(timezone.now() + timedelta(hours=25), tick=False) as clock:
        outside.break_files()
        g = take_step(g)
        clock.shift(3600)
        outside.upstream.on_video = (404, {}, b"")
        while g.consecutive_failures < backoff.MIN_COPIES - 1:
            g = take_step(g)
            assert g.status == Status.COPYING
        g = take_step(g)
    assert (g.status, g.error_code) == (Status.FAILED, "copy_failed")


def test_operators_get_the_time_back_in_which_the_upstream_was_away(
    queued: Generation, outside: Outside, alice: Caller
) -> None:
    outside.upstream.on_submit = lambda handler: None
    g = take_steps_until(queued, Status.IN_DOUBT)
    other = make_generation(alice, image=queued.image)
    outside.refuse_account()
    with time_machine.travel(timezone.now(), tick=False) as clock:
        g = take_step(g)  # it is held for the operators
        for _ in range(10):
            clock.shift(3600)
            take_step(other)
        assert deadlines.doubt_ends_at(g) - timezone.now() == pytest.approx(timedelta(hours=24), abs=timedelta(hours=1))
        clock.shift(60)
        held_submits.resume("novita")
        g.refresh_from_db()
        assert g.due_at is not None
        assert g.due_at - timezone.now() == pytest.approx(timedelta(hours=24), abs=timedelta(hours=1))
