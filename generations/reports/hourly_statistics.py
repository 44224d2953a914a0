"""The panel's statistics: each past hour is counted once and stored; later hours are counted when they are read.

The numbers of a past hour are final: a generation is accepted once and finishes once. A month of one mode is then 744
rows to read, however many generations it had.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Sum, Value, When
from django.db.models.functions import TruncHour

from generations import ids
from generations.models import Generation, HourlyStatistics, InputImage, StorageUse
from tenants.db import clock

Status = Generation.Status
HOUR = timedelta(hours=1)
SETTLE_TIME = timedelta(minutes=5)  # after the hour: by then its transitions are committed, and hosts' clocks agree
MAX_HISTORY = timedelta(days=31)  # the longest span that the panel shows
MAX_HOURS_PER_RUN = 48  # hours that one worker run stores, if many are missing
# The sum over all videos reads every row: it is made each minute only while there are few.
STORAGE_INTERVAL, SHORT_STORAGE_INTERVAL = timedelta(minutes=15), timedelta(minutes=1)
MANY_VIDEO_BYTES = 10**11  # some 20,000 videos

# Upper bounds of the histogram's buckets: seconds from accepted to succeeded. Each is a quarter larger than the one
# before, so a percentile is right within an eighth.
BUCKET_BOUNDS = tuple(round(2 * 1.25**step, 1) for step in range(49))  # 2 s to 25 h
BUCKETS = len(BUCKET_BOUNDS) + 1  # the last bucket holds all longer durations


@dataclass
class Counts:
    """The generations that were accepted and that finished in a span of time."""

    accepted: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    duration_histogram: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    @property
    def success_rate(self) -> float | None:
        """Return the share of succeeded among succeeded and failed generations. Return None if there are none."""
        finished = self.succeeded + self.failed
        return self.succeeded / finished if finished else None

    def duration_percentile(self, share: float) -> float | None:
        """Return the seconds from accepted to succeeded within which `share` of the videos came.

        Return None if there is no video. The value is interpolated within its bucket.
        """
        rank, below = share * sum(self.duration_histogram), 0
        for bucket, count in enumerate(self.duration_histogram):
            if count and below + count >= rank:
                lower = BUCKET_BOUNDS[bucket - 1] if bucket else 0.0
                upper = BUCKET_BOUNDS[min(bucket, len(BUCKET_BOUNDS) - 1)]
                return lower + (upper - lower) * (rank - below) / count
            below += count
        return None

    @property
    def success_percent(self) -> str | None:
        """Return the success rate as text, such as "66.7%"."""
        return None if self.success_rate is None else f"{self.success_rate:.1%}"

    @property
    def median_duration(self) -> str | None:
        """Return the median time to video as text, such as "42 s"."""
        return _format_seconds(self.duration_percentile(0.5))

    @property
    def p95_duration(self) -> str | None:
        """Return the time to video of the slowest twentieth as text, such as "95 s"."""
        return _format_seconds(self.duration_percentile(0.95))

    def __add__(self, other: "Counts") -> "Counts":
        """Return the counts of both spans together."""
        return Counts(
            self.accepted + other.accepted,
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            self.cancelled + other.cancelled,
            [a + b for a, b in zip(self.duration_histogram, other.duration_histogram, strict=True)],
        )


def total(counts: Iterable[Counts]) -> Counts:
    """Return the sum of the counts."""
    return sum(counts, Counts())


@dataclass(frozen=True)
class Hour:
    """The counts of one hour."""

    at: datetime  # start of the hour
    counts: Counts


def read_hours(since: datetime, now: datetime, *, test: bool = False) -> list[Hour]:
    """Return each hour from the hour of `since` to the present one, oldest first. No hour is left out.

    Hours that are not stored yet are counted. `test` selects test generations, else live ones.
    """
    first, present = _start_of_hour(since), _start_of_hour(now)
    rows = HourlyStatistics.objects.filter(hour__gte=first, test=test)
    by_hour = {
        row.hour: Counts(row.accepted, row.succeeded, row.failed, row.cancelled, row.duration_histogram) for row in rows
    }
    last = max(by_hour, default=first - HOUR)
    counted = count_hours(last + HOUR, now)
    by_hour |= {hour: counts for (hour, is_test), counts in counted.items() if is_test == test}
    starts = (first + HOUR * step for step in range((present - first) // HOUR + 1))
    return [Hour(at, by_hour.get(at, Counts())) for at in starts]


def count_hours(start: datetime, end: datetime) -> dict[tuple[datetime, bool], Counts]:
    """Count the generations from `start` to `end` by hour and mode (True: test). Hours without any are left out."""
    by_hour: defaultdict[tuple[datetime, bool], Counts] = defaultdict(Counts)
    for hour, test, accepted in _count_accepted(start, end):
        by_hour[hour, test].accepted = accepted
    for hour, test, status, bucket, finished in _count_finished(start, end):
        counts = by_hour[hour, test]
        setattr(counts, status, getattr(counts, status) + finished)
        if status == Status.SUCCEEDED:
            counts.duration_histogram[bucket] += finished
    return dict(by_hour)


def store_past_hours() -> int:
    """Count and store the hours that are over. Return how many were stored.

    Two worker runs that do so at the same time write the same numbers.
    """
    now = clock.now()
    at, stored = _first_missing_hour(now), 0
    while at and at + HOUR + SETTLE_TIME <= now and stored < MAX_HOURS_PER_RUN:
        counted = count_hours(at, at + HOUR)
        rows = [
            HourlyStatistics(hour=at, test=test, **asdict(counted.get((at, test), Counts()))) for test in (False, True)
        ]
        HourlyStatistics.objects.bulk_create(rows, ignore_conflicts=True)
        at, stored = at + HOUR, stored + 1
    return stored


def update_storage_use() -> None:
    """Add up the bytes in the bucket and store the sums, unless the stored sums are recent."""
    now, previous = clock.now(), StorageUse.objects.first()
    if previous:
        interval = SHORT_STORAGE_INTERVAL if previous.videos < MANY_VIDEO_BYTES else STORAGE_INTERVAL
        if now < previous.at + interval:
            return
    stored = Generation.objects.exclude(video_sha256="").filter(purged_at=None, expired_at=None)
    use = {
        "at": now,
        "videos": stored.aggregate(bytes=Sum("video_size", default=0))["bytes"],
        "images": InputImage.objects.filter(gone_at=None).aggregate(bytes=Sum("size", default=0))["bytes"],
    }
    with transaction.atomic():
        StorageUse.objects.update_or_create(pk=1, defaults=use)


def group_by_day(hours: Sequence[Hour]) -> dict[datetime, Counts]:
    """Add up the hours of each day in UTC, in the order of `hours`."""
    days: defaultdict[datetime, Counts] = defaultdict(Counts)
    for hour in hours:
        days[hour.at.replace(hour=0)] += hour.counts
    return dict(days)


def _count_accepted(start: datetime, end: datetime) -> QuerySet[Any]:
    """Return rows of (hour, test, number of accepted generations)."""
    rows = Generation.objects.filter(pk__gte=ids.smallest_at(start), pk__lt=ids.smallest_at(end)).order_by()
    return rows.annotate(hour=TruncHour("created_at", tzinfo=UTC)).values_list("hour", "test").annotate(Count("pk"))


def _count_finished(start: datetime, end: datetime) -> QuerySet[Any]:
    """Return rows of (hour, test, status, bucket, number of finished generations)."""
    rows = Generation.objects.filter(finished_at__gte=start, finished_at__lt=end).order_by()
    in_buckets = rows.annotate(hour=TruncHour("finished_at", tzinfo=UTC), bucket=bucket_number())
    return in_buckets.values_list("hour", "test", "status", "bucket").annotate(Count("pk"))


def bucket_number() -> Case:
    """Return the expression for the number of the histogram's bucket."""
    buckets = [
        When(finished_at__lte=F("created_at") + timedelta(seconds=bound), then=Value(bucket))
        for bucket, bound in enumerate(BUCKET_BOUNDS)
    ]
    not_succeeded = When(~Q(status=Status.SUCCEEDED), then=Value(0))  # the durations of failures are not reported
    return Case(not_succeeded, *buckets, default=Value(BUCKETS - 1), output_field=IntegerField())


def _first_missing_hour(now: datetime) -> datetime | None:
    """Return the first hour that is not stored yet. Return None if there is no generation yet."""
    last = HourlyStatistics.objects.order_by("-hour").values_list("hour", flat=True).first()
    if last:
        return max(last + HOUR, _start_of_hour(now - MAX_HISTORY))
    first = Generation.objects.order_by("pk").values_list("created_at", flat=True).first()
    return max(_start_of_hour(first), _start_of_hour(now - MAX_HISTORY)) if first else None


def _start_of_hour(at: datetime) -> datetime:
    """Return the start of the hour of `at`."""
    return at.replace(minute=0, second=0, microsecond=0)


def _format_seconds(seconds: float | None) -> str | None:
    """Return the duration as text in whole seconds, or None if there is none."""
    return None if seconds is None else f"{seconds:.0f} s"
