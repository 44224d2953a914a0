"""Estimate how long a generation still takes, from its age and the wait times of the last generations of its kind.

All requests of a process share one query for a kind, which is repeated after REREAD_SECONDS at the earliest.
"""

import threading
from bisect import bisect_right
from math import ceil
from statistics import median
from typing import NamedTuple

import structlog
from cachetools import LRUCache, TTLCache
from django.db import Error
from django.db.models import F, QuerySet, Value

from generations.models import Generation
from tenants.db import clock

log = structlog.stdlib.get_logger(__name__)

SAMPLE_SIZE = 100  # of a kind: enough for a median, and few enough to follow an upstream that becomes slower
REREAD_SECONDS = 30.0
MAX_KINDS = 1000  # cached at once; more than the catalogue has
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 2, 60  # of Retry-After; 2, as the worker polls the upstream


class Kind(NamedTuple):
    """The properties by which generations take similar times."""

    model: str
    resolution: str | None
    duration: int  # seconds of video
    test: bool


_lock = threading.Lock()
_cached: LRUCache[Kind, tuple[float, ...]] = LRUCache(MAX_KINDS)  # seconds from create to end, ascending
_fresh: TTLCache[Kind, bool] = TTLCache(MAX_KINDS, REREAD_SECONDS)  # kinds that were read within REREAD_SECONDS


def remaining(generation: Generation) -> int | None:
    """Estimate the seconds until a generation finishes, from the last SAMPLE_SIZE generations of its kind.

    Return None if the generation has finished, is in doubt, or no generation of its kind has succeeded yet.
    """
    if generation.finished_at or generation.status == Generation.Status.IN_DOUBT:
        return None
    wait_times = _wait_times(Kind(generation.model, generation.resolution, generation.duration, generation.test))
    age = max((clock.now() - generation.created_at).total_seconds(), 0.0)  # another host's clock may be ahead
    longer = wait_times[bisect_right(wait_times, age) :]
    if longer:
        return max(ceil(median(longer) - age), 1)
    return _tenth(age, 1) if wait_times else None


def retry_after(remaining: int | None, age_seconds: float) -> int:
    """Return the seconds of a Retry-After: the remaining time, or a tenth of the age if that is unknown."""
    return _tenth(age_seconds, MIN_RETRY_SECONDS) if remaining is None else min(max(remaining, 1), MAX_RETRY_SECONDS)


def _tenth(age_seconds: float, minimum: int) -> int:
    """Return a tenth of the age, from `minimum` to MAX_RETRY_SECONDS."""
    return min(max(round(age_seconds / 10), minimum), MAX_RETRY_SECONDS)


def _wait_times(kind: Kind) -> tuple[float, ...]:
    """Return the wait times of a kind, ascending.

    While one thread reads a kind again, all others use the times that were read before, or none.
    """
    with _lock:
        wait_times = _cached.get(kind, ())
        if kind in _fresh:
            return wait_times
        _fresh[kind] = True
    try:
        wait_times = _read(kind)
    except Error as error:  # the request is answered without an estimate
        log.warning("the times of a kind could not be read", error=type(error).__name__, **kind._asdict())
        return wait_times
    with _lock:
        _cached[kind], _fresh[kind] = wait_times, True
    return wait_times


def _read(kind: Kind) -> tuple[float, ...]:
    """Query the wait times of a kind, in seconds and ascending."""
    times = _last_finished(kind).values_list("created_at", "finished_at")
    return tuple(sorted((ended - began).total_seconds() for began, ended in times if ended))


def _last_finished(kind: Kind) -> QuerySet[Generation]:
    """Return the query of the last SAMPLE_SIZE generations of a kind that succeeded."""
    # A bare flag would become `NOT test`, for which SQLite uses no index.
    conditions = {**kind._asdict(), "test": Value(kind.test), "status": Generation.Status.SUCCEEDED}
    if kind.resolution is None:
        del conditions["resolution"]
        conditions["resolution__isnull"] = True
    return Generation.objects.filter(**conditions).order_by(F("finished_at").desc())[:SAMPLE_SIZE]
