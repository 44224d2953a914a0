"""Times in headers: Retry-After, which is a number of seconds or a date, and dates alone."""

import email.utils
import time
from datetime import UTC, datetime


def seconds(value: str, most: float) -> float | None:
    """From now, `most` at the utmost; None where it says nothing that can be understood."""
    if value.isascii() and value.isdecimal():
        return min(float(value[:9]), most)
    at = date(value)
    return None if at is None else min(max(at.timestamp() - time.time(), 0.0), most)  # our own backoff serves as well


def date(value: str) -> datetime | None:
    """None where it is no date."""
    try:
        return email.utils.parsedate_to_datetime(value).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
