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
    with time_machine.travel(timezone.now(), tick=False) as coordinates:
        yield coordinates


def rings() -> int:
    return OrmQ.objects.count()


def test_a_ring_wakes_a_sweep_where_none_is_awake() -> None:
    assert wakeups.ring()
    assert rings() == 1


def test_a_burst_of_rings_is_one_message() -> None:
    assert [wakeups.ring() for _ in range(5)] == [True, False, False, False, False]
    assert rings() == 1


def test_a_ring_within_a_transaction_is_left_to_no_thread_which_would_not_find_what_it_is_for() -> None:
    assert [wakeups.ring() for _ in range(2)] == [True, False]
    assert "ring" not in [thread.name for thread in threading.enumerate()]


def test_a_ring_that_is_lost_is_rung_again(clock: time_machine.Traveller) -> None:
    wakeups.ring()
    clock.shift(leases.WAKE_UP_LEASE + timedelta(seconds=1))
    assert wakeups.ring()


def test_nobody_rings_while_a_sweep_is_awake() -> None:
    slot = wakeups.take_slot()
    assert slot is not None
    assert not wakeups.ring()
    wakeups.free_slot(slot)
    assert wakeups.ring()


def test_there_are_as_many_sweeps_as_slots(settings: pytest.FixtureRequest) -> None:
    settings.SWEEP_SLOTS = 2  # type: ignore[attr-defined]
    assert [wakeups.take_slot() is not None for _ in range(3)] == [True, True, False]


def test_a_dead_sweeps_slot_is_taken_when_its_lease_has_run_out(clock: time_machine.Traveller) -> None:
    assert wakeups.take_slot()
    assert wakeups.take_slot() is None
    clock.shift(leases.SLOT_LEASE + timedelta(seconds=1))
    assert wakeups.take_slot()


def test_a_sweep_learns_at_its_next_look_that_it_shall_stop() -> None:
    slot = wakeups.take_slot()
    assert slot is not None
    assert wakeups.renew_slot(slot)
    assert wakeups.free_slots_of_this_host() == 1
    assert not wakeups.renew_slot(slot)


def test_another_hosts_sweep_is_not_stopped() -> None:
    wakeups.take_slot()
    Slot.objects.update(owner="elsewhere/1")
    assert wakeups.free_slots_of_this_host() == 0


def test_a_ring_comes_each_minute_in_any_case() -> None:
    schedule = Schedule.objects.get(name="sweep")
    assert (schedule.func, schedule.schedule_type, schedule.minutes) == (wakeups.SWEEP, Schedule.MINUTES, 1)


@pytest.mark.parametrize("manager", [(OrmQ.objects, "using"), (Slot.objects, "filter")])
def test_a_broker_or_a_database_that_is_down_costs_a_wait_and_no_error(
    monkeypatch: Any, caplog: Any, manager: tuple[Any, str]
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("it is down")

    monkeypatch.setattr(*manager, refuse)
    assert not wakeups.ring()
    assert "the ring was lost" in caplog.text


def test_the_task_behind_the_ring_exists() -> None:
    from pydoc import locate

    assert callable(locate(wakeups.SWEEP))
