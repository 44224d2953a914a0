"""The id of each request: the caller's X-Request-Id where that is safe to repeat, else a new one.

The id is a header of every answer, in the body of every error, and in every log entry of the request.
"""

import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

HEADER = "X-Request-Id"
SAFE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")  # nothing that could end a header or a log entry

_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """Return the id of the request that this thread answers; empty outside of requests, as in a worker."""
    return _current.get()


@contextmanager
def answering(request_id: str) -> Iterator[None]:
    """Make `request_id` the current one within the block."""
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)  # the server's thread goes on to another request


def from_headers(meta: Mapping[str, Any]) -> str:
    """Return the caller's id from a WSGI environ, or a new one."""
    text = meta.get("HTTP_X_REQUEST_ID", "")
    return text if SAFE.fullmatch(text) else f"req_{random.getrandbits(128):032x}"  # not a secret
