"""Authenticates a request by the API key in `Authorization`, with or without `Bearer `."""

from collections.abc import Mapping
from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from tenants.db import clock
from tenants.errors import InvalidKey
from tenants.keys import allowed_networks, key_format, lookup
from tenants.keys.client_address import client_address
from tenants.keys.throttle import throttle
from tenants.models import ApiKey, Tenant


class KeyAuthentication(BaseAuthentication):
    """Set `request.user` to the tenant and `request.auth` to the key. Every wrong key is the same InvalidKey."""

    def authenticate(self, request: Request) -> tuple[Tenant, ApiKey]:
        """Return the tenant and the key.

        Raise InvalidKey, or TooManyFailures after too many wrong keys. Raise AddressNotAllowed for a right key that may
        not be used from the caller's address: it counts as no wrong key, and as no use.
        """
        text = _key_text(request.META)
        if not text:  # no key is no guess
            raise InvalidKey
        try:
            key = lookup.load_key(text)
        except InvalidKey:
            throttle.count_failure(client_address(request))
            raise
        allowed_networks.check_caller(key, request)
        lookup.record_use(key, clock.now())
        return key.tenant, key

    def authenticate_header(self, request: Request) -> str:
        """Return the scheme that a 401 names in `WWW-Authenticate`."""
        return "Bearer"


def _key_text(meta: Mapping[str, Any]) -> str:
    """Return the key of the Authorization header, cut to one character more than a key may have."""
    text = str(meta.get("HTTP_AUTHORIZATION", "")).strip()
    scheme, _, rest = text.partition(" ")
    return (rest.strip() if scheme.lower() == "bearer" else text)[: key_format.MAX_CHARS + 1]
