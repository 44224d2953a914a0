"""The sessions of the panel's users, as the database has them."""

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.http import HttpRequest

from tenants.db import clock


def is_by_company_login(request: HttpRequest) -> bool:
    """Return whether the request's session began by the company's login."""
    return bool(request.session.get(BACKEND_SESSION_KEY) == settings.COMPANY_LOGIN_BACKEND)


def end_all(user: User) -> int:
    """End the user's sessions, and return how many there were. No column names the user, so all sessions are read."""
    sessions = Session.objects.filter(expire_date__gt=clock.now())
    keys = [row.session_key for row in sessions if row.get_decoded().get(SESSION_KEY) == str(user.pk)]
    return Session.objects.filter(session_key__in=keys).delete()[0]
