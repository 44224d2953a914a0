"""The two addresses of a sign-in by the company's login, where it begins and where the provider sends the browser back.

Whatever goes wrong ends on a page that says so, with a way back, and in one log entry without tokens.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import structlog
from django.conf import settings
from django.contrib import auth
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from seedance_service.identity_provider import ProviderAway, ProviderWrong
from seedance_service.panel.company_login import refusals
from seedance_service.panel.company_login.addresses import absolute_url, setting
from seedance_service.panel.company_login.backend import CALLBACK, refusal_of
from seedance_service.panel.company_login.refusals import Reason, SignInRefused
from seedance_service.panel.next_path import next_path

log = structlog.stdlib.get_logger(__name__)

STATES_KEY, NEXT_KEY = "oidc_states", "oidc_login_next"  # session keys of the library
# A session key: the log out names the id token to the provider. The session holds it in clear, since it opens nothing.
ID_TOKEN_KEY = "company_id_token"  # noqa: S105  # no secret
MAX_ERROR_CHARS = 100  # of the provider's code for an error, in the log
View = Callable[[HttpRequest], HttpResponse]


def _answer_refusals(view: View) -> View:
    """Return a view that answers with a readable page where a sign-in is refused."""

    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if not settings.OIDC_ISSUER:
            raise Http404
        try:
            return view(request)
        except (ProviderAway, ProviderWrong) as error:
            return _refuse(request, refusal_of(error))
        except SignInRefused as refusal:
            return _refuse(request, refusal)

    return answer


def _refuse(request: HttpRequest, refusal: SignInRefused) -> HttpResponse:
    log.warning("a company login came to nothing", reason=refusal.reason.name.lower(), **refusal.facts)
    return refusals.render(request, refusal.reason)


class StartView(OIDCAuthenticationRequestView):
    """Send the browser to the provider, with state, nonce and the challenge of PKCE."""

    get_settings = staticmethod(setting)

    def get_extra_params(self, request: HttpRequest) -> dict[str, str]:
        """Return the address where the provider sends the browser back."""
        return {"redirect_uri": absolute_url(request, reverse(CALLBACK))}


class CallbackView(OIDCAuthenticationCallbackView):
    """Take the browser back from the provider, and begin a session."""

    get_settings = staticmethod(setting)

    def get(self, request: HttpRequest) -> HttpResponse:
        """Begin a session of the user whom the provider names. Each state is used once, whatever comes of it."""
        states = request.session.get(STATES_KEY, {})
        if request.GET.get("state") not in states:
            raise SignInRefused(Reason.STATE)
        if not request.GET.get("code") or request.GET.get("error"):
            del states[request.GET["state"]]
            request.session.modified = True
            error = request.GET.get("error", "")[:MAX_ERROR_CHARS]
            raise SignInRefused(Reason.DENIED if error == "access_denied" else Reason.WRONG, trouble=error)
        response: HttpResponse = super().get(request)
        return response

    @property
    def success_url(self) -> str:
        """Return the requested page of the panel."""
        return next_path(self.request, self.request.session.get(NEXT_KEY) or "")

    def login_success(self) -> HttpResponse:
        """Begin the session. The library would go on in the session of a user who signs in a second time."""
        next_url = self.success_url
        auth.logout(self.request)
        auth.login(self.request, self.user)
        self.request.session[ID_TOKEN_KEY] = self.request.company_id_token
        log.info("a company login", user=self.user.get_username())
        return redirect(next_url)

    def login_failure(self) -> HttpResponse:
        """Refuse a sign-in for which the library found no user: it has no reason of its own left."""
        raise SignInRefused(Reason.WRONG)


@never_cache
@require_safe
@_answer_refusals
def start(request: HttpRequest) -> Any:
    """Serve the link of the login page."""
    return StartView.as_view()(request)


@never_cache
@require_safe
@_answer_refusals
def callback(request: HttpRequest) -> Any:
    """Serve the address to which the provider sends the browser back."""
    return CallbackView.as_view()(request)
