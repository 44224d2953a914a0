"""Times as text, in UTC: one format for each kind of reader.

Ledger windows and cursors, which are stored as text and read back, have plain `isoformat()` instead.
"""

from datetime import UTC, datetime, tzinfo


def rfc3339(at: datetime | None, precision: str = "microseconds") -> str | None:
    """Return `at` as answers, webhooks and commands write it, such as 2026-11-02T09:30:00.123456Z. None stays None.

    `precision` is one of isoformat's, such as "seconds".
    """
    return f"{at.astimezone(UTC).isoformat(timespec=precision)[:-6]}Z" if at else None  # strftime takes 5 ×


def iso(at: datetime | None, precision: str = "auto") -> str | None:
    """Return `at` as the audit log and `tenant list` write it, such as 2026-11-02T09:30:00+00:00. None stays None."""
    return at.astimezone(UTC).isoformat(timespec=precision) if at else None


def readable(at: datetime, precision: str = "minutes") -> str:
    """Return `at` as the panel shows it, such as 2026-11-02 09:30: the page says that times are UTC."""
    return at.astimezone(UTC).isoformat(" ", precision)[:-6]


def local(at: datetime, zone: tzinfo) -> str:
    """Return `at` by the clock of `zone`, with the zone's name, such as 2026-11-02 10:30 CET."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M %Z}"
