"""The reasons for which a sign-in by the company's login ends without a session."""

from enum import Enum
from typing import Any, NamedTuple

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse


class Page(NamedTuple):
    """The page that a refused user reads."""

    status: int
    title: str
    text: str


class Reason(Enum):
    """The reason of a refusal, as the log names it, with the user's page."""

    AWAY = Page(503, "The company's login does not answer", "Try again in a minute.")
    WRONG = Page(
        502,
        "The company's login could not be used",
        "Its answer is not what this service expects. An operator finds the reason in the log.",
    )
    CLOCK = Page(
        502,
        "The clocks differ",
        "The answer of the company's login is not valid at the time of this service. An operator sets the clocks.",
    )
    DENIED = Page(403, "The company's login did not let you in", "Sign in there again, and agree to what it asks for.")
    STATE = Page(
        400,
        "This sign-in is over",
        "It was finished before, took too long, or began in another browser. Start again.",
    )
    NO_ROLE = Page(
        403,
        "You have no role here",
        "None of your groups at the company's login gives a role in this panel. Ask an owner of this service for one.",
    )
    PASSWORD = Page(403, "Passwords do not sign in here", "Sign in with the company's login.")
    LOCKED = Page(403, "Your user is not active", "Ask an owner of this service to let you in again.")


class SignInRefused(Exception):
    """The sign-in ends without a session. `facts` are for the log, and hold no token."""

    def __init__(self, reason: Reason, **facts: Any) -> None:
        super().__init__(reason.name)
        self.reason, self.facts = reason, facts


def render(request: HttpRequest, reason: Reason) -> HttpResponse:
    """Return the page of a refusal, with a link back to the login."""
    page = reason.value
    context = {**admin.site.each_context(request), "title": page.title, "text": page.text}
    return TemplateResponse(request, "panel/company_login_refused.html", context, status=page.status)
