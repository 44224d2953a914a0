"""The sums of usage: with them a report is what counting every generation gives, at any time and in any time zone."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import hypothesis
import pytest
import time_machine
from django.db import connection, transaction
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from generations.models import Generation, UsageSumState
from generations.reports import usage_sums
from tenants import actions
from tests.support.factories import ACTOR, Caller
from tests.support.usage_history import DAY, HOUR, MINUTE, NOON, add, assert_exact, store_at, summed

# With and without summer time, and with offsets of half and three quarters of an hour.
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"]


@pytest.fixture(autouse=True)
def _clock(settings: Any) -> Iterator[None]:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    with time_machine.travel(NOON, tick=False):
        yield


GENERATION = st.fixed_dictionaries(
    {
        "created_at": st.timedeltas(-24 * DAY, 3 * DAY).map(lambda since: NOON + since),
        "status": st.sampled_from(Generation.Status.values),
        "took": st.timedeltas(timedelta(0), 3 * DAY),
        "model": st.sampled_from(["seedance-v1-lite-i2v", "kling-v3.0-std-t2v"]),
        "resolution": st.sampled_from([None, "480p", "720p"]),
        "duration": st.integers(1, 12),
        "charged_micro": st.sampled_from([None, 0, 7, 10**9]),
    }
)
KEYS = st.sampled_from(["live", "other", "test", None])
RUNS = st.lists(st.timedeltas(timedelta(0), 9 * DAY), max_size=3)


@pytest.mark.django_db
@hypothesis.settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(zone=st.sampled_from(ZONES), rows=st.lists(st.tuples(KEYS, GENERATION), max_size=12), runs=RUNS)
def test_with_the_sums_a_report_is_what_counting_gives(zone: str, rows: Any, runs: list[timedelta]) -> None:
    with transaction.atomic():
        alice = Caller(actions.create_tenant(ACTOR, "alice", time_zone=zone))
        keys = {"live": alice.key, "other": alice.with_key().key, "test": alice.with_key(test=True).key}
        for name, facts in rows:
            add(keys[name or "live"], **facts, **({} if name else {"api_key": None}))
        assert_exact(alice.tenant)
        for at in itertools.accumulate(runs, initial=NOON):
            store_at(at)
            assert_exact(alice.tenant)
        transaction.set_rollback(True)


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ZONES)
def test_days_are_exact_over_the_end_of_summer_time(zone: str) -> None:
    alice = Caller(actions.create_tenant(ACTOR, "alice", time_zone=zone))
    for quarter in range(4 * 24 * 3):
        add(alice.key, NOON - 2 * DAY + quarter * 15 * MINUTE)
    store_at(NOON + 2 * DAY)
    assert summed(alice.tenant) == 4 * 24 * 3
    assert_exact(alice.tenant)


@pytest.mark.django_db
def test_what_finished_within_the_settle_time_is_counted_and_added_later(alice: Caller) -> None:
    add(alice.key, NOON - HOUR)
    store_at(NOON)
    add(alice.key, NOON - 5 * MINUTE, took=2 * MINUTE)  # its commit comes after the run
    add(alice.key, NOON - 2 * DAY, "running")
    assert summed(alice.tenant) == 1
    assert_exact(alice.tenant)
    Generation.objects.filter(status="running").update(
        status="succeeded", due_at=None, finished_at=NOON + MINUTE, video_key="v", video_size=1, video_sha256="ab"
    )
    assert_exact(alice.tenant)
    store_at(NOON + HOUR)
    assert summed(alice.tenant) == 3
    assert_exact(alice.tenant)


@pytest.mark.django_db
def test_history_of_before_the_upgrade_is_added_in_steps_of_a_day(alice: Caller, bob: Caller) -> None:
    for days in range(usage_sums.MAX_STEPS_PER_RUN + 5):
        add(alice.key, NOON - 80 * DAY + days * DAY)
    add(bob.key, NOON - 40 * DAY, "failed")
    steps = [store_at(NOON), store_at(NOON), store_at(NOON)]
    assert steps == [usage_sums.MAX_STEPS_PER_RUN, 6, 0]  # the last step passes over the days without any
    for caller in (alice, bob):
        assert_exact(caller.tenant)
    assert (summed(alice.tenant), summed(bob.tenant)) == (usage_sums.MAX_STEPS_PER_RUN + 5, 1)


@pytest.mark.django_db
def test_amid_the_history_a_report_is_exact_too(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_sums, "MAX_STEPS_PER_RUN", 1)
    for hours in range(0, 24 * 5, 7):
        add(alice.key, NOON - 6 * DAY + hours * HOUR)
    while store_at(NOON):
        assert_exact(alice.tenant)
    assert summed(alice.tenant) == 18


@pytest.mark.django_db
def test_another_time_zone_begins_the_sums_again(alice: Caller, bob: Caller) -> None:
    for caller, hours in itertools.product((alice, bob), range(48)):
        add(caller.key, NOON - 3 * DAY + hours * HOUR)
    store_at(NOON)
    tenant = actions.change_tenant(ACTOR, alice.tenant, time_zone="Asia/Kathmandu")
    assert_exact(tenant)  # the sums are of days that are no longer the tenant's
    store_at(NOON + MINUTE)
    assert UsageSumState.objects.get(tenant=tenant).time_zone == "Asia/Kathmandu"
    assert (summed(tenant), summed(bob.tenant)) == (48, 48)
    assert_exact(tenant)
    assert_exact(bob.tenant)


@pytest.mark.django_db
def test_who_reads_the_same_generations_as_another_worker_adds_nothing(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hours in range(9):
        add(alice.key, NOON - 2 * HOUR - hours * HOUR)
    real = usage_sums._add_up

    def read_and_be_late(*args: Any) -> list[Any]:
        rows = list(real(*args))
        monkeypatch.setattr(usage_sums, "_add_up", real)
        assert usage_sums.store() == 2  # the other worker: a day before midnight, and the rest
        return rows

    monkeypatch.setattr(usage_sums, "_add_up", read_and_be_late)
    for hours in range(9, 15):
        add(alice.key, NOON - 2 * HOUR - hours * HOUR)
    assert store_at(NOON) == 1
    assert summed(alice.tenant) == 15
    assert_exact(alice.tenant)


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_count_nothing_twice_and_lose_nothing(alice: Caller) -> None:
    for hours in range(72):
        add(alice.key, NOON - 4 * DAY + hours * HOUR)

    def store() -> None:
        try:
            usage_sums.store()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        for run in [pool.submit(store) for _ in range(8)]:
            run.result(60)
    assert summed(alice.tenant) == 72
    assert_exact(alice.tenant)
