"""Dispatch each request by its path: to the probes, to the API's handler, or to Django's own for the panel."""

import re
import threading
from collections.abc import Iterable
from typing import Any, cast

from django.core.handlers.wsgi import WSGIHandler

from seedance_service.http import connections, headers_guard, health
from seedance_service.http.api_handler import ApiHandler
from seedance_service.http.middleware import API_PREFIXES
from seedance_service.http.request_body import RequestBody

connections.replace_djangos_receivers()
api_handler = ApiHandler()
site_handler = WSGIHandler()  # the panel, behind the middlewares of settings.py
# What needs no session: the API, and its documentation.
DOCUMENTATION = ("/docs", "/openapi.json", "/llms.txt")
SESSIONLESS = (*API_PREFIXES, *DOCUMENTATION)
# Pages whose bytes are made once need the interpreter alone. Each of many such threads would get it as often as a read
# does, which needs it again after each statement. One at a time, they slow no read.
DOCUMENTS = (*DOCUMENTATION, "/v1/models")
MAX_TURN_SECONDS = 1.0  # of waiting: a page is not to wait for one that waits for the database
_turn = threading.Semaphore()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer one request: the WSGI application (PEP 3333)."""
    path = environ.get("PATH_INFO", "")
    if path in health.PAGES:
        return health.answer(environ, start_response)
    path = environ["PATH_INFO"] = _without_extra_slashes(path)
    headers_guard.clear_unreadable(environ)
    body = environ["wsgi.input"] = RequestBody(environ["wsgi.input"], environ.get("CONTENT_LENGTH", ""))
    handler = api_handler if path.startswith(SESSIONLESS) else site_handler
    has_turn = path.startswith(DOCUMENTS) and _turn.acquire(timeout=MAX_TURN_SECONDS)
    try:
        return _as_list(handler(environ, start_response))
    finally:
        if has_turn:
            _turn.release()
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
