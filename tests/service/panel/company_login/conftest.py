"""Fixtures: a real provider on this machine, and the service that signs staff in by it."""

from collections.abc import Iterator
from typing import Any

import pytest

from seedance_service import identity_provider
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider

ROLES = [("Video Operations", "support"), ("On call", "support"), ("Finance", "billing"), ("Leads", "owner")]


@pytest.fixture(scope="session")
def running_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    """Start the provider, and end it after the last test."""
    provider = OpenIdProvider(tmp_path_factory.mktemp("provider"))
    yield provider
    provider.stop()


@pytest.fixture
def provider(running_provider: OpenIdProvider, db: None, settings: Any) -> Iterator[OpenIdProvider]:
    """Return the provider, with the service's settings for it."""
    use(settings, running_provider.issuer)
    running_provider.forge()
    yield running_provider
    identity_provider.load.cache.clear()  # type: ignore[attr-defined]


def use(settings: Any, issuer: str) -> None:
    """Set the company's login, as settings.py does."""
    settings.OIDC_ISSUER, settings.OIDC_ROLES = issuer, ROLES
    settings.OIDC_CLIENT_ID = settings.OIDC_RP_CLIENT_ID = CLIENT_ID
    settings.OIDC_CLIENT_SECRET = settings.OIDC_RP_CLIENT_SECRET = CLIENT_SECRET
    settings.AUTHENTICATION_BACKENDS = [settings.COMPANY_LOGIN_BACKEND, *settings.AUTHENTICATION_BACKENDS]
    identity_provider.load.cache.clear()  # type: ignore[attr-defined]


def turn_passwords_off(settings: Any) -> None:
    """Set STAFF_PASSWORDS to off, as settings.py does."""
    settings.STAFF_PASSWORDS = False
    backends = settings.AUTHENTICATION_BACKENDS
    settings.AUTHENTICATION_BACKENDS = [name for name in backends if not name.endswith("ModelBackend")]
