"""What the panel adds up: each hour that is over is counted once, and only what came since is counted when asked.

What ended never ends again, and what was accepted stays so: an hour's numbers are final. A month is then some hundred
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
from django.utils import timezone

from generations import ids
from generations.models import Generation, HourlyStatistics, InputImage, StorageUse

Status = Generation.Status
HOUR = timedelta(hours=1)
SETTLED = timedelta(minutes=5)  # after its end: by then every move of it is committed, and hosts' clocks agree
FURTHEST = timedelta(days=31)  # what the panel shows
AT_ONCE = 48  # hours counted in one sweep, where many are left
STORAGE_EVERY, OFTEN = timedelta(minutes=15), timedelta(minutes=1)  # it reads every row: often only while there are few
FEW = 10**11  # bytes of videos; some 20,000 of them

# Seconds from accept to video, each a quarter more than the one before: a percentile is right within an eighth.
BOUNDS = tuple(round(2 * 1.25**step, 1) for step in range(49))  # 2 s to 25 h
PLACES = len(BOUNDS) + 1  # the last one: longer than all


@dataclass
class Counts:
    """What was accepted and what ended in some stretch of time."""

    accepted: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    duration_histogram: list[int] = field(default_factory=lambda: [0] * PLACES)

    @property
    def success_rate(self) -> float | None:
        """Of what ended by itself; None where nothing did."""
        ended = self.succeeded + self.failed
        return self.succeeded / ended if ended else None

    def took_within(self, share: float) -> float | None:
        """Seconds within which that share of the videos came; None where none did."""
        wanted, seen = share * sum(self.duration_histogram), 0
        for place, here in enumerate(self.duration_histogram):
            if here and seen + here >= wanted:
                least = BOUNDS[place - 1] if place else 0.0
                most = BOUNDS[min(place, len(BOUNDS) - 1)]
                return least + (most - least) * (wanted - seen) / here
            seen += here
        return None

    @property
    def success_percent(self) -> str | None:
        return None if self.success_rate is None else f"{self.success_rate:.1%}"

    @property
    def half(self) -> str | None:
        return _seconds(self.took_within(0.5))

    @property
    def most(self) -> str | None:
        return _seconds(self.took_within(0.95))

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.accepted + other.accepted,
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            self.cancelled + other.cancelled,
            [mine + theirs for mine, theirs in zip(self.duration_histogram, other.duration_histogram, strict=True)],
        )


def total(counts: Iterable[Counts]) -> Counts:
    return sum(counts, Counts())


@dataclass(frozen=True)
class Hour:
    at: datetime  # its start
    counts: Counts


def hours(since: datetime, now: datetime, *, test: bool = False) -> list[Hour]:
    """Each hour from that of `since` to the one that is not over, oldest first, none left out."""
    begins, present = _hour_of(since), _hour_of(now)
    rows = HourlyStatistics.objects.filter(hour__gte=begins, test=test)
    known = {
        row.hour: Counts(row.accepted, row.succeeded, row.failed, row.cancelled, row.duration_histogram) for row in rows
    }
    last = max(known, default=begins - HOUR)
    known |= {hour: counts for (hour, of_test), counts in between(last + HOUR, now).items() if of_test == test}
    starts = (begins + HOUR * step for step in range((present - begins) // HOUR + 1))
    return [Hour(at, known.get(at, Counts())) for at in starts]


def between(start: datetime, end: datetime) -> dict[tuple[datetime, bool], Counts]:
    """Counted anew, by hour and by whether it is of tests; hours without any are left out."""
    found: defaultdict[tuple[datetime, bool], Counts] = defaultdict(Counts)
    for hour, test, accepted in _accepted(start, end):
        found[hour, test].accepted = accepted
    for hour, test, status, place, ended in _ended(start, end):
        one = found[hour, test]
        setattr(one, status, getattr(one, status) + ended)
        if status == Status.SUCCEEDED:
            one.duration_histogram[place] += ended
    return dict(found)


def close_hours() -> int:
    """Counts the hours that are over; how many. Two sweeps that do so at one moment write the same."""
    now = timezone.now()
    at, closed = _next_open(now), 0
    while at and at + HOUR + SETTLED <= now and closed < AT_ONCE:
        counted = between(at, at + HOUR)
        rows = [
            HourlyStatistics(hour=at, test=test, **asdict(counted.get((at, test), Counts()))) for test in (False, True)
        ]
        HourlyStatistics.objects.bulk_create(rows, ignore_conflicts=True)
        at, closed = at + HOUR, closed + 1
    return closed


def measure_storage() -> None:
    """How much lies in the bucket, where that was not counted lately."""
    now, known = timezone.now(), StorageUse.objects.first()
    if known and now < known.at + (OFTEN if known.videos < FEW else STORAGE_EVERY):
        return
    stored = Generation.objects.exclude(video_sha256="").filter(purged_at=None, expired_at=None)
    use = {
        "at": now,
        "videos": stored.aggregate(bytes=Sum("video_size", default=0))["bytes"],
        "images": InputImage.objects.filter(gone_at=None).aggregate(bytes=Sum("size", default=0))["bytes"],
    }
    with transaction.atomic():
        StorageUse.objects.update_or_create(pk=1, defaults=use)


def _accepted(start: datetime, end: datetime) -> QuerySet[Any]:
    rows = Generation.objects.filter(pk__gte=ids.floor(start), pk__lt=ids.floor(end)).order_by()
    return rows.annotate(hour=TruncHour("created_at", tzinfo=UTC)).values_list("hour", "test").annotate(Count("pk"))


def _ended(start: datetime, end: datetime) -> QuerySet[Any]:
    rows = Generation.objects.filter(finished_at__gte=start, finished_at__lt=end).order_by()
    placed = rows.annotate(hour=TruncHour("finished_at", tzinfo=UTC), place=_place())
    return placed.values_list("hour", "test", "status", "place").annotate(Count("pk"))


def _place() -> Case:
    """Which of the bounds it came within."""
    within = [
        When(finished_at__lte=F("created_at") + timedelta(seconds=bound), then=Value(place))
        for place, bound in enumerate(BOUNDS)
    ]
    others = When(~Q(status=Status.SUCCEEDED), then=Value(0))  # how long a failure took is nobody's question
    return Case(others, *within, default=Value(PLACES - 1), output_field=IntegerField())


def _next_open(now: datetime) -> datetime | None:
    """The first hour that was not counted; None where there is no generation yet."""
    last = HourlyStatistics.objects.order_by("-hour").values_list("hour", flat=True).first()
    if last:
        return max(last + HOUR, _hour_of(now - FURTHEST))
    first = Generation.objects.order_by("pk").values_list("created_at", flat=True).first()
    return max(_hour_of(first), _hour_of(now - FURTHEST)) if first else None


def _hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.0f} s"


def by_day(hours: Sequence[Hour]) -> dict[datetime, Counts]:
    """The hours of each day, in UTC, oldest first."""
    days: defaultdict[datetime, Counts] = defaultdict(Counts)
    for hour in hours:
        days[hour.at.replace(hour=0)] += hour.counts
    return dict(days)
