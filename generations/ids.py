"""Ids that grow with their time: UUIDv7 with microseconds (RFC 9562, 6.2, method 3).

An id is made from the very time that its row keeps as `created_at`, so a stretch of time is a stretch of ids, and one
index serves a list, its pages and its dates.
"""

import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.utils import timezone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
VERSION, VARIANT = 7 << 76, 2 << 62
RANDOM_BITS = 62


def new() -> UUID:
    return at(timezone.now())


def at(time: datetime) -> UUID:
    """A new id of that time."""
    return UUID(int=first_at(time).int | secrets.randbits(RANDOM_BITS))


def first_at(time: datetime) -> UUID:
    """The lowest id of that time: every id from then on is at least it, every one before is less."""
    milliseconds, microseconds = divmod((time - EPOCH) // MICROSECOND, 1000)
    fraction = microseconds * 4096 // 1000
    return UUID(int=milliseconds << 80 | VERSION | fraction << 64 | VARIANT)
