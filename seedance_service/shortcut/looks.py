"""A look at one generation, on each entrance."""

from collections.abc import Callable
from typing import Any

import msgspec
from django.db import Error

from generations.api import lookup, native, novita, shown
from generations.errors import StorageTrouble
from generations.models import Generation
from seedance_service.shortcut.plain import Answer, Headers, answered, headers_of, key_of
from tenants.errors import Refusal
from tenants.models import ApiKey

ONE, RESULT, TASK = "/v1/generations/", "/v3/async/task-result", "task_id="
ID_LENGTH = 36  # characters
NOTHING = {"", "0"}  # the length of no body

Render = Callable[[Generation], dict[str, Any]]

NATIVE, NOVITA = headers_of(native.OneGeneration()), headers_of(novita.TaskResult())


def answer(environ: dict[str, Any]) -> Answer | None:
    if environ.get("CONTENT_LENGTH", "") not in NOTHING:
        return None
    asked = _asked(environ["PATH_INFO"], environ.get("QUERY_STRING", ""))
    key = key_of(environ, ApiKey.Scope.READ) if asked else None
    if asked is None or key is None:
        return None
    return answered(environ, key, lambda: _found(key, *asked))


def _asked(path: str, query: str) -> tuple[str, Render, Headers] | None:
    """The generation's id, how it is told, and its headers."""
    if path.startswith(ONE) and len(path) == len(ONE) + ID_LENGTH and not query:
        return path[len(ONE) :], shown.render, NATIVE
    if path == RESULT and query.startswith(TASK) and len(query) == len(TASK) + ID_LENGTH:
        return query[len(TASK) :], novita.told, NOVITA
    return None


def _found(key: ApiKey, generation_id: str, render: Render, headers: Headers) -> Answer | None:
    try:
        generation = lookup.of_key(key, generation_id)
        content = msgspec.json.encode(render(generation))
        more = shown.retry_after(generation).items()
    except (Refusal, StorageTrouble, Error):
        return None  # met again on the whole way, which tells it
    return Answer("200 OK", [*headers, *more], content)
