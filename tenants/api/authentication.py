"""Which tenant is calling: the API key in `Authorization`, with or without `Bearer `."""

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from tenants.errors import InvalidKey
from tenants.keys import key_format
from tenants.keys.key_cache import cached_keys
from tenants.keys.throttle import failures
from tenants.models import ApiKey, Tenant

USE_IS_NOTED_EVERY = timedelta(minutes=1)
NOBODY = "0" * 64  # compared with where no key is found, so that an unknown key costs the same work


class KeyAuthentication(BaseAuthentication):
    """`request.user` is the tenant, `request.auth` its key. Every failure is the same InvalidKey."""

    def authenticate(self, request: Request) -> tuple[Tenant, ApiKey]:
        text, address = _key_text(request.META), address_of(request)
        failures.check(address, text)  # before the database is asked
        try:
            key = _cached_or_found(text)
        except InvalidKey:
            failures.count(address)
            raise
        _note_use(key, timezone.now())
        return key.tenant, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _key_text(meta: Mapping[str, Any]) -> str:
    text = str(meta.get("HTTP_AUTHORIZATION", "")).strip()
    scheme, _, rest = text.partition(" ")
    return (rest.strip() if scheme.lower() == "bearer" else text)[: key_format.MAX_LENGTH + 1]


def address_of(request: Request | HttpRequest) -> str:
    """The caller's address: the one that the outermost of our PROXY_HOPS proxies saw, or the socket's."""
    forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")
    hops = settings.PROXY_HOPS
    if hops and len(forwarded) >= hops:
        return forwarded[-hops].strip()
    return str(request.META.get("REMOTE_ADDR", ""))


def _cached_or_found(text: str) -> ApiKey:
    """Return the live key of that text. Raise InvalidKey. A key that the cache serves is not cached for longer."""
    key = cached_keys.get(text)
    if key is None:
        key = find(text)
        cached_keys.put(key)
        failures.remember_good(text)
    return key


def find(text: str) -> ApiKey:
    """The live key of that text. Raises InvalidKey without saying why."""
    prefix = key_format.prefix_of(text) if len(text) <= key_format.MAX_LENGTH else None
    if prefix is None:
        raise InvalidKey
    key = ApiKey.objects.select_related("tenant").filter(prefix=prefix).first()
    same = hmac.compare_digest(key.digest if key else NOBODY, key_format.digest(text))
    if key is None or not same or not key.is_live:
        raise InvalidKey
    return key


def _note_use(key: ApiKey, now: datetime) -> None:
    """At most one write a minute, however many requests and processes there are."""
    if key.last_used_at is None or key.last_used_at < now - USE_IS_NOTED_EVERY:
        unnoted = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_IS_NOTED_EVERY)
        key.last_used_at = now
        ApiKey.objects.filter(unnoted, pk=key.pk).update(last_used_at=now)
