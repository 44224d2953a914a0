"""A monotonic clock that a test sets by hand, for the caches that take one."""


class Clock:
    """A clock that shows `now`, in seconds."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now
