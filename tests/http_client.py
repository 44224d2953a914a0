"""The HTTP client of the tests, which sends each request through the WSGI application, as a web server does."""

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, HttpResponse
from django.test.client import FakePayload, conditional_content_removal
from django.utils.crypto import get_random_string
from rest_framework.test import APIClient

from seedance_service import wsgi
from seedance_service.http.connections import check_connection

PANEL = "/admin/"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}
CSRF_TOKEN_CHARS = 32
HIDDEN = ("form_token", "loaded")  # in the panel's forms


class Client(APIClient):
    """A client of the service's WSGI application.

    An exception that the service does not handle is an answer with status 500, as callers see it. An unsafe request to
    the panel carries the CSRF token of the panel's forms, unless `sends_csrf_token` is False. A form is opened before
    it is posted, and carries what its page hides in it, as in a browser.
    """

    def __init__(self, *, sends_csrf_token: bool = True, **defaults: Any) -> None:
        super().__init__(**{"HTTP_HOST": "testserver", **defaults})
        self.handler: Any = _answer
        self.raise_request_exception = False
        self._sends_csrf_token = sends_csrf_token

    def request(self, **environ: Any) -> Any:
        """Send a request and return the answer."""
        is_form = environ["PATH_INFO"].startswith(PANEL) and environ["REQUEST_METHOD"] not in SAFE_METHODS
        if is_form and self._sends_csrf_token:
            environ.setdefault("HTTP_X_CSRFTOKEN", self._csrf_token())
        return super().request(**environ)

    def post(self, path: str, data: Any = None, *args: Any, **options: Any) -> Any:
        """Post the data; to the panel, with what the form's page hides in it."""
        if path.startswith(PANEL) and self._sends_csrf_token and isinstance(data, dict):
            data = {**self.open_form(path, data), **data}
        return super().post(path, data, *args, **options)

    def open_form(self, path: str, data: dict[str, Any] | None = None) -> dict[str, str]:
        """Return what the page of a form hides in it. The page of a list's action is the answer to a POST."""
        if data and "_selected_action" in data:
            first = {name: data[name] for name in ("action", "_selected_action") if name in data}
            page = super().post(path, first)
        else:
            page = self.get(path)
        text = page.content.decode(errors="replace")
        found = {name: re.search(rf'<input[^>]* name="{name}"[^>]* value="([^"]*)"', text) for name in HIDDEN}
        return {name: html.unescape(match[1]) for name, match in found.items() if match}

    def _csrf_token(self) -> str:
        """Return the value of the cookie that a form's token must match. Set the cookie if there is none."""
        if settings.CSRF_COOKIE_NAME not in self.cookies:
            self.cookies[settings.CSRF_COOKIE_NAME] = get_random_string(CSRF_TOKEN_CHARS)
        return self.cookies[settings.CSRF_COOKIE_NAME].value


def with_key(key: str) -> Client:
    """Return a client that sends this API key, and always the same request id, since tests compare answers."""
    return Client(HTTP_AUTHORIZATION=f"Bearer {key}", HTTP_X_REQUEST_ID="tests")


def _answer(environ: dict[str, Any]) -> HttpResponse:
    """Call the application, read the whole answer and close it, as a web server does. Return the answer."""
    if isinstance(environ["wsgi.input"], FakePayload):  # unlike a socket, it fails if more is read than was sent
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read())
    started: list[tuple[str, list[tuple[str, str]]]] = []
    with _keep_connection():
        answer: Any = wsgi.application(environ, lambda status, headers: started.append((status, headers)))
        try:
            content = b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()
    [(status, headers)] = started
    response: Any = HttpResponse(content, status=int(status[:3]), reason=status[4:])
    del response.headers["Content-Type"]  # Django's own, where none was sent
    for name, value in headers:
        if name.lower() == "set-cookie":
            response.cookies.load(value)
        else:
            assert name not in response.headers, f"{name} is sent twice"
            response.headers[name] = value
    if response.has_header("Location"):
        response.url = response.headers["Location"]  # Django's client follows it
    response.wsgi_request = HttpRequest()  # the client asks for its urlconf; a WSGIRequest would parse hostile headers
    response.wsgi_request.method = environ["REQUEST_METHOD"]
    conditional_content_removal(response.wsgi_request, response)
    return response


@contextmanager
def _keep_connection() -> Iterator[None]:
    """Keep Django from closing the connection around a request: a test is one transaction, or has no database."""
    signals = [request_started, request_finished]
    for signal in signals:
        signal.disconnect(check_connection)
    try:
        yield
    finally:
        for signal in signals:
            signal.connect(check_connection)
