"""The panel's statistics: a past hour is counted once, and the sums are those of counting all rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations import ids
from generations.models import Generation, HourlyStatistics, StorageUse
from generations.reports import hourly_statistics
from tests.generations.test_lifecycle import put_in
from tests.support.factories import Caller, make_generation

NOW = datetime(2026, 6, 10, 12, 30, tzinfo=UTC)


def make_at(caller: Caller, at: datetime, status: str = "queued", duration: float = 40.0) -> Generation:
    """Make a generation that was accepted at that time, and that finished `duration` seconds later."""
    generation = make_generation(caller, id=ids.new_at(at), created_at=at)
    if status != "queued":
        columns: dict[str, Any] = {"status": status, "due_at": None, "finished_at": at + timedelta(seconds=duration)}
        if status == "succeeded":
            columns |= {"upstream_id": str(generation.pk), "video_key": "v", "video_size": 100, "video_sha256": "ab"}
        if status == "failed":
            columns |= {"error_code": "upstream_failed", "error_message": "No."}
        Generation.objects.filter(pk=generation.pk).update(**columns)
    return generation


@pytest.mark.django_db
def test_each_hour_counts_what_was_accepted_and_what_finished_in_it(alice: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    hours_ago = [NOW - timedelta(hours=number) for number in range(4)]
    make_at(alice, hours_ago[3], "succeeded")
    make_at(alice, hours_ago[3], "failed")
    make_at(alice, hours_ago[2], "cancelled", duration=3600)  # finished an hour after it was accepted
    make_at(alice, hours_ago[0] - timedelta(minutes=1))
    make_at(alice.with_key(test=True), hours_ago[3], "succeeded")
    with time_machine.travel(NOW, tick=False):
        assert hourly_statistics.store_past_hours() == 3
        live = hourly_statistics.read_hours(hours_ago[3], NOW)
        test = hourly_statistics.read_hours(hours_ago[3], NOW, test=True)
    assert [(hour.at.hour, hour.counts.accepted) for hour in live] == [(9, 2), (10, 1), (11, 0), (12, 1)]
    assert [hour.counts.cancelled for hour in live] == [0, 0, 1, 0]
    total = hourly_statistics.total(hour.counts for hour in live)
    assert (total.accepted, total.succeeded, total.failed, total.cancelled) == (4, 1, 1, 1)
    assert total.success_rate == 0.5
    assert [hour.counts.succeeded for hour in test] == [1, 0, 0, 0]


@pytest.mark.django_db
def test_a_stored_hour_is_not_counted_again(alice: Caller, django_assert_num_queries: Any) -> None:
    for number in range(5):
        make_at(alice, NOW - timedelta(hours=number), "succeeded")
    with time_machine.travel(NOW, tick=False):
        counted = [hour.counts for hour in hourly_statistics.read_hours(NOW - timedelta(hours=6), NOW)]
        hourly_statistics.store_past_hours()
        assert hourly_statistics.store_past_hours() == 0
        with django_assert_num_queries(3):
            stored = hourly_statistics.read_hours(NOW - timedelta(hours=6), NOW)
    assert [hour.counts for hour in stored] == counted
    assert HourlyStatistics.objects.filter(test=False).count() == 4


@pytest.mark.django_db
def test_an_hour_is_stored_only_when_its_last_transitions_are_committed(alice: Caller) -> None:
    make_at(alice, NOW - timedelta(hours=1))
    end = NOW.replace(minute=0)
    with time_machine.travel(end + hourly_statistics.SETTLE_TIME - timedelta(seconds=1), tick=False):
        assert hourly_statistics.store_past_hours() == 0
    with time_machine.travel(end + hourly_statistics.SETTLE_TIME, tick=False):
        assert hourly_statistics.store_past_hours() == 1


@pytest.mark.django_db
def test_without_generations_all_counts_are_zero() -> None:
    assert hourly_statistics.store_past_hours() == 0
    hours = hourly_statistics.read_hours(NOW - timedelta(hours=2), NOW)
    counts = hourly_statistics.total(hour.counts for hour in hours)
    assert counts == hourly_statistics.Counts()
    assert counts.success_rate is None
    assert counts.duration_percentile(0.5) is None


def test_a_percentile_is_right_within_an_eighth() -> None:
    durations = [5.0 + number for number in range(1000)]
    counts = hourly_statistics.Counts()
    for seconds in durations:
        counts.duration_histogram[bucket_of(seconds)] += 1
    for share in (0.5, 0.95):
        assert counts.duration_percentile(share) == pytest.approx(durations[int(share * 1000)], rel=0.125)


@pytest.mark.django_db
def test_the_database_chooses_the_same_buckets(alice: Caller) -> None:
    durations = [1.0, 41.0, 100.0, 200_000.0]
    for seconds in durations:
        make_at(alice, NOW - timedelta(hours=1), "succeeded", duration=seconds)
    by_hour = hourly_statistics.count_hours(NOW - timedelta(hours=2), NOW + timedelta(days=9))
    histogram = hourly_statistics.total(by_hour.values()).duration_histogram
    buckets = [bucket for bucket, count in enumerate(histogram) for _ in range(count)]
    assert buckets == [bucket_of(seconds) for seconds in durations]


def bucket_of(seconds: float) -> int:
    """Return the number of the histogram's bucket for that duration."""
    bounds = hourly_statistics.BUCKET_BOUNDS
    return next((bucket for bucket, bound in enumerate(bounds) if seconds <= bound), hourly_statistics.BUCKETS - 1)


@pytest.mark.django_db
def test_the_bytes_in_the_bucket_are_added_up_at_intervals(alice: Caller) -> None:
    put_in(alice, "succeeded")
    hourly_statistics.update_storage_use()
    use = StorageUse.objects.get()
    assert (use.videos, use.images) == (9, 3)
    Generation.objects.update(purged_at=timezone.now())
    hourly_statistics.update_storage_use()
    assert StorageUse.objects.get().videos == 9  # the interval is not over
    with time_machine.travel(timezone.now() + hourly_statistics.SHORT_STORAGE_INTERVAL, tick=False):
        hourly_statistics.update_storage_use()
    assert StorageUse.objects.get().videos == 0


@pytest.mark.django_db
def test_many_rows_are_added_up_less_often(django_assert_num_queries: Any) -> None:
    at = timezone.now() - hourly_statistics.SHORT_STORAGE_INTERVAL
    StorageUse.objects.create(at=at, videos=hourly_statistics.MANY_VIDEO_BYTES, images=0)
    with django_assert_num_queries(1):
        hourly_statistics.update_storage_use()
