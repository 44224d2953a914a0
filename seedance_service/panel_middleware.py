"""The middlewares of the panel, past which calls of the API go: they took longer than many a call itself.

Each is the one of its package, and does nothing for `/v1/` and `/v3/`, which know no session, no cookie and no form.
"""

from typing import TYPE_CHECKING, Any

from axes.middleware import AxesMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware
from django_otp.middleware import OTPMiddleware

from seedance_service import sessions
from seedance_service.request_id import ENTRANCES

if TYPE_CHECKING:
    _Middleware = Any
else:
    _Middleware = object


class OfThePanel(_Middleware):  # type: ignore[misc]
    """Mixed into a middleware, before it."""

    def __call__(self, request: HttpRequest) -> Any:
        if request.path.startswith(ENTRANCES):
            return self.get_response(request)
        return super().__call__(request)


class Session(OfThePanel, SessionMiddleware): ...


class Csrf(OfThePanel, CsrfViewMiddleware): ...


class Authentication(OfThePanel, AuthenticationMiddleware): ...


class Sessions(OfThePanel, sessions.Sessions): ...


class Otp(OfThePanel, OTPMiddleware): ...  # type: ignore[misc]


class Messages(OfThePanel, MessageMiddleware): ...


class Axes(OfThePanel, AxesMiddleware): ...  # type: ignore[misc]
