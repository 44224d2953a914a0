"""The sandbox's clock: that of the machine, which tests put forward instead of waiting."""

import time


class Clock:
    """A clock that shows the machine's time, and how far it was put forward."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time() + self._ahead

    def put_forward(self, seconds: float) -> None:
        """Put the clock forward: tasks grow older, URLs and records expire."""
        self._ahead += seconds
