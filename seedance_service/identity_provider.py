"""Read the discovery document of the company's login: the endpoints and abilities of the provider at OIDC_ISSUER.

A process reads it again after ten minutes. What is missing or unsafe in it is an error here, and nowhere else.
"""

import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from cachetools import TTLCache, cached
from django.conf import settings

from seedance_service import url_parts

PATH = "/.well-known/openid-configuration"
CACHE_SECONDS = 600
REQUIRED_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
OPTIONAL_ENDPOINTS = ("userinfo_endpoint", "end_session_endpoint")
SCOPES = ("openid", "profile", "email")


class ProviderAway(Exception):
    """The provider does not answer, or answers with an error of its own."""


class ProviderWrong(Exception):
    """The provider answers with a document that cannot be used; the text says why."""


@dataclass(frozen=True)
class Provider:
    """The parts of the discovery document that a login needs. An optional endpoint may be an empty text."""

    issuer: str  # as the provider writes it; id tokens have to name the same text
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    end_session_endpoint: str
    signing_algorithm: str  # of id tokens
    scopes: str  # that a login asks for
    takes_secret_in_body: bool  # of a request to the token endpoint; else in its Authorization header


@cached(TTLCache(maxsize=4, ttl=CACHE_SECONDS), key=lambda: settings.OIDC_ISSUER, lock=threading.Lock())
def load() -> Provider:
    """Return the provider, as it was read within the last ten minutes. Raise as `read` does."""
    return read()


def read() -> Provider:
    """Read the discovery document. Raise ProviderAway or ProviderWrong."""
    try:
        answer = requests.get(settings.OIDC_ISSUER + PATH, timeout=settings.OIDC_TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        raise ProviderAway(f"it does not answer: {type(error).__name__}") from error
    if answer.status_code >= 500:
        raise ProviderAway(f"it answers with status {answer.status_code}")
    if answer.status_code != 200:
        raise ProviderWrong(f"there is no discovery document: status {answer.status_code}")
    try:
        document = dict(answer.json())
    except (TypeError, ValueError):
        raise ProviderWrong("the discovery document is not a JSON object") from None
    return _checked(document)


def _checked(document: dict[str, Any]) -> Provider:
    """Return the provider of a discovery document. Raise ProviderWrong."""
    issuer = str(document.get("issuer", ""))
    if issuer.rstrip("/") != settings.OIDC_ISSUER:
        raise ProviderWrong(f"the discovery document is that of another issuer: {issuer!r}")
    endpoints = {name: str(document.get(name) or "") for name in (*REQUIRED_ENDPOINTS, *OPTIONAL_ENDPOINTS)}
    for name, url in endpoints.items():
        if not url and name in REQUIRED_ENDPOINTS:
            raise ProviderWrong(f"the discovery document has no {name}")
        if url and not _is_safe(url):
            raise ProviderWrong(f"the {name} is no https address: {url!r}")
    methods = _names(document, "token_endpoint_auth_methods_supported")
    return Provider(
        issuer=issuer,
        **endpoints,
        signing_algorithm=_signing_algorithm(document),
        scopes=" ".join(_scopes(document)),
        takes_secret_in_body="client_secret_post" in methods,
    )


def _is_safe(url: str) -> bool:
    """Return whether the URL is https, or http at this machine, which has the provider of a trial."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and url_parts.is_loopback(parts.hostname or ""))


def _signing_algorithm(document: dict[str, Any]) -> str:
    """Return RS256, which every provider has to support, or else the first with a public key that is supported."""
    supported = _names(document, "id_token_signing_alg_values_supported") or ["RS256"]
    usable = [name for name in supported if name.startswith(("RS", "ES"))]
    if not usable:
        raise ProviderWrong(f"no id token is signed by RSA or an elliptic curve: {', '.join(supported)}")
    return "RS256" if "RS256" in usable else usable[0]


def _scopes(document: dict[str, Any]) -> list[str]:
    """Return the scopes to ask for: the standard ones, and the scope of the groups where the provider has one."""
    supported = _names(document, "scopes_supported")
    groups = settings.OIDC_GROUPS_CLAIM
    standard = [name for name in SCOPES if not supported or name in supported or name == "openid"]
    return [*standard, *([groups] if groups in supported else [])]


def _names(document: dict[str, Any], key: str) -> list[str]:
    value = document.get(key)
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
