"""The supervisor restarts a cluster that does nothing although work is due, and replaces lost wake-ups."""

import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations import wakeups
from generations.models import Generation
from generations.reports import worker_hosts
from generations.worker import supervisor
from tests.support.factories import Caller, make_generation
from tests.support.patching import patch_library
from tests.support.worker import count_wakeups

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_cluster_that_has_just_started_has_time_before_it_counts_as_stalled(alice: Caller, monkeypatch: Any) -> None:
    """After a long outage every row is overdue; a fresh cluster must not be killed for that, over and over."""
    g = make_generation(alice)
    Generation.objects.filter(pk=g.pk).update(due_at=timezone.now() - timedelta(hours=1))
    monkeypatch.setattr(supervisor, "CHECK_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(supervisor, "STALL_TIMEOUT", timedelta(seconds=1))
    cluster = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    started = time.monotonic()
    try:
        why = supervisor.Supervisor().watch(cluster)
    finally:
        supervisor._kill_group(cluster)
    assert "none was done" in why
    assert time.monotonic() - started >= 1.0


def test_a_host_that_does_no_work_although_some_is_due_is_stalled(alice: Caller, monkeypatch: Any) -> None:
    """Each observation is 50 seconds after the one before, by the supervisor's own clock."""
    clock = iter(range(0, 10_000, 50))
    patch_library(monkeypatch, supervisor, time, monotonic=lambda: next(clock))

    def observe(detector: supervisor.StallDetector, count: int = 2) -> list[bool]:
        return [detector.observe() for _ in range(count)]

    assert observe(supervisor.StallDetector()) == [False, False]  # nothing is due
    g = make_generation(alice)
    Generation.objects.filter(pk=g.pk).update(due_at=timezone.now() - timedelta(hours=2))
    detector = supervisor.StallDetector()
    assert observe(detector, 3) == [False, False, True]  # due for long, and judged after a minute of observation
    worker_hosts.record_heartbeat()
    assert observe(detector, 3) == [False, False, False]
    assert observe(detector, 1) == [True]
    detector.reset()  # as after a database that did not answer
    assert observe(detector, 2) == [False, False]
    slot = wakeups.take_slot()  # as a run of another host does: this host has nothing to do
    assert slot
    assert observe(detector, 3) == [False, False, False]
    wakeups.free_slot(slot)
    assert observe(detector, 3) == [False, False, True]


def test_another_run_is_woken_when_those_awake_do_not_keep_up(alice: Caller, settings: Any) -> None:
    settings.SWEEP_SLOTS = 2
    g = make_generation(alice)
    Generation.objects.filter(pk=g.pk).update(due_at=timezone.now() - timedelta(seconds=3))
    assert wakeups.take_slot()
    assert not wakeups.wake_worker()
    supervisor.replace_lost_wakeup()
    assert count_wakeups() == 1
    assert wakeups.take_slot()
    with time_machine.travel(timezone.now() + timedelta(seconds=6), tick=False):
        supervisor.replace_lost_wakeup()
    assert count_wakeups() == 1


def test_a_row_whose_wake_up_was_lost_gets_another(alice: Caller) -> None:
    g = make_generation(alice)
    supervisor.replace_lost_wakeup()
    assert count_wakeups() == 0  # the row became due only now
    Generation.objects.filter(pk=g.pk).update(due_at=timezone.now() - timedelta(seconds=3))
    supervisor.replace_lost_wakeup()
    supervisor.replace_lost_wakeup()
    assert count_wakeups() == 1
