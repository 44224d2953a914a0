"""Finding an API key: in this process's cache, or in the database."""

import hmac
from datetime import datetime, timedelta

from django.db.models import Q

from tenants.errors import InvalidKey
from tenants.keys import key_format
from tenants.keys.key_cache import cached_keys
from tenants.models import ApiKey

USE_RECORDED_EVERY = timedelta(minutes=1)
NO_DIGEST = "0" * 64  # compared with where no key is found, so that an unknown key costs the same work


def load_key(text: str) -> ApiKey:
    """Return the usable key of that text, from the cache of this process or from the database.

    A key from the database is cached; a key from the cache is not cached for longer. Raise InvalidKey.
    """
    key = cached_keys.get(text)
    if key is None:
        key = find_key(text)
        cached_keys.put(key)
    return key


def find_key(text: str) -> ApiKey:
    """Return the usable key of that text, with its tenant, from the database. Raise InvalidKey without a reason."""
    prefix = key_format.prefix_of(text) if len(text) <= key_format.MAX_CHARS else None
    if prefix is None:
        raise InvalidKey
    key = ApiKey.objects.select_related("tenant").filter(prefix=prefix).first()
    is_same = hmac.compare_digest(key.digest if key else NO_DIGEST, key_format.digest(text))
    if key is None or not is_same or not key.is_usable:
        raise InvalidKey
    return key


def record_use(key: ApiKey, now: datetime) -> None:
    """Store when the key was used: at most one write a minute, however many requests and processes there are."""
    if key.last_used_at is None or key.last_used_at < now - USE_RECORDED_EVERY:
        outdated = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_RECORDED_EVERY)
        key.last_used_at = now
        ApiKey.objects.filter(outdated, pk=key.pk).update(last_used_at=now)
