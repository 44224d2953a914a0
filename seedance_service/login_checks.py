"""The doctor's check of the company's login: its discovery document, and the roles that its groups give."""

from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import Error

from seedance_service import identity_provider
from seedance_service.findings import OK, WRONG, Finding
from seedance_service.identity_provider import ProviderAway, ProviderWrong


def check_company_login() -> Iterator[Finding]:
    """Check that the provider at OIDC_ISSUER can be used, and that each role of OIDC_ROLES exists."""
    if not settings.OIDC_ISSUER:
        return
    yield _check_provider()
    try:
        missing = {role for _, role in settings.OIDC_ROLES} - set(Group.objects.values_list("name", flat=True))
    except Error:
        return  # check_database has reported that
    if missing:
        fact = f"OIDC_ROLES names roles that do not exist: {', '.join(sorted(missing))}"
        yield Finding("roles of the company's login", WRONG, fact, "Name roles of the panel's list Roles.")


def _check_provider() -> Finding:
    name = "company's login"
    try:
        provider = identity_provider.read()
    except ProviderAway as error:
        return Finding(name, WRONG, str(error), "Open the network path to OIDC_ISSUER, or ask who runs the login.")
    except ProviderWrong as error:
        return Finding(
            name, WRONG, str(error), "Set OIDC_ISSUER to the issuer as the provider's own document names it."
        )
    scopes = provider.scopes.split()
    if settings.OIDC_GROUPS_CLAIM not in scopes:
        fact = f"it answers; it lists no scope {settings.OIDC_GROUPS_CLAIM}, so only its own settings send that claim"
        return Finding(name, OK, fact)
    return Finding(name, OK, f"it answers, and is asked for {', '.join(scopes)}")
