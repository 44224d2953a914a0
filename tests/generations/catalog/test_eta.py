"""Tests of the estimate: from the wait times of the last generations of a kind, and this generation's age."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from cachetools import LRUCache, TTLCache
from django.db import OperationalError, connection

from generations.catalog import eta
from generations.models import Generation
from tests.support.clock import Clock
from tests.support.factories import Caller

NOW = datetime(2026, 11, 4, 12, tzinfo=UTC)
KIND: dict[str, Any] = {"model": "seedance-v1-lite-i2v", "resolution": "480p", "duration": 5, "test": False}
Estimate = Callable[..., int | None]


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def clock(monkeypatch: Any) -> Clock:
    clock = Clock()
    monkeypatch.setattr(eta, "_fresh", TTLCache(eta.MAX_KINDS, eta.REREAD_SECONDS, clock))
    return clock


def required_fields(caller: Caller) -> dict[str, Any]:
    return {
        "tenant": caller.tenant,
        "seed": 7,
        "price_micro": 1,
        "aspect_ratio": "16:9",
        "image_url": "https://example.com/a",
    }


def succeed_in(caller: Caller, *seconds: float, **changes: Any) -> None:
    """Create generations that succeeded after these seconds, the last of them just now."""
    rows = []
    for number, wait in enumerate(reversed(seconds)):
        ended = NOW - timedelta(minutes=number)
        began = ended - timedelta(seconds=wait)
        video = {"video_key": "videos/a", "video_size": 1, "video_sha256": "0" * 64}
        times = {"created_at": began, "finished_at": ended, "status": "succeeded"}
        rows.append(
            Generation(**{**required_fields(caller), **KIND, **times, **video, "upstream_id": str(uuid4()), **changes})
        )
    Generation.objects.bulk_create(rows)


@pytest.fixture
def remaining(alice: Caller) -> Estimate:
    """Return a function that estimates for a running generation of an age in seconds."""

    def estimate(age: float, **changes: Any) -> int | None:
        running = {"created_at": NOW - timedelta(seconds=age), "status": "running"}
        return eta.remaining(Generation(**{**required_fields(alice), **KIND, **running, **changes}))

    return estimate


def test_without_a_history_there_is_no_estimate(remaining: Estimate) -> None:
    assert [remaining(0), remaining(1000)] == [None, None]


def test_a_model_without_a_resolution_has_estimates_of_its_own(alice: Caller, remaining: Estimate) -> None:
    kind: dict[str, Any] = {"model": "kling-v3.0-std-t2v", "resolution": None}
    succeed_in(alice, 10, 20, 30, **kind)
    succeed_in(alice, 100, model="kling-v3.0-std-t2v", resolution="720p")
    assert remaining(0, **kind) == 20
    assert remaining(0, model="kling-v3.0-std-t2v", resolution="720p") == 100
    assert remaining(0, model="kling-v3.0-pro-t2v", resolution=None) is None


def test_the_estimate_is_the_median_of_the_wait_times_above_the_age(alice: Caller, remaining: Estimate) -> None:
    succeed_in(alice, 100, 10, 30, 20, 40)
    assert remaining(0) == 30
    assert remaining(10) == 25  # 20, 30, 40 and 100 took longer: 35 is their median
    assert remaining(29.5) == 11  # 30, 40 and 100: whole seconds, rounded up
    assert remaining(40) == 60
    assert remaining(99.5) == 1
    assert remaining(-5) == 30  # created by a host whose clock is ahead


def test_past_all_wait_times_the_estimate_is_a_tenth_of_the_age(alice: Caller, remaining: Estimate) -> None:
    succeed_in(alice, 1, 2, 3)
    assert [remaining(age) for age in (3, 50, 100, 300, 600, 100_000)] == [1, 5, 10, 30, 60, 60]


def test_other_kinds_do_not_count(alice: Caller, bob: Caller, remaining: Estimate) -> None:
    for difference in ({"resolution": "720p"}, {"duration": 10}, {"test": True}, {"model": "another"}):
        succeed_in(alice, 30, **difference)
    assert remaining(0) is None
    assert remaining(0, test=True) == 30
    succeed_in(bob, 12, resolution="1080p")
    assert remaining(0, resolution="1080p") == 12  # for any tenant


def test_only_the_last_hundred_count(alice: Caller, remaining: Estimate) -> None:
    succeed_in(alice, *[1000.0] * 60, *[20.0] * 60)
    assert remaining(0) == 20
    assert remaining(500) == 500  # 40 of the older ones are among the last hundred


def test_finished_generations_and_those_in_doubt_have_no_estimate(alice: Caller, remaining: Estimate) -> None:
    succeed_in(alice, 30)
    assert remaining(5, status="in_doubt") is None
    assert remaining(5, status="failed", finished_at=NOW) is None


def test_a_kind_is_read_once_in_half_a_minute(
    alice: Caller, remaining: Estimate, clock: Clock, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        assert [remaining(0) for _ in range(50)] == [None] * 50  # an empty result is cached too
    succeed_in(alice, 30)
    clock.now = eta.REREAD_SECONDS - 0.1
    with django_assert_num_queries(0):
        assert remaining(0) is None
    clock.now += 0.2
    with django_assert_num_queries(1):
        assert [remaining(0), remaining(10), remaining(10)] == [30, 20, 20]
    with django_assert_num_queries(1):
        remaining(0, resolution="720p")


def test_while_one_thread_reads_the_others_use_the_times_read_before(
    alice: Caller, remaining: Estimate, clock: Clock
) -> None:
    succeed_in(alice, 30)
    assert remaining(0) == 30
    succeed_in(alice, *[10.0] * 10)
    clock.now = eta.REREAD_SECONDS
    others = []

    def estimate_while_reading(execute: Any, *args: Any) -> Any:
        others.append(remaining(0))
        return execute(*args)

    with connection.execute_wrapper(estimate_while_reading):
        assert remaining(0) == 10
    assert others == [30]


def test_a_database_error_costs_only_the_estimate(
    alice: Caller, remaining: Estimate, clock: Clock, caplog: Any
) -> None:

    def lost(*args: Any) -> Any:
        raise OperationalError("server closed the connection")

    succeed_in(alice, 30)
    with connection.execute_wrapper(lost):
        assert remaining(0) is None
        assert remaining(0) is None
    assert caplog.text.count("could not be read") == 1
    clock.now = eta.REREAD_SECONDS
    assert remaining(0) == 30
    clock.now *= 2
    with connection.execute_wrapper(lost):
        assert remaining(0) == 30


def test_the_cache_is_bounded(remaining: Estimate, monkeypatch: Any) -> None:
    monkeypatch.setattr(eta, "_cached", LRUCache(3))
    monkeypatch.setattr(eta, "_fresh", TTLCache(3, eta.REREAD_SECONDS))
    for duration in range(10):
        remaining(0, duration=duration)
    assert (len(eta._cached), len(eta._fresh)) == (3, 3)


def test_the_query_uses_its_index(alice: Caller) -> None:
    succeed_in(alice, *[30.0] * 10)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # for ten rows every other plan is as good
            cursor.execute("SET LOCAL enable_bitmapscan = off")
    plan = eta._last_finished(eta.Kind(**KIND)).explain()
    assert re.search("generation_by_kind|generation_last_success", plan)  # with ten rows PostgreSQL takes either
    assert not re.search("sort|temp", plan, re.IGNORECASE)


@pytest.mark.parametrize(
    ("estimate", "age", "seconds"),
    [
        *[(1, 5, 1), (0, 5, 1), (45, 5, 45), (60, 5, 60), (4000, 5, 60)],
        *[(None, 0, 2), (None, 19, 2), (None, 50, 5), (None, 3600, 60), (None, 10**6, 60)],
    ],
)
def test_retry_after_is_the_estimate_or_a_tenth_of_the_age(estimate: int | None, age: float, seconds: int) -> None:
    assert eta.retry_after(estimate, age) == seconds
