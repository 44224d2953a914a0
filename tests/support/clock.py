"""A monotonic clock that a test sets by hand, for caches that take one; and the measurement that tests leave out."""

from tenants.db import clock

remember = clock.remember  # before conftest.py replaces it


class Clock:
    """A clock that shows `now`, in seconds."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now
