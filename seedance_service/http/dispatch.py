"""Dispatch each request by its path: to the probes, to the API's handler, or to Django's own for the panel."""

import re
from collections.abc import Iterable
from typing import Any, cast

from django.core.handlers.wsgi import WSGIHandler

from seedance_service.http import connections, document_turns, headers_guard, health
from seedance_service.http.api_handler import ApiHandler
from seedance_service.http.middleware import API_PREFIXES
from seedance_service.http.request_body import RequestBody

connections.replace_djangos_receivers()
api_handler = ApiHandler()
site_handler = WSGIHandler()  # the panel, behind the middlewares of settings.py
# What needs no session: the API, and its documentation.
SESSIONLESS = (*API_PREFIXES, *document_turns.DOCUMENTATION)


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer one request: the WSGI application (PEP 3333)."""
    path = environ.get("PATH_INFO", "")
    if path in health.PAGES:
        return health.answer(environ, start_response)
    path = environ["PATH_INFO"] = _without_extra_slashes(path)
    headers_guard.clear_unreadable(environ)
    body = environ["wsgi.input"] = RequestBody(environ["wsgi.input"], environ.get("CONTENT_LENGTH", ""))
    handler = api_handler if path.startswith(SESSIONLESS) else site_handler
    try:
        with document_turns.taken(path):
            return _as_list(handler(environ, start_response))
    finally:
        body.release_body()


def _without_extra_slashes(path: str) -> str:
    """Return a path of the API without doubled slashes and without one at its end, and any other path as it is.

    A client whose base URL ends with a slash doubles it. A redirect would lose the body of a POST.
    """
    if "//" not in path and not path.endswith("/"):
        return path
    plain = re.sub("/{2,}", "/", path).rstrip("/")
    return plain if plain.startswith(API_PREFIXES) else path


def _as_list(response: Any) -> Iterable[bytes]:
    """Return the body as a list, which the server sends in one piece. The pieces of an iterator are sent one by one,
    with a wait after each.
    """
    if getattr(response, "streaming", True):
        return cast(Iterable[bytes], response)
    content = [response.content]
    response.close()
    return content
