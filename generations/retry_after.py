"""The header Retry-After: a number of seconds, or a date."""

import email.utils
import time


def seconds(value: str, most: float) -> float | None:
    """From now, `most` at the utmost; None where it says nothing that can be understood."""
    if value.isascii() and value.isdecimal():
        return min(float(value[:9]), most)
    try:
        date = email.utils.parsedate_to_datetime(value)
        return min(max(date.timestamp() - time.time(), 0.0), most)
    except (TypeError, ValueError, OverflowError):
        return None  # our own backoff serves as well
