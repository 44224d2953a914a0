"""Every request has an id: its caller's X-Request-Id where that is sane, else one that is made here.

It is a header of every answer, in the body of every error, and in every line that is logged meanwhile.
"""

import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

HEADER = "X-Request-Id"
SANE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")  # nothing that could end a header or a line of the log

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


def of(meta: Mapping[str, Any]) -> str:
    """The request's own id, or a new one."""
    text = meta.get("HTTP_X_REQUEST_ID", "")
    return text if SANE.fullmatch(text) else f"req_{random.getrandbits(128):032x}"  # no secret
