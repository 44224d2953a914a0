"""What most calls are, a look at one generation, answered before Django and REST framework, which take longer than it.

Only where nothing is to be decided: the key is known, the generation is there, and no header asks for anything. All
else, and every error, goes the whole way, which gives the same answer to what is answered here.
"""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from django.conf import settings
from django.db import Error, connection
from django.http.request import split_domain_port, validate_host

from generations.api import lookup, native, novita, shown
from generations.errors import StorageTrouble
from generations.models import Generation
from seedance_service import request_id
from tenants import authentication
from tenants.errors import Refusal
from tenants.models import ApiKey

ONE, RESULT, TASK = "/v1/generations/", "/v3/async/task-result", "task_id="
ID_LENGTH = 36  # characters
NOTHING = {"", "0"}  # the length of no body
# What HTTP clients accept that were told nothing.
ACCEPTED = {"*/*", "application/json", "application/json, text/plain, */*"}
DECIDING = {"HTTP_PREFER", "HTTP_TRANSFER_ENCODING"}

Headers = list[tuple[str, str]]
Render = Callable[[Generation], dict[str, Any]]


class Answer(NamedTuple):
    headers: Headers
    content: bytes


def answer(environ: dict[str, Any]) -> Answer | None:
    """None: it goes the whole way."""
    # Traces tell the route that was taken.
    if environ["REQUEST_METHOD"] != "GET" or settings.TRACES or not _is_plain(environ):
        return None
    asked = _asked(environ["PATH_INFO"], environ.get("QUERY_STRING", ""))
    key = authentication.remembered(environ) if asked else None
    if asked is None or key is None or ApiKey.Scope.READ not in key.scopes:
        return None
    began = time.perf_counter()
    with request_id.answering(request_id.of(environ)):
        found = _found(key, *asked)
        if found:
            found.headers.append((request_id.HEADER, request_id.current()))
            request_id.tell_of_call("GET", environ["PATH_INFO"], 200, key, time.perf_counter() - began)
    return found


def _is_plain(environ: dict[str, Any]) -> bool:
    return (
        environ.get("HTTP_ACCEPT", "*/*") in ACCEPTED
        and DECIDING.isdisjoint(environ)
        and environ.get("CONTENT_LENGTH", "") in NOTHING
        and not environ.get("SCRIPT_NAME")
        and _is_ours(environ.get("HTTP_HOST", ""))
    )


@lru_cache(maxsize=100)
def _is_ours(host: str) -> bool:
    """As Django sees it where it is told so: not while it is debugged, when other names are."""
    return validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)


def _asked(path: str, query: str) -> tuple[str, Render, Headers] | None:
    """The generation's id, how it is told, and its headers."""
    if path.startswith(ONE) and len(path) == len(ONE) + ID_LENGTH and not query:
        return path[len(ONE) :], shown.render, NATIVE
    if path == RESULT and query.startswith(TASK) and len(query) == len(TASK) + ID_LENGTH:
        return query[len(TASK) :], novita.told, NOVITA
    return None


def _found(key: ApiKey, generation_id: str, render: Render, headers: Headers) -> Answer | None:
    _look_after_connection()
    try:
        generation = lookup.of_key(key, generation_id)
        content = msgspec.json.encode(render(generation))
        more = shown.retry_after(generation).items()
    except (Refusal, StorageTrouble, Error):
        return None  # met again on the whole way, which tells it
    finally:
        _look_after_connection()
    return Answer([*headers, *more, ("Content-Length", str(len(content)))], content)


def _look_after_connection() -> None:
    """As Django does where a request begins, and where it ends."""
    if not connection.in_atomic_block:  # no request is in one here, but a test may be
        connection.close_if_unusable_or_obsolete()


def _headers(view: Any) -> Headers:
    """As the view, and the middlewares that are passed by, say them."""
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


NATIVE, NOVITA = _headers(native.OneGeneration()), _headers(novita.TaskResult())
