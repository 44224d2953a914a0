"""Ids of rows: UUIDs of version 7 (RFC 9562) that hold the row's time of creation.

Ids sort by time, to a quarter of a microsecond (section 6.2, method 3). If the clock is set back, new ids go back too.
So a count by ids counts a row in the hour in which the row was created.
"""

import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

from tenants.db import clock

VERSION, VARIANT = 0x7 << 76, 0x2 << 62
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new() -> UUID:
    """Return a new id of this moment."""
    return new_at(clock.now())


def new_at(moment: datetime) -> UUID:
    """Return a new id of `moment`, with 62 random bits."""
    fraction = moment.microsecond % 1000 * 4096 // 1000  # of the millisecond, in 4096ths
    return UUID(int=smallest_at(moment).int | fraction << 64 | secrets.randbits(62))


def smallest_at(moment: datetime) -> UUID:
    """Return the smallest id of the millisecond of `moment`."""
    return UUID(int=(moment - EPOCH) // timedelta(milliseconds=1) << 80 | VERSION | VARIANT)
