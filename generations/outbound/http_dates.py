"""Times in headers: Retry-After, which is a number of seconds or a date, and dates alone."""

import email.utils
import time
from datetime import UTC, datetime


def parse_retry_after(value: str, max_seconds: float) -> float | None:
    """Return the seconds from now, at most `max_seconds`; None if the value can not be understood."""
    if value.isascii() and value.isdecimal():
        return min(float(value[:9]), max_seconds)
    date = parse_date(value)
    if date is None:
        return None  # our own backoff serves as well
    return min(max(date.timestamp() - time.time(), 0.0), max_seconds)


def parse_date(value: str) -> datetime | None:
    """Return the date, or None if the value is none."""
    try:
        return email.utils.parsedate_to_datetime(value).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
