"""Tests that an id holds the time of its row's creation, also after the clock was set back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations import ids
from generations.models import Generation
from tests.support.factories import Caller

NOW = datetime(2026, 6, 10, 12, 30, 15, 123_456, tzinfo=UTC)


def test_an_id_is_a_uuid_of_version_7_with_its_millisecond() -> None:
    for new in (ids.new_at(NOW) for _ in range(1000)):
        assert (new.version, new.variant) == (7, "specified in RFC 4122")
        assert new.int >> 80 == int(NOW.timestamp() * 1000)
        assert ids.smallest_at(NOW) <= new < ids.smallest_at(NOW + timedelta(milliseconds=1))


def test_ids_sort_by_their_moments_within_a_millisecond_and_over_its_end() -> None:
    moments = [NOW + timedelta(microseconds=number) for number in range(5000)]
    new = [ids.new_at(moment) for moment in moments]
    assert new == sorted(new)


def test_a_new_id_holds_this_moment_and_sorts_after_earlier_ids() -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        before = ids.new()
        clock.shift(timedelta(microseconds=1))
        after = ids.new()
    assert (before.version, after.version) == (7, 7)
    assert ids.smallest_at(NOW) <= before < after < ids.smallest_at(NOW + timedelta(milliseconds=1))


def test_no_two_ids_are_equal() -> None:
    assert len({ids.new_at(NOW) for _ in range(10_000)}) == 10_000


@pytest.mark.django_db
@pytest.mark.one_database
def test_ids_follow_a_clock_that_was_ahead_and_was_set_right(alice: Caller, bucket: Any, body: Any) -> None:
    with time_machine.travel(timezone.now() + timedelta(days=400)):
        alice.http.post("/v1/generations", body, format="json")
    before = timezone.now()
    created = alice.http.post("/v1/generations", body, format="json").json()["id"]
    row = Generation.objects.get(pk=created)
    assert ids.smallest_at(before) <= row.pk < ids.smallest_at(row.created_at + timedelta(milliseconds=1))
