"""Hosts compare times by the database's clock, whatever their own clocks show."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from tenants.db import clock
from tenants.db.engine import ENGINES, engine
from tests.support.clock import remember

AT = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Measure nothing before the test, and forget what the test has measured."""
    clock._offset = timedelta(0)
    yield
    clock._offset = timedelta(0)


def offset() -> timedelta:
    return clock._offset


def test_the_difference_is_counted_from_the_middle_of_the_query() -> None:
    remember(AT, AT + 41 * SECOND, AT + SECOND)
    assert offset() == timedelta(seconds=40.5)
    remember(AT, AT - 40 * SECOND, AT)
    assert offset() == -40 * SECOND


def test_a_difference_within_the_tolerance_is_none() -> None:
    remember(AT, AT + 60 * SECOND, AT)
    remember(AT, AT + clock.TOLERANCE, AT)
    assert offset() == timedelta(0)


@pytest.mark.parametrize("took", [timedelta(seconds=1.1), timedelta(seconds=-1)])
def test_a_slow_query_and_a_clock_that_was_set_measure_nothing(took: timedelta) -> None:
    remember(AT, AT + 60 * SECOND, AT)
    remember(AT, AT, AT + took)
    assert offset() == 60 * SECOND


@pytest.mark.django_db
@pytest.mark.parametrize("days", [40, -40])
def test_a_connection_of_a_host_with_a_wrong_clock_sets_it_right(days: int, monkeypatch: Any) -> None:
    """With SQLite there is one host, and its clock is the clock."""
    wrong_by = timedelta(days=days)
    monkeypatch.setattr(clock, "remember", remember)
    monkeypatch.setattr(engine, "clock_difference", ENGINES[connection.vendor].clock_difference.__get__(engine))
    right = datetime.now(UTC)
    with time_machine.travel(right + wrong_by, tick=True):
        by = connection.copy()
        try:
            by.ensure_connection()
        finally:
            by.close()
        shown, difference = clock.now(), engine.clock_difference()
    is_server = connection.vendor == "postgresql"
    assert abs(shown - right - (timedelta(0) if is_server else wrong_by)) < timedelta(minutes=5)
    assert abs(difference - (-wrong_by if is_server else timedelta(0))) < timedelta(minutes=5)
