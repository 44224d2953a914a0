"""Every request has an id: its caller's X-Request-Id where that is sane, else one that is made here.

It is a header of every answer, in the body of every error, and in every line that is logged meanwhile.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.log import log_response

HEADER = "X-Request-Id"
SANE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")  # nothing that could end a header or a line of the log
ENTRANCES = ("/v1/", "/v3/")  # what has a line for each request; the panel has its audit log
LONGEST_PATH = 200  # characters that are logged of it

log = logging.getLogger(__name__)
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
        with answering(_given(request) or f"req_{secrets.token_hex(16)}"):
            response = self._get_response(request)
            response.headers[HEADER] = current()
            _tell(request, response, time.perf_counter() - began)
        return response


def _given(request: HttpRequest) -> str:
    text = request.headers.get(HEADER, "")
    return text if SANE.fullmatch(text) else ""


def _tell(request: HttpRequest, response: Any, seconds: float) -> None:
    if response.status_code >= 400:  # Django's own line, which it writes once, and would when the id is gone
        log_response("%s: %s", response.reason_phrase, request.path, response=response, request=request)
    if request.path.startswith(ENTRANCES):
        _tell_of_call(request, response, seconds)


def _tell_of_call(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
    """Without the query, which may hold what is nobody's business."""
    key: Any = getattr(request, "auth", None)  # REST framework puts the key that it found on Django's request too
    who = f" tenant={key.tenant_id} key={key.prefix}" if key else ""
    facts = (request.method, request.path[:LONGEST_PATH], response.status_code, seconds * 1000, who)
    log.info("%s %s %s %.0f ms%s", *facts)
