"""How long the panel knows somebody: SESSION_IDLE_MINUTES after the last thing that was done, SESSION_MAX_HOURS in all.

A dashboard that reads itself again is nothing that was done: a screen left alone is logged out all the same.
"""

import time

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest
from django.utils.deprecation import MiddlewareMixin

from seedance_service.http.middleware import REFRESH_HEADER

BEGAN, SEEN = "began", "seen"  # seconds since the epoch, in the session
TOUCH_EVERY = 60.0  # seconds: a write of the database for each request would be too many


class Sessions(MiddlewareMixin):
    def process_request(self, request: HttpRequest) -> None:
        # Who has no cookie has no session, and the API looks for none.
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
            _keep(request, time.time())


def _keep(request: HttpRequest, now: float) -> None:
    session = request.session
    began = session.setdefault(BEGAN, now)
    if now - began > settings.SESSION_MAX_HOURS * 3600:
        logout(request)
    elif REFRESH_HEADER not in request.headers and now - session.get(SEEN, 0) > TOUCH_EVERY:
        session[SEEN] = now  # it is saved, and lasts anew
