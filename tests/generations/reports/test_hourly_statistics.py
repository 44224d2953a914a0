"""The panel's sums: an hour that is over is counted once, and the sums are those that counting all rows would give."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations import ids
from generations.models import Generation, HourlyStatistics, StorageUse
from generations.reports import hourly_statistics
from tests.conftest import Caller, make_generation
from tests.generations.test_lifecycle import put_in

NOW = datetime(2026, 6, 10, 12, 30, tzinfo=UTC)


def made(caller: Caller, at: datetime, status: str = "queued", took: float = 40.0) -> Generation:
    """One of that moment, its id too, and its end `took` seconds later."""
    g = make_generation(caller, id=ids.at(at), created_at=at)
    if status != "queued":
        facts: dict[str, Any] = {"status": status, "due_at": None, "finished_at": at + timedelta(seconds=took)}
        if status == "succeeded":
            facts |= {"upstream_id": str(g.pk), "video_key": "v", "video_size": 100, "video_sha256": "ab"}
        if status == "failed":
            facts |= {"error_code": "upstream_failed", "error_message": "No."}
        Generation.objects.filter(pk=g.pk).update(**facts)
    return g


@pytest.mark.django_db
def test_each_hour_has_what_was_accepted_and_what_ended_in_it(alice: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    hours_ago = [NOW - timedelta(hours=number) for number in range(4)]
    made(alice, hours_ago[3], "succeeded")
    made(alice, hours_ago[3], "failed")
    made(alice, hours_ago[2], "cancelled", took=3600)  # it ended an hour after it was accepted
    made(alice, hours_ago[0] - timedelta(minutes=1))
    made(alice.with_key(test=True), hours_ago[3], "succeeded")
    with time_machine.travel(NOW, tick=False):
        assert hourly_statistics.close_hours() == 3
        found = hourly_statistics.hours(hours_ago[3], NOW)
        tests = hourly_statistics.hours(hours_ago[3], NOW, test=True)
    assert [(hour.at.hour, hour.counts.accepted) for hour in found] == [(9, 2), (10, 1), (11, 0), (12, 1)]
    assert [hour.counts.cancelled for hour in found] == [0, 0, 1, 0]
    everything = hourly_statistics.total(hour.counts for hour in found)
    assert (everything.accepted, everything.succeeded, everything.failed, everything.cancelled) == (4, 1, 1, 1)
    assert everything.success_rate == 0.5
    assert [hour.counts.succeeded for hour in tests] == [1, 0, 0, 0]


@pytest.mark.django_db
def test_what_was_closed_is_not_counted_again(alice: Caller, django_assert_num_queries: Any) -> None:
    for number in range(5):
        made(alice, NOW - timedelta(hours=number), "succeeded")
    with time_machine.travel(NOW, tick=False):
        counted = [hour.counts for hour in hourly_statistics.hours(NOW - timedelta(hours=6), NOW)]
        hourly_statistics.close_hours()
        assert hourly_statistics.close_hours() == 0
        with django_assert_num_queries(3):
            assert [hour.counts for hour in hourly_statistics.hours(NOW - timedelta(hours=6), NOW)] == counted
    assert HourlyStatistics.objects.filter(test=False).count() == 4


@pytest.mark.django_db
def test_an_hour_is_closed_only_when_its_last_moves_are_committed(alice: Caller) -> None:
    made(alice, NOW - timedelta(hours=1))
    ends = NOW.replace(minute=0)
    with time_machine.travel(ends + hourly_statistics.SETTLED - timedelta(seconds=1), tick=False):
        assert hourly_statistics.close_hours() == 0
    with time_machine.travel(ends + hourly_statistics.SETTLED, tick=False):
        assert hourly_statistics.close_hours() == 1


@pytest.mark.django_db
def test_nothing_is_nothing() -> None:
    assert hourly_statistics.close_hours() == 0
    counts = hourly_statistics.total(hour.counts for hour in hourly_statistics.hours(NOW - timedelta(hours=2), NOW))
    assert counts == hourly_statistics.Counts()
    assert counts.success_rate is None
    assert counts.took_within(0.5) is None


def test_a_percentile_is_right_within_an_eighth() -> None:
    took = [5.0 + number for number in range(1000)]
    counts = hourly_statistics.Counts()
    for seconds in took:
        counts.duration_histogram[
            next(place for place, bound in enumerate(hourly_statistics.BOUNDS) if seconds <= bound)
        ] += 1
    for share in (0.5, 0.95):
        assert counts.took_within(share) == pytest.approx(took[int(share * 1000)], rel=0.125)


@pytest.mark.django_db
def test_the_database_finds_the_same_places(alice: Caller) -> None:
    took = [1.0, 41.0, 100.0, 200_000.0]
    for seconds in took:
        made(alice, NOW - timedelta(hours=1), "succeeded", took=seconds)
    counts = hourly_statistics.total(
        hourly_statistics.between(NOW - timedelta(hours=2), NOW + timedelta(days=9)).values()
    )
    wanted = [
        next((n for n, bound in enumerate(hourly_statistics.BOUNDS) if s <= bound), hourly_statistics.PLACES - 1)
        for s in took
    ]
    assert [place for place, number in enumerate(counts.duration_histogram) for _ in range(number)] == wanted


@pytest.mark.django_db
def test_what_lies_in_the_bucket_is_counted_now_and_then(alice: Caller) -> None:
    put_in(alice, "succeeded")
    hourly_statistics.measure_storage()
    use = StorageUse.objects.get()
    assert (use.videos, use.images) == (9, 3)
    Generation.objects.update(purged_at=timezone.now())
    hourly_statistics.measure_storage()
    assert StorageUse.objects.get().videos == 9  # lately enough
    with time_machine.travel(timezone.now() + hourly_statistics.OFTEN, tick=False):
        hourly_statistics.measure_storage()
    assert StorageUse.objects.get().videos == 0


@pytest.mark.django_db
def test_many_rows_are_not_read_often(django_assert_num_queries: Any) -> None:
    StorageUse.objects.create(at=timezone.now() - hourly_statistics.OFTEN, videos=hourly_statistics.FEW, images=0)
    with django_assert_num_queries(1):
        hourly_statistics.measure_storage()
