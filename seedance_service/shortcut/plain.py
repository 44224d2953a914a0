"""What calls on the short way have in common: which of them are plain, whose they are, and what each answer says."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.http.request import split_domain_port, validate_host

from seedance_service import request_id
from tenants import authentication
from tenants.models import ApiKey

# What HTTP clients accept that were told nothing.
ACCEPTED = {"*/*", "application/json", "application/json, text/plain, */*"}
DECIDING = {"HTTP_PREFER", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_ENCODING"}

Headers = list[tuple[str, str]]


class Answer(NamedTuple):
    status: str
    headers: Headers
    content: bytes


def is_plain(environ: dict[str, Any]) -> bool:
    return (
        environ.get("HTTP_ACCEPT", "*/*") in ACCEPTED
        and DECIDING.isdisjoint(environ)
        and not environ.get("SCRIPT_NAME")
        and _is_ours(environ.get("HTTP_HOST", ""))
    )


@lru_cache(maxsize=100)
def _is_ours(host: str) -> bool:
    """As Django sees it where it is told so: not while it is debugged, when other names are."""
    return validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)


def key_of(environ: dict[str, Any], scope: ApiKey.Scope) -> ApiKey | None:
    """The caller's, where it is known and may do that."""
    key = authentication.remembered(environ)
    return key if key and scope in key.scopes else None


def answered(environ: dict[str, Any], key: ApiKey, make: Callable[[], Answer | None]) -> Answer | None:
    """What `make` makes, with the request's id, and told in the log. None where it makes none."""
    began = time.perf_counter()
    with request_id.answering(request_id.of(environ)):
        _look_after_connection()
        try:
            made = make()
        finally:
            _look_after_connection()
        if made:
            made.headers.extend([("Content-Length", str(len(made.content))), (request_id.HEADER, request_id.current())])
            method, path, status = environ["REQUEST_METHOD"], environ["PATH_INFO"], int(made.status[:3])
            request_id.tell_of_call(method, path, status, key, time.perf_counter() - began)
    return made


def _look_after_connection() -> None:
    """As Django does where a request begins, and where it ends."""
    if not connection.in_atomic_block:  # no request is in one here, but a test may be
        connection.close_if_unusable_or_obsolete()


def headers_of(view: Any) -> Headers:
    """As the view, and the middlewares that are passed by, say them."""
    if hasattr(view, "get"):
        view.head = view.get  # as Django has it when a request comes
    return [
        ("Content-Type", "application/json"),
        ("Allow", ", ".join(view.allowed_methods)),
        ("Cache-Control", "private, no-store"),
        ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ]
