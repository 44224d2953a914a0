"""The addresses of a sign-in by the company's login: the provider's endpoints and our own absolute ones."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from mozilla_django_oidc.utils import import_from_settings

from seedance_service import identity_provider


def setting(name: str, *default: Any) -> Any:
    """Return a setting of mozilla-django-oidc: what the provider says of itself, or else one of Django's settings."""
    read = FROM_PROVIDER.get(name)
    return read(identity_provider.load()) if read else import_from_settings(name, *default)


FROM_PROVIDER: dict[str, Any] = {
    "OIDC_OP_AUTHORIZATION_ENDPOINT": lambda provider: provider.authorization_endpoint,
    "OIDC_OP_TOKEN_ENDPOINT": lambda provider: provider.token_endpoint,
    "OIDC_OP_USER_ENDPOINT": lambda provider: provider.userinfo_endpoint,
    "OIDC_OP_JWKS_ENDPOINT": lambda provider: provider.jwks_uri,
    "OIDC_RP_SIGN_ALGO": lambda provider: provider.signing_algorithm,
    "OIDC_RP_SCOPES": lambda provider: provider.scopes,
    "OIDC_TOKEN_USE_BASIC_AUTH": lambda provider: not provider.takes_secret_in_body,
}


def absolute_url(request: HttpRequest, path: str) -> str:
    """Return the absolute URL of a path of the panel.

    The cookie of a session says whether the panel is behind TLS: our own server, behind the proxy, speaks http.
    """
    scheme = "https" if settings.SESSION_COOKIE_SECURE else "http"
    return f"{scheme}://{request.get_host()}{path}"
