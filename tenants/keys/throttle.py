"""How often an address may show a wrong key: enough for a typing mistake, too little for guessing.

Counted in each process by itself, without a database: a guesser must not cost a query.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import LRUCache, TTLCache

from tenants.errors import TooManyFailures
from tenants.keys.key_format import digest

MOST = 20  # wrong keys of one address in one window
WINDOW = 60.0  # seconds
MAX_REMEMBERED = 10_000  # addresses, and good keys; beyond them those that were not seen for longest are forgotten


@dataclass
class Window:
    """The wrong keys of one address, from the first one until the window ends."""

    ends: float  # by the monotonic clock
    wrong_keys: int = 0


class Failures:
    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._timer = threading.Lock(), timer
        self._windows: TTLCache[str, Window] = TTLCache(MAX_REMEMBERED, WINDOW, timer)  # by address
        self._good: LRUCache[str, bool] = LRUCache(MAX_REMEMBERED)  # digests of keys that were right once

    def check(self, address: str, key: str) -> None:
        """Raises TooManyFailures, with the seconds to wait; never for a key that was right here before."""
        with self._lock:
            window = self._windows.get(address)
            if window is None or window.wrong_keys < MOST or digest(key) in self._good:
                return
        raise TooManyFailures(retry_after=int(window.ends - self._timer()) + 1)

    def remember_good(self, key: str) -> None:
        """Others behind the same address must not lock out a caller that is known. Whether it still is, is asked."""
        name = digest(key)
        with self._lock:
            self._good[name] = True

    def count(self, address: str) -> None:
        with self._lock:
            window = self._windows.get(address)
            if window is None:  # a wrong key does not prolong a window: only a new one is stored
                window = self._windows[address] = Window(self._timer() + WINDOW)
            window.wrong_keys += 1

    def forget(self) -> None:
        with self._lock:
            self._windows.clear()
            self._good.clear()


failures = Failures()
