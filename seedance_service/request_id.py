"""Every request has an id: its caller's X-Request-Id where that is sane, else one that is made here.

It is a header of every answer, in the body of every error, and in every line that is logged meanwhile.
"""

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.log import log_response

HEADER = "X-Request-Id"
SANE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")  # nothing that could end a header or a line of the log
ENTRANCES, PANEL = ("/v1/", "/v3/"), "/admin/"  # what has a line for each request
BY_ITSELF = "X-Refresh"  # a dashboard that reads itself again: nobody looked
LONGEST_PATH = 200  # characters that are logged of it

log = structlog.stdlib.get_logger(__name__)
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """Of the request that this thread answers; empty where it answers none, as in a worker."""
    return _current.get()


@contextmanager
def answering(request_id: str) -> Iterator[None]:
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)  # the server's thread goes on to another request


class RequestId:
    """The outermost middleware, so that it has what the others refuse too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        with answering(of(request.META)):
            response = self._get_response(request)
            response.headers[HEADER] = current()
            _tell(request, response, time.perf_counter() - began)
        return response


def of(meta: Mapping[str, Any]) -> str:
    """The request's own id, or a new one."""
    text = meta.get("HTTP_X_REQUEST_ID", "")
    return text if SANE.fullmatch(text) else f"req_{random.getrandbits(128):032x}"  # no secret


def _tell(request: HttpRequest, response: Any, seconds: float) -> None:
    if response.status_code >= 400:  # Django's own line, which it writes once, and would when the id is gone
        log_response("%s: %s", response.reason_phrase, request.path, response=response, request=request)
    if request.path.startswith(ENTRANCES):
        # REST framework puts the key that it found on Django's request too.
        tell_of_call(request.method or "", request.path, response.status_code, getattr(request, "auth", None), seconds)
    elif request.path.startswith(PANEL) and BY_ITSELF not in request.headers:
        _tell_of_page(request, response, seconds)


def tell_of_call(method: str, path: str, status: int, key: Any, seconds: float) -> None:
    """Without the query, which may hold what is nobody's business. `key`: the caller's, where it was found."""
    facts = {"action": method, "path": path[:LONGEST_PATH], "status": status}
    facts |= {"tenant": key.tenant_id, "key": key.prefix} if key else {}
    log.info("request", **facts, duration_ms=round(seconds * 1000))


def _tell_of_page(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
    """Who of ops looked at what: prompts and videos are callers'. What was done is in the audit log."""
    user: Any = getattr(request, "user", None)
    if user and user.is_authenticated:
        facts = {"action": request.method, "path": request.path[:LONGEST_PATH], "status": response.status_code}
        log.info("panel", **facts, user=user.get_username(), duration_ms=round(seconds * 1000))
