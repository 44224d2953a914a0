"""Which tenant is calling: the API key in `Authorization`, with or without `Bearer `."""

import hmac

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from tenants import keys
from tenants.errors import InvalidKey
from tenants.models import ApiKey, Tenant

NOBODY = "0" * 64  # compared with where no key is found, so that an unknown key costs the same work


class KeyAuthentication(BaseAuthentication):
    """`request.user` is the tenant, `request.auth` its key. Every failure is the same InvalidKey."""

    def authenticate(self, request: Request) -> tuple[Tenant, ApiKey]:
        text = request.headers.get("Authorization", "")
        scheme, _, rest = text.partition(" ")
        key = find(rest.strip() if scheme.lower() == "bearer" else text.strip())
        return key.tenant, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def find(text: str) -> ApiKey:
    """The live key of that text. Raises InvalidKey without saying why."""
    prefix = keys.prefix_of(text) if len(text) <= keys.MAX_LENGTH else None
    if prefix is None:
        raise InvalidKey
    key = ApiKey.objects.select_related("tenant").filter(prefix=prefix).first()
    same = hmac.compare_digest(key.digest if key else NOBODY, keys.digest(text))
    if key is None or not same or key.revoked_at is not None:
        raise InvalidKey
    return key
