"""A budget that the threads of a process share, such as of memory or of disk."""

import threading


class Budget:
    """The units that are left for all threads of the process."""

    def __init__(self, units: int) -> None:
        self._left, self._lock = units, threading.Lock()

    def reserve(self, units: int) -> bool:
        """Take the units. Return False, and take none, if there are not enough."""
        with self._lock:
            if self._left < units:
                return False
            self._left -= units
            return True

    def release(self, units: int) -> None:
        """Give the units back."""
        with self._lock:
            self._left += units
