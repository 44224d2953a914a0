"""The service as a WSGI application, behind a look at the two headers in which Django and REST framework trip.

Both are parsed by the standard library's email package, before or outside of what could answer for its errors: some
RFC 2231 parameters raise, a charset such as `hex` fails where the query is decoded, and escapes take quadratic time.
"""

import gc
import io
import os
import re
from collections.abc import Iterable
from typing import Any

import structlog
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "seedance_service.settings")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(settings.METRICS_DIR / "web")  # before anything counts
served = get_wsgi_application()

from generations import storage  # noqa: E402  # they read settings, which are there now
from generations.api import waiting  # noqa: E402
from generations.errors import StorageTrouble  # noqa: E402
from seedance_service import shortcut  # noqa: E402

log = structlog.stdlib.get_logger(__name__)
waiting.end_with_the_process()
ESCAPED_NUL = r"\000"

LONGEST = 1000  # characters; a browser's Accept has 200
UNREADABLE = {
    "CONTENT_TYPE": re.compile(r"[\\*]"),  # an escape, a parameter of RFC 2231, or any type at all
    "HTTP_CONTENT_TYPE": re.compile(r"[\\*]"),
    "HTTP_ACCEPT": re.compile(r"\\|;[^=;,]*\*"),
}


def get_ready() -> None:
    """What can be made before the first request comes."""
    try:
        storage.get_ready()
    except StorageTrouble:  # /readyz tells it, and callers whom it concerns
        log.exception("the bucket's clients can not be made")


get_ready()
# What a process has loaded stays as long as it does: the collector need not look through it again and again, while the
# requests wait.
gc.collect()
gc.freeze()


class Input:
    """The request's body, until the request is answered: the server keeps what it has read, and the framework's
    objects, which hold each other, would keep the server's until the garbage collector comes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        return bytes(self._stream.read(size))

    def readline(self, size: int = -1) -> bytes:
        return bytes(self._stream.readline(size))

    def let_go(self) -> None:
        self._stream = io.BytesIO()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if found := shortcut.answer(environ):
        start_response(found.status, found.headers)
        return [found.content]
    for name in UNREADABLE.keys() & environ.keys():
        if not _is_readable(name, environ[name]):
            environ[name] = ""  # it matches nothing: 415, 406
    if ESCAPED_NUL in environ.get("HTTP_COOKIE", ""):
        del environ["HTTP_COOKIE"]  # the panel would ask PostgreSQL for a session of that name
    body = environ["wsgi.input"] = Input(environ["wsgi.input"])
    try:
        return served(environ, start_response)
    finally:
        body.let_go()


def _is_readable(name: str, value: str) -> bool:
    if len(value) > LONGEST or UNREADABLE[name].search(value):
        return False
    return name == "HTTP_ACCEPT" or _charset(value) in ("utf-8", "utf8")


def _charset(content_type: str) -> str:
    return parse_header_parameters(content_type)[1].get("charset", "utf-8").lower()
