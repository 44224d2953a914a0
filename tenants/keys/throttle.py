"""Limits how often an address may show a wrong key: enough for a typing mistake, too little for guessing.

Each process counts by itself, without a database. A well-formed key is looked up before the limit is asked, which costs
one read by an index: so a right key is always let in.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TTLCache

from tenants.errors import TooManyFailures

MAX_WRONG_KEYS = 20  # of one address in one window
WINDOW_SECONDS = 60.0
MAX_REMEMBERED = 10_000  # addresses; beyond them the oldest window is forgotten


@dataclass
class FailureWindow:
    """The wrong keys of one address, from the first one until the window ends."""

    ends: float  # by the monotonic clock
    wrong_keys: int = 0


class WrongKeyThrottle:
    """The wrong keys by address. A right key never comes here: callers behind one address lock no other out."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._timer = threading.Lock(), timer
        self._windows: TTLCache[str, FailureWindow] = TTLCache(MAX_REMEMBERED, WINDOW_SECONDS, timer)  # by address

    def count_failure(self, address: str) -> None:
        """Count a wrong key of the address. Raise TooManyFailures, with the seconds to wait, if there are too many."""
        with self._lock:
            window = self._windows.get(address)
            if window is None:  # a wrong key does not prolong a window: only a new one is stored
                window = self._windows[address] = FailureWindow(self._timer() + WINDOW_SECONDS)
            if window.wrong_keys < MAX_WRONG_KEYS:
                window.wrong_keys += 1
                return
        raise TooManyFailures(retry_after=int(window.ends - self._timer()) + 1)

    def clear(self) -> None:
        """Forget all addresses."""
        with self._lock:
            self._windows.clear()


throttle = WrongKeyThrottle()
