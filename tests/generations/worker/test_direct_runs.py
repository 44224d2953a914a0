"""While the broker is away, the supervisor starts worker runs itself; it never does while the broker answers."""

import subprocess
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from generations import wakeups
from generations.models import Generation, Slot
from generations.worker import direct_runs, supervisor
from generations.worker.processes import StopSignal
from tests.support.factories import Caller, make_generation
from tests.support.patching import patch_library

pytestmark = pytest.mark.django_db


class FakeRun:
    """A process of a worker run, which runs until `code` is set."""

    pid, code = 4242, None

    def __init__(self, command: list[str], **_: Any) -> None:
        self.command = command

    def poll(self) -> int | None:
        return self.code


@pytest.fixture
def started(monkeypatch: Any) -> list[FakeRun]:
    """Return the processes that were started; each observation is 5 s after the one before."""
    processes: list[FakeRun] = []
    seconds = iter(range(1, 10_000, 5))
    patch_library(monkeypatch, direct_runs, time, monotonic=lambda: next(seconds))
    monkeypatch.setattr(direct_runs, "does_broker_answer", lambda: False)

    def start(*args: Any, **options: Any) -> FakeRun:
        processes.append(FakeRun(*args, **options))
        return processes[-1]

    patch_library(monkeypatch, direct_runs, subprocess, Popen=start)
    return processes


def observe(runs: direct_runs.DirectRuns, count: int = 1, *, is_work_waiting: bool = True) -> None:
    for _ in range(count):
        runs.observe(is_work_waiting=is_work_waiting)


def test_a_run_is_started_once_rows_wait_and_the_broker_is_away(started: list[FakeRun]) -> None:
    runs = direct_runs.DirectRuns(StopSignal())
    observe(runs, 10, is_work_waiting=False)
    assert started == []
    observe(runs, 10)
    assert len(started) >= 1
    assert started[0].command[-2:] == ["worker", "--once"]


def test_none_is_started_while_the_broker_answers(started: list[FakeRun], monkeypatch: Any) -> None:
    """Then the cluster hangs, and is restarted: runs of the supervisor's own would hide that."""
    monkeypatch.setattr(direct_runs, "does_broker_answer", lambda: True)
    observe(direct_runs.DirectRuns(StopSignal()), 30)
    assert started == []


def test_the_next_one_follows_as_soon_as_rows_wait_again(started: list[FakeRun]) -> None:
    runs = direct_runs.DirectRuns(StopSignal())
    observe(runs, 5)
    assert len(started) == 1  # which takes a moment until it has its slot
    slot = wakeups.take_slot()
    assert slot
    Slot.objects.update(owner=wakeups._owner(FakeRun.pid))  # as the started run does
    observe(runs, 5)
    assert len(started) == 1
    wakeups.free_slot(Slot(number=slot.number, owner=wakeups._owner(FakeRun.pid)))
    started[0].code = 0
    observe(runs)
    assert len(started) == 2


def test_a_run_that_a_wake_up_brings_ends_the_stand_in(started: list[FakeRun]) -> None:
    runs = direct_runs.DirectRuns(StopSignal())
    observe(runs, 2)
    slot = wakeups.take_slot()
    observe(runs)
    assert slot
    wakeups.free_slot(slot)
    observe(runs)
    assert started == []


def test_the_slot_of_a_run_of_its_own_is_not_freed_with_those_of_a_killed_cluster() -> None:
    slot = wakeups.take_slot()
    assert slot
    Slot.objects.update(owner=wakeups._owner(FakeRun.pid))
    assert wakeups.free_slots_of_this_host(but=[FakeRun.pid]) == 0
    assert wakeups.is_run_awake()
    assert not wakeups.is_run_awake(but=[FakeRun.pid])


def test_the_command_does_one_run_without_the_queue(monkeypatch: Any) -> None:
    done: list[int] = []
    monkeypatch.setattr("generations.management.commands.worker.loop.run", lambda: done.append(1))
    call_command("worker", "--once")
    assert done == [1]


@pytest.mark.parametrize(("answers", "is_raised"), [(True, True), (False, False)])
def test_a_cluster_that_cannot_start_without_the_broker_ends_no_worker(
    monkeypatch: Any, answers: bool, is_raised: bool
) -> None:
    class Ended:
        returncode, pid = 1, 0

    patch_library(monkeypatch, supervisor, subprocess, Popen=lambda *args, **options: Ended())
    monkeypatch.setattr(supervisor, "_kill_group", lambda cluster: None)
    monkeypatch.setattr(supervisor, "does_broker_answer", lambda: answers)
    monkeypatch.setattr(supervisor, "BROKER_RETRY_SECONDS", 0.0)
    boss = supervisor.Supervisor()
    monkeypatch.setattr(boss, "watch", lambda cluster: "the cluster's main process has ended")
    if is_raised:
        with pytest.raises(supervisor.ClusterCannotStart):
            boss._run_cluster()
    else:
        assert boss._run_cluster() == "the broker does not answer"


def test_rows_that_wait_are_told_from_rows_that_have_just_become_due(alice: Caller) -> None:
    generation = make_generation(alice)
    assert not supervisor.replace_lost_wakeup()
    Generation.objects.filter(pk=generation.pk).update(due_at=timezone.now() - timedelta(seconds=3))
    assert supervisor.replace_lost_wakeup()
