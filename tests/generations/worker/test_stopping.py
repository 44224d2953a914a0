"""A worker that stops in order gives back its rows at once: they are due for another worker, and fenced against it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from generations import lifecycle, wakeups
from generations.bucket import inputs
from generations.media.images import inspect
from generations.models import Delivery, Generation
from generations.webhooks import deliveries, fair_queue
from generations.worker import loop, pool_work, steps, stopping
from generations.worker.processes import StopSignal, is_stopping
from tests.generations.test_lifecycle import put_in
from tests.support.factories import Caller, make_generation
from tests.support.images import image_bytes, mp4
from tests.support.upstream import Upstream
from tests.support.webhooks import make_backlog, make_endpoint
from tests.support.worker import claim

pytestmark = pytest.mark.django_db(transaction=True)
Status = Generation.Status


@pytest.fixture
def stop(monkeypatch: Any) -> Iterator[StopSignal]:
    """Yield the signal of this process's supervisor."""
    signal = StopSignal()
    monkeypatch.setenv(StopSignal.VARIABLE, signal.inherited()["env"][StopSignal.VARIABLE])
    monkeypatch.setattr(stopping, "STOP_CHECK_SECONDS", 0.01)
    monkeypatch.setattr(stopping, "GRACE_SECONDS", 0.05)
    yield signal
    signal.send()
    os.close(signal._read)


class Blocked:
    """A step that waits until the test lets it go on."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def wait(self) -> None:
        """Wait as a silent server lets a worker wait."""
        self.begun.set()
        assert self.go_on.wait(60)


def run_until_given_back(stop: StopSignal, blocked: Blocked, monkeypatch: Any) -> None:
    """Do a worker run, stop it once a step is blocked, and let the step go on only when its row was given back."""
    given_back = threading.Event()
    give_back = lifecycle.give_back

    def observe(generations: list[Generation]) -> None:
        give_back(generations)
        if generations:
            given_back.set()

    monkeypatch.setattr(stopping.lifecycle, "give_back", observe)
    thread = threading.Thread(target=lambda: (loop.run(), connection.close()))
    thread.start()
    try:
        assert blocked.begun.wait(60)
        stop.send()
        wakeups.free_slots_of_this_host()
        assert given_back.wait(60)
    finally:
        blocked.go_on.set()
        thread.join(60)
    assert not thread.is_alive()


def test_a_copy_that_a_stop_cuts_off_is_due_at_once_and_the_late_worker_writes_nothing(
    alice: Caller, bucket: Any, upstream: Upstream, stop: StopSignal, monkeypatch: Any
) -> None:
    generation, _ = put_in(alice, Status.RUNNING)
    Generation.objects.filter(pk=generation.pk).update(due_at=timezone.now())
    blocked = Blocked()
    upstream.video(mp4())
    video = upstream.on_video
    upstream.on_video = lambda handler: (blocked.wait(), video)[1]
    run_until_given_back(stop, blocked, monkeypatch)
    row = Generation.objects.get(pk=generation.pk)
    assert row.status == Status.COPYING
    assert row.due_at is not None
    assert row.due_at <= timezone.now()


def test_a_queued_row_in_hand_is_due_at_once_and_the_late_worker_pays_for_nothing(
    alice: Caller, bucket: Any, upstream: Upstream, stop: StopSignal, monkeypatch: Any
) -> None:
    generation = make_generation(alice, image=inputs.store(alice.tenant.pk, inspect(image_bytes())))
    blocked, advance = Blocked(), steps.advance
    monkeypatch.setattr(pool_work.steps, "advance", lambda row: (blocked.wait(), advance(row)))
    run_until_given_back(stop, blocked, monkeypatch)
    row = Generation.objects.get(pk=generation.pk)
    assert row.status == Status.QUEUED
    assert row.due_at is not None
    assert row.due_at <= timezone.now()
    assert upstream.submits == []


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.COPYING, Status.IN_DOUBT, Status.SUBMITTING])
def test_each_claimed_row_is_given_back_except_one_whose_answer_may_come(alice: Caller, status: Status) -> None:
    claimed = claim(put_in(alice, status)[0])
    lifecycle.give_back([claimed])
    row = Generation.objects.get(pk=claimed.pk)
    assert row.due_at is not None
    is_due = row.due_at <= timezone.now()
    assert is_due is (status != Status.SUBMITTING)
    assert (row.fencing_token > claimed.fencing_token) is is_due


def test_a_row_of_another_worker_is_not_given_back(alice: Caller) -> None:
    claimed = claim(make_generation(alice))
    other = claim(claimed)
    lifecycle.give_back([claimed])
    row = Generation.objects.get(pk=claimed.pk)
    assert (row.fencing_token, row.due_at) == (other.fencing_token, other.due_at)


def test_a_delivery_is_given_back(alice: Caller) -> None:
    make_backlog(alice, 1, endpoint=make_endpoint(alice))
    [(_, claimed)] = fair_queue.claim([])
    deliveries.give_back([claimed])
    row = Delivery.objects.get()
    assert row.due_at is not None
    assert row.due_at <= timezone.now()
    assert [pk for _, pk in fair_queue.claim([])] == [row]
    deliveries.give_back([claimed])  # another worker has it now
    row.refresh_from_db()
    assert row.due_at is not None
    assert row.due_at > timezone.now()


def test_grandchildren_hear_the_stop_and_the_end_of_their_supervisor() -> None:
    ask = "import os; from generations.worker.processes import is_stopping; print(is_stopping())"
    below = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ask!r}], close_fds=False, check=True)"
    signal = StopSignal()
    for expected in ("False", "True"):
        inherited = signal.inherited()
        child = subprocess.run([sys.executable, "-c", below], capture_output=True, text=True, check=True, **inherited)
        assert child.stdout.strip() == expected
        signal.send()
    os.close(signal._read)


def test_a_process_without_a_supervisor_does_not_stop() -> None:
    assert not is_stopping()
