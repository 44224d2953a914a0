"""A monotonic clock that a test sets by hand, for the caches that take one."""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now
