"""Ids of rows: UUIDs of version 7 (RFC 9562), of the moment at which the row says that it was made.

Ids sort by time, to a quarter of a microsecond (section 6.2, method 3). The clock may go back after a jump, and ids
follow: what is counted by ids is counted in the hour in which it happened.
"""

import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

VERSION, VARIANT = 0x7 << 76, 0x2 << 62
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new() -> UUID:
    """Return an id of this moment."""
    return at(datetime.now(UTC))


def at(moment: datetime) -> UUID:
    """Return a new id of `moment`: 62 bits of it are random."""
    fraction = moment.microsecond % 1000 * 4096 // 1000  # of the millisecond, in 4096ths
    return UUID(int=floor(moment).int | fraction << 64 | secrets.randbits(62))


def floor(moment: datetime) -> UUID:
    """Return the smallest id of the millisecond of `moment`."""
    return UUID(int=(moment - EPOCH) // timedelta(milliseconds=1) << 80 | VERSION | VARIANT)
