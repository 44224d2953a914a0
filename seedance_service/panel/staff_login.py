"""The panel's pages to log in and out: Django's own, with the company's login beside the password or in its place."""

from typing import Any
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache

from seedance_service import identity_provider
from seedance_service.identity_provider import ProviderAway, ProviderWrong
from seedance_service.panel import sessions
from seedance_service.panel.company_login import refusals
from seedance_service.panel.company_login.addresses import absolute_url
from seedance_service.panel.company_login.refusals import Reason
from seedance_service.panel.company_login.views import ID_TOKEN_KEY
from seedance_service.panel.next_path import next_path

log = structlog.stdlib.get_logger(__name__)

admin.site.login_template = "panel/login.html"


@never_cache
def log_in(request: HttpRequest) -> HttpResponse:
    """Serve the page to log in. Where passwords are off it has no form, and a posted one is refused."""
    if request.method == "POST" and not settings.STAFF_PASSWORDS:
        log.warning("a password was sent, and passwords are off")
        return refusals.render(request, Reason.PASSWORD)
    context: dict[str, Any] = {"staff_passwords": settings.STAFF_PASSWORDS}
    if settings.OIDC_ISSUER:
        context["company_login"] = reverse("company_login", query={"next": next_path(request)})
    response: HttpResponse = admin.site.login(request, context)
    return response


@never_cache
def log_out(request: HttpRequest) -> HttpResponse:
    """End the session, and send the browser to end the session at the company's login too."""
    provider_url = _provider_url(request) if request.method == "POST" else ""
    response: HttpResponse = admin.site.logout(request)
    if not provider_url:
        return response
    # The policy of the panel lets a form lead to the panel alone, so the browser goes on from a page.
    context = {**admin.site.each_context(request), "title": "Logged out", "provider_url": provider_url}
    return TemplateResponse(request, "panel/logged_out.html", context)


def _provider_url(request: HttpRequest) -> str:
    """Return the provider's address to log out (OpenID Connect RP-Initiated Logout), or "" if there is none."""
    if not (settings.OIDC_ISSUER and sessions.is_by_company_login(request)):
        return ""
    try:
        endpoint = identity_provider.load().end_session_endpoint
    except (ProviderAway, ProviderWrong):
        return ""  # the session here ends all the same
    query = {
        "id_token_hint": request.session.get(ID_TOKEN_KEY, ""),
        "client_id": settings.OIDC_CLIENT_ID,
        "post_logout_redirect_uri": absolute_url(request, reverse("admin:login")),
    }
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}" if endpoint else ""
