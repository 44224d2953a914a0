"""Times as text, in UTC: one format for each kind of reader.

Ledger windows and cursors, which are stored as text and read back, have plain `isoformat()` instead.
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

# Beyond RFC 3339: seconds and offset may be left out, and a `+` may be a blank, to which a query turns it.
RFC3339 = re.compile(
    r"(2[0-9]{3}-[0-9]{2}-[0-9]{2})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9])(?::([0-9]{2})(?:[.,]([0-9]+))?)?"
    r"(?:[Zz]|([ +-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?)?"
)
LEAP_SECOND = 60


def rfc3339(at: datetime | None, precision: str = "microseconds") -> str | None:
    """Return `at` as answers, webhooks and commands write it, such as 2026-11-02T09:30:00.123456Z. None stays None.

    `precision` is one of isoformat's, such as "seconds".
    """
    return f"{at.astimezone(UTC).isoformat(timespec=precision)[:-6]}Z" if at else None  # strftime takes 5 ×


def parse_rfc3339(text: str) -> datetime:
    """Return the time that the text has by RFC 3339, from 2000 to 2999; UTC where it has no offset.

    A part of a microsecond counts as a whole one: what is compared with the time has whole ones. A leap second is the
    second after it. Raise ValueError.
    """
    match = RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("no time by RFC 3339")
    day, minute, second, fraction, sign, hours, minutes = match.groups()
    is_leap = int(second or 0) == LEAP_SECOND
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    zone = timezone(-offset if sign == "-" else offset)
    at = datetime.fromisoformat(f"{day}T{minute}:{59 if is_leap else second or '00'}").replace(tzinfo=zone)
    if is_leap and f"{at.astimezone(UTC):%H:%M}" != "23:59":
        raise ValueError("no leap second")
    whole, rest = (fraction or "")[:6].ljust(6, "0"), (fraction or "")[6:].strip("0")
    return at + timedelta(seconds=is_leap, microseconds=int(whole) + bool(rest))


def parse_month(text: str) -> date:
    """Return the first day of a month such as 2026-11, from 2000 to 2999. Raise ValueError."""
    first = datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007 a month has no time
    return first.replace(year=first.year if 2000 <= first.year < 3000 else 0)


def iso(at: datetime | None, precision: str = "auto") -> str | None:
    """Return `at` as the audit log and `tenant list` write it, such as 2026-11-02T09:30:00+00:00. None stays None."""
    return at.astimezone(UTC).isoformat(timespec=precision) if at else None


def readable(at: datetime, precision: str = "minutes") -> str:
    """Return `at` as the panel shows it, such as 2026-11-02 09:30: the page says that times are UTC."""
    return at.astimezone(UTC).isoformat(" ", precision)[:-6]


def local(at: datetime, zone: tzinfo) -> str:
    """Return `at` by the clock of `zone`, with the zone's name, such as 2026-11-02 10:30 CET."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def month_before(month: date) -> date:
    """Return the first day of the month before, of a first day of a month."""
    return (month - timedelta(days=1)).replace(day=1)


def months_between(first: date, last: date) -> list[date]:
    """Return the first days of the months from that of `first` to that of `last`, the newest first."""
    months = [last.replace(day=1)]
    while months[-1] > first.replace(day=1):
        months.append(month_before(months[-1]))
    return months
