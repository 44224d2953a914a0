"""Parse times in headers: Retry-After, which is a number of seconds or a date, and dates."""

import email.utils
import re
import time
from datetime import UTC, datetime


def parse_retry_after(value: str, max_seconds: float) -> float | None:
    """Return the seconds from now, at most `max_seconds`; None if the value cannot be understood."""
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", value):  # some servers send fractions of a second
        return min(float(value[:20]), max_seconds)
    date = parse_date(value)
    if date is None:
        return None  # then the caller's own backoff applies
    return min(max(date.timestamp() - time.time(), 0.0), max_seconds)


def parse_date(value: str) -> datetime | None:
    """Return the date in UTC, or None if the value is not a date."""
    try:
        return email.utils.parsedate_to_datetime(value).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
