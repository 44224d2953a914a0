"""A check of headers that make Django or REST framework fail, before either reads them.

Both headers are parsed by the standard library's email package, where no handler answers its errors: some RFC 2231
parameters raise, a charset such as `hex` fails where the query is decoded, and escapes take quadratic time.
"""

import re
from functools import lru_cache
from typing import Any

from django.utils.http import parse_header_parameters

MAX_CHARS = 1000  # a browser's Accept has 200
UNREADABLE = {
    "CONTENT_TYPE": re.compile(r"[\\*]"),  # an escape, a parameter of RFC 2231, or any type at all
    "HTTP_CONTENT_TYPE": re.compile(r"[\\*]"),
    "HTTP_ACCEPT": re.compile(r"\\|;[^=;,]*\*"),
}
ESCAPED_NUL = r"\000"


def clear_unreadable(environ: dict[str, Any]) -> None:
    """Empty each header that can not be parsed safely, and remove a cookie with a NUL.

    An empty Content-Type or Accept matches nothing, so the caller gets a 415 or a 406.
    """
    for name in UNREADABLE.keys() & environ.keys():
        value = environ[name]
        if len(value) > MAX_CHARS or not _is_readable(name, value):
            environ[name] = ""
    if ESCAPED_NUL in environ.get("HTTP_COOKIE", ""):
        del environ["HTTP_COOKIE"]  # the panel would ask PostgreSQL for a session of that name


@lru_cache(maxsize=1000)
def _is_readable(name: str, value: str) -> bool:
    if UNREADABLE[name].search(value):
        return False
    if name == "HTTP_ACCEPT":
        return True
    return parse_header_parameters(value)[1].get("charset", "utf-8").lower() in ("utf-8", "utf8")
