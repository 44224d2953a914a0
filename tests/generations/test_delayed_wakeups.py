"""Wake-ups that follow a recent one are delayed for a moment, and sent as one."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django_q.models import OrmQ

from generations import leases, wakeups
from tests.support.worker import count_wakeups


@pytest.mark.django_db(transaction=True)
def test_of_many_wake_ups_at_once_the_first_is_sent_and_one_more_for_the_rest(monkeypatch: Any) -> None:
    monkeypatch.setattr(wakeups, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(leases, "WAKE_UP_LEASE", timedelta(0))  # no recent wake-up suppresses another one
    assert wakeups.wake_worker()
    assert [wakeups.wake_worker() for _ in range(50)] == [False] * 50
    assert OrmQ.objects.count() == 1
    assert count_wakeups() == 2
    time.sleep(0.25)
    assert wakeups.wake_worker()


@pytest.mark.django_db(transaction=True)
def test_a_machine_without_threads_delays_no_wake_up(monkeypatch: Any) -> None:
    def fail_to_start(thread: Any) -> None:
        """Fail as on a machine that has no thread left."""
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(wakeups, "QUIET_SECONDS", 60.0)
    monkeypatch.setattr(leases, "WAKE_UP_LEASE", timedelta(0))
    assert wakeups.wake_worker()
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", fail_to_start)
        assert [wakeups.wake_worker() for _ in range(2)] == [True, True]  # both are sent at once
    assert OrmQ.objects.count() == 3
