"""Limits how often an address may show a wrong key: enough for a typing mistake, too little for guessing.

Each process counts by itself, without a database: a guesser must not cost a query.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache, TTLCache
from django.conf import settings

from tenants.errors import TooManyFailures
from tenants.keys.key_format import digest

MAX_WRONG_KEYS = 20  # of one address in one window
WINDOW_SECONDS = 60.0
MAX_REMEMBERED = 10_000  # addresses, and good keys; beyond them the least recently used are forgotten


@dataclass
class FailureWindow:
    """The wrong keys of one address, from the first one until the window ends."""

    ends: float  # by the monotonic clock
    wrong_keys: int = 0


class WrongKeyThrottle:
    """The wrong keys by address, and the good keys that no address can lock out."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._timer = threading.Lock(), timer
        self._windows: TTLCache[str, FailureWindow] = TTLCache(MAX_REMEMBERED, WINDOW_SECONDS, timer)  # by address
        self._good: LRUCache[str, bool] = LRUCache(MAX_REMEMBERED)  # digests of keys that were right once

    def check(self, address: str, key: str) -> None:
        """Raise TooManyFailures, with the seconds to wait, but never for a key that was right here before."""
        with self._lock:
            window = self._windows.get(address)
            if window is None or window.wrong_keys < MAX_WRONG_KEYS or digest(key) in self._good:
                return
        raise TooManyFailures(retry_after=int(window.ends - self._timer()) + 1)

    def remember_good(self, key: str) -> None:
        """Let the key pass `check` from now on: others behind the same address must not lock out a known caller.

        The caller of `check` still looks the key up: a key may have been revoked since.
        """
        name = digest(key)
        with self._lock:
            self._good[name] = True

    def count_failure(self, address: str) -> None:
        """Count a wrong key of the address."""
        with self._lock:
            window = self._windows.get(address)
            if window is None:  # a wrong key does not prolong a window: only a new one is stored
                window = self._windows[address] = FailureWindow(self._timer() + WINDOW_SECONDS)
            window.wrong_keys += 1

    def clear(self) -> None:
        """Forget all addresses and keys."""
        with self._lock:
            self._windows.clear()
            self._good.clear()


throttle = WrongKeyThrottle()


def client_address(request: Any) -> str:
    """Return the caller's address: the one that the outermost of our PROXY_HOPS proxies saw, or the socket's.

    `request` is Django's or REST framework's. django-axes calls this function for logins to the panel.
    """
    forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")
    hops = settings.PROXY_HOPS
    if hops and len(forwarded) >= hops:
        return forwarded[-hops].strip()
    return str(request.META.get("REMOTE_ADDR", ""))
