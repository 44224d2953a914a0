"""How often an address may show a wrong key: enough for a typing mistake, too little for guessing.

Counted in each process by itself, without a database: a guesser must not cost a query.
"""

import threading
import time
from typing import Any

from tenants.errors import TooManyFailures
from tenants.keys import digest

MOST = 20  # wrong keys of one address in one window
WINDOW = 60.0  # seconds
MOST_REMEMBERED = 10_000  # addresses, and good keys; beyond them the oldest are forgotten


class Failures:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, int]] = {}  # address -> (when its window ends, wrong keys in it)
        self._good: dict[str, None] = {}  # digests of keys that were right once, the oldest first

    def check(self, address: str, key: str) -> None:
        """Raises TooManyFailures, with the seconds to wait; never for a key that was right here before."""
        ends, count = self._seen.get(address, (0.0, 0))
        left = ends - time.monotonic()
        if left > 0 and count >= MOST and digest(key) not in self._good:
            raise TooManyFailures(retry_after=int(left) + 1)

    def remember_good(self, key: str) -> None:
        """Others behind the same address must not lock out a caller that is known. Whether it still is, is asked."""
        name = digest(key)
        if name not in self._good:
            with self._lock:
                self._good[name] = None
                _trim(self._good)

    def count(self, address: str) -> None:
        now = time.monotonic()
        with self._lock:
            ends, count = self._seen.pop(address, (0.0, 0))
            self._seen[address] = (ends, count + 1) if ends > now else (now + WINDOW, 1)
            _trim(self._seen)

    def forget(self) -> None:
        with self._lock:
            self._seen.clear()
            self._good.clear()


def _trim(remembered: dict[str, Any]) -> None:
    while len(remembered) > MOST_REMEMBERED:
        del remembered[next(iter(remembered))]


failures = Failures()
