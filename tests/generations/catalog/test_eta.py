"""How long it will take yet: from what the last ones of its kind took, and how old this one is."""

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
Ask = Callable[..., int | None]


@pytest.fixture(autouse=True)
def _clock() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def clock(monkeypatch: Any) -> Clock:
    clock = Clock()
    monkeypatch.setattr(eta, "_fresh", TTLCache(eta.MAX_KINDS, eta.REREAD_SECONDS, clock))
    return clock


def rest(caller: Caller) -> dict[str, Any]:
    return {
        "tenant": caller.tenant,
        "seed": 7,
        "price_micro": 1,
        "aspect_ratio": "16:9",
        "image_url": "https://example.com/a",
    }


def took(caller: Caller, *seconds: float, **facts: Any) -> None:
    """They succeeded in that many seconds each, the last of them just now."""
    rows = []
    for number, one in enumerate(reversed(seconds)):
        ended = NOW - timedelta(minutes=number)
        began = ended - timedelta(seconds=one)
        video = {"video_key": "videos/a", "video_size": 1, "video_sha256": "0" * 64}
        made = {"created_at": began, "finished_at": ended, "status": "succeeded"}
        rows.append(Generation(**{**rest(caller), **KIND, **made, **video, "upstream_id": str(uuid4()), **facts}))
    Generation.objects.bulk_create(rows)


@pytest.fixture
def remaining(alice: Caller) -> Ask:
    """Of a generation that is so many seconds old."""

    def ask(age: float, **facts: Any) -> int | None:
        made = {"created_at": NOW - timedelta(seconds=age), "status": "running"}
        return eta.remaining(Generation(**{**rest(alice), **KIND, **made, **facts}))

    return ask


def test_without_a_history_nothing_is_known(remaining: Ask) -> None:
    assert [remaining(0), remaining(1000)] == [None, None]


def test_it_is_the_median_of_those_that_took_longer_than_its_age(alice: Caller, remaining: Ask) -> None:
    took(alice, 100, 10, 30, 20, 40)
    assert remaining(0) == 30
    assert remaining(10) == 25  # 20, 30, 40 and 100 took longer: 35 is their median
    assert remaining(29.5) == 11  # 30, 40 and 100: whole seconds, rounded up
    assert remaining(40) == 60
    assert remaining(99.5) == 1
    assert remaining(-5) == 30  # made by a host whose clock is ahead


def test_past_all_of_them_it_is_a_tenth_of_its_age(alice: Caller, remaining: Ask) -> None:
    took(alice, 1, 2, 3)
    assert [remaining(age) for age in (3, 50, 100, 300, 600, 100_000)] == [1, 5, 10, 30, 60, 60]


def test_another_kind_says_nothing_of_it(alice: Caller, bob: Caller, remaining: Ask) -> None:
    for fact in ({"resolution": "720p"}, {"duration": 10}, {"test": True}, {"model": "another"}):
        took(alice, 30, **fact)
    assert remaining(0) is None
    assert remaining(0, test=True) == 30
    took(bob, 12, resolution="1080p")
    assert remaining(0, resolution="1080p") == 12  # whoever it was made for


def test_only_the_last_hundred_count(alice: Caller, remaining: Ask) -> None:
    took(alice, *[1000.0] * 60, *[20.0] * 60)
    assert remaining(0) == 20
    assert remaining(500) == 500  # 40 of the older ones are among the last hundred


def test_what_has_ended_and_what_ops_must_settle_has_none(alice: Caller, remaining: Ask) -> None:
    took(alice, 30)
    assert remaining(5, status="in_doubt") is None
    assert remaining(5, status="failed", finished_at=NOW) is None


def test_a_kind_is_read_once_in_half_a_minute(
    alice: Caller, remaining: Ask, clock: Clock, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        assert [remaining(0) for _ in range(50)] == [None] * 50  # that there is none is known too
    took(alice, 30)
    clock.now = eta.REREAD_SECONDS - 0.1
    with django_assert_num_queries(0):
        assert remaining(0) is None
    clock.now += 0.2
    with django_assert_num_queries(1):
        assert [remaining(0), remaining(10), remaining(10)] == [30, 20, 20]
    with django_assert_num_queries(1):
        remaining(0, resolution="720p")


def test_while_one_reads_the_others_take_what_was_known(alice: Caller, remaining: Ask, clock: Clock) -> None:
    took(alice, 30)
    assert remaining(0) == 30
    took(alice, *[10.0] * 10)
    clock.now = eta.REREAD_SECONDS
    meanwhile = []

    def another_comes(execute: Any, *args: Any) -> Any:
        meanwhile.append(remaining(0))
        return execute(*args)

    with connection.execute_wrapper(another_comes):
        assert remaining(0) == 10
    assert meanwhile == [30]


def test_a_database_in_trouble_costs_the_estimate_and_nothing_else(
    alice: Caller, remaining: Ask, clock: Clock, caplog: Any
) -> None:

    def lost(*args: Any) -> Any:
        raise OperationalError("server closed the connection")

    took(alice, 30)
    with connection.execute_wrapper(lost):
        assert remaining(0) is None
        assert remaining(0) is None
    assert caplog.text.count("could not be read") == 1
    clock.now = eta.REREAD_SECONDS
    assert remaining(0) == 30
    clock.now *= 2
    with connection.execute_wrapper(lost):
        assert remaining(0) == 30


def test_what_is_kept_is_bounded(remaining: Ask, monkeypatch: Any) -> None:
    monkeypatch.setattr(eta, "_cached", LRUCache(3))
    monkeypatch.setattr(eta, "_fresh", TTLCache(3, eta.REREAD_SECONDS))
    for duration in range(10):
        remaining(0, duration=duration)
    assert (len(eta._cached), len(eta._fresh)) == (3, 3)


def test_it_is_read_by_its_index(alice: Caller) -> None:
    took(alice, *[30.0] * 10)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # of ten rows every other plan is as good
            cursor.execute("SET LOCAL enable_bitmapscan = off")
    plan = eta._last_finished(eta.Kind(**KIND)).explain()
    assert "generation_by_kind" in plan
    assert not re.search("sort|temp", plan, re.IGNORECASE)


@pytest.mark.parametrize(
    ("known", "age", "seconds"),
    [
        *[(1, 5, 1), (0, 5, 1), (45, 5, 45), (60, 5, 60), (4000, 5, 60)],
        *[(None, 0, 2), (None, 19, 2), (None, 50, 5), (None, 3600, 60), (None, 10**6, 60)],
    ],
)
def test_to_ask_again_is_worth_it_when_it_may_have_ended(known: int | None, age: float, seconds: int) -> None:
    assert eta.retry_after(known, age) == seconds
