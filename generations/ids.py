"""Ids of generations: UUIDv7 (RFC 9562), of the moment at which the row says that it was made.

Not of the library's own clock, which never goes back: after a jump, or a burst of more than one a millisecond, its ids
are of a time to come, and what is counted by ids would be counted in another hour.
"""

import secrets
from datetime import datetime
from uuid import UUID

VERSION, VARIANT = 0x7 << 76, 0x2 << 62


def at(moment: datetime) -> UUID:
    """A new one of that millisecond."""
    random = secrets.randbits(74)
    return UUID(int=floor(moment).int | (random >> 62) << 64 | random & (1 << 62) - 1)


def floor(moment: datetime) -> UUID:
    """The smallest of that millisecond."""
    return UUID(int=int(moment.timestamp() * 1000) << 80 | VERSION | VARIANT)
