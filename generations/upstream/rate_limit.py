"""Our rate limit at the upstream, over all hosts: UPSTREAM_RPM submits a minute, UPSTREAM_CONCURRENCY unfinished tasks.

Submits of test keys go to the sandbox, which has no limit.
"""

from datetime import datetime, timedelta

from django.conf import settings

from generations.models import Generation, Pace
from tenants.db import clock

LIVE = "live"  # the primary key of the one row
MAX_AHEAD = timedelta(seconds=1)  # a reserved moment is so near: about two iterations of a worker run
FULL_RETRY_SECONDS = 2.0  # when UPSTREAM_CONCURRENCY is reached
UNFINISHED = [Generation.Status.SUBMITTING, Generation.Status.RUNNING]
UNLIMITED = 1_000_000  # submits, more than a worker could start


class RateLimited(Exception):
    """The upstream takes no submit now. It may take one in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def estimate_capacity() -> int:
    """Return how many submits are worth starting now. This is an estimate: `reserve` decides."""
    capacity = UNLIMITED
    if settings.UPSTREAM_RPM:
        now = clock.now()
        row = Pace.objects.filter(pk=LIVE).first()
        capacity = (now + MAX_AHEAD - (_next_moment(row, now) if row else now)) // _interval() + 1
    if settings.UPSTREAM_CONCURRENCY and capacity:
        capacity = min(capacity, settings.UPSTREAM_CONCURRENCY - _count_unfinished())
    return max(capacity, 0)


def reserve() -> float:
    """Reserve a moment for a submit. Return the seconds to wait for it, at most MAX_AHEAD. Raise RateLimited.

    The caller must run this in the transaction that starts the submit, whose row then counts as unfinished.
    RateLimited must roll that transaction back.
    """
    if not (settings.UPSTREAM_RPM or settings.UPSTREAM_CONCURRENCY):
        return 0.0
    now = clock.now()
    Pace.objects.get_or_create(pk=LIVE, defaults={"free_at": now})
    row = Pace.objects.select_for_update().get(pk=LIVE)  # one after the other, on all hosts
    if settings.UPSTREAM_CONCURRENCY and _count_unfinished() >= settings.UPSTREAM_CONCURRENCY:
        raise RateLimited(FULL_RETRY_SECONDS)
    if not settings.UPSTREAM_RPM:
        return 0.0
    now = clock.now()
    moment = _next_moment(row, now)
    if moment > now + MAX_AHEAD:
        raise RateLimited((moment - now).total_seconds())
    Pace.objects.filter(pk=LIVE).update(free_at=moment + _interval())
    return (moment - now).total_seconds()


def _next_moment(row: Pace, now: datetime) -> datetime:
    """Return the next free moment. A moment too far ahead was written by a host whose clock is ahead: ignore it."""
    if row.free_at > now + MAX_AHEAD + _interval():
        return now
    return max(row.free_at, now)


def _interval() -> timedelta:
    """Return the time between two submits."""
    return timedelta(minutes=1) / settings.UPSTREAM_RPM


def _count_unfinished() -> int:
    """Count the live generations that the upstream works on."""
    return Generation.objects.filter(status__in=UNFINISHED, test=False).count()
