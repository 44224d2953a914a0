"""Wake-ups reach a worker that sleeps, burden none that is awake, and slots limit the worker runs."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from generations import leases, wakeups
from generations.models import Slot

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Stop the clock at the present time."""
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller


def count_messages() -> int:
    """Return how many wake-ups are in the queue."""
    return OrmQ.objects.count()


def test_a_wake_up_is_sent_when_no_run_is_awake() -> None:
    assert wakeups.wake_worker()
    assert count_messages() == 1


def test_a_burst_of_wake_ups_is_one_message() -> None:
    assert [wakeups.wake_worker() for _ in range(5)] == [True, False, False, False, False]
    assert count_messages() == 1


def test_a_wake_up_within_a_transaction_is_not_left_to_a_thread_that_would_not_find_its_rows() -> None:
    assert [wakeups.wake_worker() for _ in range(2)] == [True, False]
    assert "wake-up" not in [thread.name for thread in threading.enumerate()]


def test_a_lost_wake_up_is_sent_again(clock: time_machine.Traveller) -> None:
    wakeups.wake_worker()
    clock.shift(leases.WAKE_UP_LEASE + timedelta(seconds=1))
    assert wakeups.wake_worker()


def test_no_wake_up_is_sent_while_a_run_is_awake() -> None:
    slot = wakeups.take_slot()
    assert slot is not None
    assert not wakeups.wake_worker()
    wakeups.free_slot(slot)
    assert wakeups.wake_worker()


def test_there_are_as_many_runs_as_slots(settings: pytest.FixtureRequest) -> None:
    settings.SWEEP_SLOTS = 2  # type: ignore[attr-defined]
    assert [wakeups.take_slot() is not None for _ in range(3)] == [True, True, False]


def test_a_dead_runs_slot_is_taken_after_its_lease(clock: time_machine.Traveller) -> None:
    assert wakeups.take_slot()
    assert wakeups.take_slot() is None
    clock.shift(leases.SLOT_LEASE + timedelta(seconds=1))
    assert wakeups.take_slot()


def test_a_run_learns_at_its_next_renewal_that_it_must_stop() -> None:
    slot = wakeups.take_slot()
    assert slot is not None
    assert wakeups.renew_slot(slot)
    assert wakeups.free_slots_of_this_host() == 1
    assert not wakeups.renew_slot(slot)


def test_a_run_of_another_host_is_not_stopped() -> None:
    wakeups.take_slot()
    Slot.objects.update(owner="elsewhere/1")
    assert wakeups.free_slots_of_this_host() == 0


def test_the_schedule_wakes_a_worker_each_minute() -> None:
    schedule = Schedule.objects.get(name="sweep")
    assert (schedule.func, schedule.schedule_type, schedule.minutes) == (wakeups.SWEEP, Schedule.MINUTES, 1)


@pytest.mark.parametrize("manager", [(OrmQ.objects, "using"), (Slot.objects, "filter")])
def test_a_broker_or_a_database_that_is_down_costs_a_wait_and_no_error(
    monkeypatch: Any, caplog: Any, manager: tuple[Any, str]
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("it is down")

    monkeypatch.setattr(*manager, refuse)
    assert not wakeups.wake_worker()
    assert "the ring was lost" in caplog.text


def test_the_task_of_a_wake_up_exists() -> None:
    from pydoc import locate

    assert callable(locate(wakeups.SWEEP))


def test_a_schedule_that_a_host_with_a_wrong_clock_has_put_off_is_due_again() -> None:
    Schedule.objects.filter(name="prune").update(next_run=timezone.now() + timedelta(days=40))
    Schedule.objects.filter(name="sweep").update(next_run=timezone.now() + timedelta(minutes=1))
    assert wakeups.repair_schedules() == 1
    assert Schedule.objects.get(name="prune").next_run <= timezone.now()
    assert wakeups.repair_schedules() == 0
