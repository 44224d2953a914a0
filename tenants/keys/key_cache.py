"""A cache of the API keys that this process read a moment ago, with their tenants: a request then needs no query.

A change by an operator drops the key from the cache of the operator's own process at once. Every other process serves
the old key until the cache's entry expires. A create always goes by the key as the database has it at that moment.
"""

import threading
import time
from collections.abc import Callable

from cachetools import TTLCache
from django.db.models import Model

from tenants.keys.key_format import digest
from tenants.models import ApiKey

TTL_SECONDS = 3.0  # deploy/RUNBOOK.md states how long a revoked key may still be accepted
MAX_KEYS = 10_000  # of each process; beyond that number the least recently used key is dropped


class KeyCache:
    """Usable keys by the digest of their text: a memory dump shows no key."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._keys: TTLCache[str, ApiKey] = TTLCache(MAX_KEYS, TTL_SECONDS, timer)

    def get(self, text: str) -> ApiKey | None:
        """Return the key of that text. Return None if the key is not cached, or has expired since it was read."""
        name = digest(text)
        with self._lock:
            key = self._keys.get(name)
        return key if key and key.is_usable else None

    def put(self, key: ApiKey) -> None:
        """Store a key that was read from the database just now."""
        with self._lock:
            self._keys[key.digest] = key

    def drop(self, changed: Model) -> None:
        """Drop the key, or every key of the tenant, that was changed. Do nothing for a row of another model."""
        with self._lock:
            for name in list(self._keys):
                key = self._keys.get(name)  # None: the entry has expired just now
                if key and changed in (key, key.tenant):
                    self._keys.pop(name, None)

    def clear(self) -> None:
        """Drop all keys."""
        with self._lock:
            self._keys.clear()


cached_keys = KeyCache()
