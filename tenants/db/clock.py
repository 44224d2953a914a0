"""The one clock of all hosts: the database's. Leases, windows, retention and expiry compare times of several hosts.

Each connection to a server that is opened, once a minute at least in a process that works, measures by how much this
host's clock differs. It costs no query. With SQLite there is one host, whose clock is the clock.
"""

from datetime import UTC, datetime, timedelta

# A measurement is wrong by half of the query's time at most. Hosts with NTP differ by less, and need no correction.
TOLERANCE = timedelta(milliseconds=100)
MAX_ROUND_TRIP = timedelta(seconds=1)  # a slower query measures nothing
_offset = timedelta(0)


def now() -> datetime:
    """Return the database's time, by this host's clock and the difference that was measured last."""
    return datetime.now(UTC) + _offset


def remember(asked_at: datetime, answer: datetime, answered_at: datetime) -> None:
    """Remember the difference of the clocks: the server's answer to a query between two times of this host."""
    global _offset
    if timedelta(0) <= answered_at - asked_at <= MAX_ROUND_TRIP:
        measured = difference(asked_at, answer, answered_at)
        _offset = measured if abs(measured) > TOLERANCE else timedelta(0)


def difference(asked_at: datetime, answer: datetime, answered_at: datetime) -> timedelta:
    """Return how far the server's clock is ahead of this host's."""
    return answer - (asked_at + (answered_at - asked_at) / 2)
