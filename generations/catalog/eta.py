"""How long a generation is likely to take yet: what the last ones of its kind took, given its age.

The times of a kind are read by one query for all requests of a process, and not again within REREAD_EVERY.
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
from django.utils import timezone

from generations.models import Generation

log = structlog.stdlib.get_logger(__name__)

LAST = 100  # of a kind: enough for a median, and few enough to follow an upstream that grows slower
REREAD_EVERY = 30.0  # seconds
MAX_KINDS = 1000  # cached at once; the catalog has a dozen
SOONEST, LATEST = 2, 60  # seconds in which to ask again; 2, as steps.py polls the upstream


class Kind(NamedTuple):
    model: str
    resolution: str
    duration: int
    test: bool


_lock = threading.Lock()
_cached: LRUCache[Kind, tuple[float, ...]] = LRUCache(MAX_KINDS)  # seconds, ascending
_fresh: TTLCache[Kind, bool] = TTLCache(MAX_KINDS, REREAD_EVERY)  # kinds that need no reading now


def remaining(generation: Generation) -> int | None:
    """Seconds until it is likely to end. None where that is over, or open for ops, or none of its kind is known."""
    if generation.finished_at or generation.status == Generation.Status.IN_DOUBT:
        return None
    took = _times(Kind(generation.model, generation.resolution, generation.duration, generation.test))
    age = max((timezone.now() - generation.created_at).total_seconds(), 0.0)  # its clock may be another host's
    longer = took[bisect_right(took, age) :]
    if longer:
        return max(ceil(median(longer) - age), 1)
    return _tenth(age, 1) if took else None


def retry_after(remaining: int | None, age_seconds: float) -> int:
    """Seconds after which asking again is worth it: neither too often nor too late."""
    return _tenth(age_seconds, SOONEST) if remaining is None else min(max(remaining, 1), LATEST)


def _tenth(age_seconds: float, least: int) -> int:
    return min(max(round(age_seconds / 10), least), LATEST)


def _times(kind: Kind) -> tuple[float, ...]:
    """Return the times of a kind, ascending. One caller reads them again; all others take the old ones, or none."""
    with _lock:
        times = _cached.get(kind, ())
        if kind in _fresh:
            return times
        _fresh[kind] = True
    try:
        times = _read(kind)
    except Error as error:  # what was created, or read, is answered all the same
        log.warning("the times of a kind could not be read", error=type(error).__name__, **kind._asdict())
        return times
    with _lock:
        _cached[kind], _fresh[kind] = times, True
    return times


def _read(kind: Kind) -> tuple[float, ...]:
    ends = _last(kind).values_list("created_at", "finished_at")
    return tuple(sorted((ended - began).total_seconds() for began, ended in ends if ended))


def _last(kind: Kind) -> QuerySet[Generation]:
    # A bare flag would be `NOT test`, which SQLite finds in no index.
    facts = {**kind._asdict(), "test": Value(kind.test), "status": Generation.Status.SUCCEEDED}
    return Generation.objects.filter(**facts).order_by(F("finished_at").desc())[:LAST]
