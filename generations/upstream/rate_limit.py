"""How fast submits go to the upstream, over all hosts: UPSTREAM_RPM of them a minute, and no more than
UPSTREAM_CONCURRENCY of its tasks unfinished at once. Those of test keys go to the sandbox, which has no pace.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from generations.models import Generation, Pace

LIVE = "live"
AHEAD = timedelta(seconds=1)  # how far ahead a moment to send at is given out: two looks of a sweep
ASK_AGAIN = 2.0  # seconds, where all of the upstream's places are taken
UNFINISHED = [Generation.Status.SUBMITTING, Generation.Status.RUNNING]
MANY = 1_000_000


class NotYet(Exception):
    """There is no room at the upstream; there may be in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def room() -> int:
    """How many it is worth beginning with now. A guess: `take` decides."""
    found = MANY
    if settings.UPSTREAM_RPM:
        now = timezone.now()
        row = Pace.objects.filter(pk=LIVE).first()
        found = (now + AHEAD - (_next(row, now) if row else now)) // _interval() + 1
    if settings.UPSTREAM_CONCURRENCY and found:
        found = min(found, settings.UPSTREAM_CONCURRENCY - _unfinished())
    return max(found, 0)


def take() -> float:
    """Seconds to wait before the POST, AHEAD at most. Runs in the transaction that starts the submit, whose row then
    counts as unfinished. Raises NotYet, which must roll it back.
    """
    if not (settings.UPSTREAM_RPM or settings.UPSTREAM_CONCURRENCY):
        return 0.0
    now = timezone.now()
    Pace.objects.get_or_create(pk=LIVE, defaults={"free_at": now})
    row = Pace.objects.select_for_update().get(pk=LIVE)  # one after the other, whatever the host
    if settings.UPSTREAM_CONCURRENCY and _unfinished() >= settings.UPSTREAM_CONCURRENCY:
        raise NotYet(ASK_AGAIN)
    if not settings.UPSTREAM_RPM:
        return 0.0
    now = timezone.now()
    at = _next(row, now)
    if at > now + AHEAD:
        raise NotYet((at - now).total_seconds())
    Pace.objects.filter(pk=LIVE).update(free_at=at + _interval())
    return (at - now).total_seconds()


def _next(row: Pace, now: datetime) -> datetime:
    """The next moment that is free. One that is further off than any is given out is of a host whose clock is ahead."""
    if row.free_at > now + AHEAD + _interval():
        return now
    return max(row.free_at, now)


def _interval() -> timedelta:
    return timedelta(minutes=1) / settings.UPSTREAM_RPM


def _unfinished() -> int:
    return Generation.objects.filter(status__in=UNFINISHED, test=False).count()
