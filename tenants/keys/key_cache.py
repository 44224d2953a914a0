"""API keys that this process found a moment ago, with their tenants: their next requests need no query.

A change that an operator makes is dropped from the cache of the operator's own process at once, and seen by every other
process when its entry ends. A create goes by what the database says of the key at that moment.
"""

import threading
import time
from collections.abc import Callable

from cachetools import TTLCache
from django.db.models import Model

from tenants.keys.key_format import digest
from tenants.models import ApiKey

TTL_SECONDS = 3.0  # README states it: how long a revoked key may still be accepted
MAX_KEYS = 10_000  # of each process; beyond them the one that was used longest ago is dropped


class KeyCache:
    """Live keys by the digest of their text: a memory dump shows no key."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._keys: TTLCache[str, ApiKey] = TTLCache(MAX_KEYS, TTL_SECONDS, timer)

    def get(self, text: str) -> ApiKey | None:
        """Return the key of that text, or None where it is not cached or has expired since it was read."""
        name = digest(text)
        with self._lock:
            key = self._keys.get(name)
        return key if key and key.is_live else None

    def put(self, key: ApiKey) -> None:
        """Keep a key that was read from the database just now."""
        with self._lock:
            self._keys[key.digest] = key

    def drop(self, changed: Model) -> None:
        """Forget the key, or every key of the tenant, that was changed; nothing for a row of another model."""
        with self._lock:
            for name in list(self._keys):
                key = self._keys.get(name)  # None: it ended just now
                if key and changed in (key, key.tenant):
                    self._keys.pop(name, None)

    def clear(self) -> None:
        with self._lock:
            self._keys.clear()


cached_keys = KeyCache()
