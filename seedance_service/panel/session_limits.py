"""The limits of a panel session: SESSION_IDLE_MINUTES after the last action of the user, SESSION_MAX_HOURS in all.

An automatic refresh of the dashboard is no action of the user: an unattended screen is logged out.
"""

import time

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest
from django.utils.deprecation import MiddlewareMixin

from seedance_service.http.middleware import REFRESH_HEADER

STARTED_KEY, SEEN_KEY = "began", "seen"  # session keys; the values are seconds since the epoch
MIN_SECONDS_BETWEEN_SAVES = 60.0  # one database write per request would be too many


class SessionLimitsMiddleware(MiddlewareMixin):
    """Log a user out when the session has lasted too long, and extend the session while the user is active."""

    def process_request(self, request: HttpRequest) -> None:
        """Apply the limits to the session of a logged-in user."""
        # A request without the cookie has no session, so requests of the API never query one.
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
            _apply_limits(request, time.time())


def _apply_limits(request: HttpRequest, now: float) -> None:
    session = request.session
    started = session.setdefault(STARTED_KEY, now)
    if now - started > settings.SESSION_MAX_HOURS * 3600:
        logout(request)
    elif REFRESH_HEADER not in request.headers and now - session.get(SEEN_KEY, 0) > MIN_SECONDS_BETWEEN_SAVES:
        session[SEEN_KEY] = now  # the change makes Django save the session, which starts the idle time again
