"""A create, on each entrance. From the moment on that it is tried, it may be committed: what goes wrong then is told on
the whole way, and not tried again there.
"""

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from generations.api import creating, native, novita, shown, wire
from generations.api.serializers import Create, NativeCreate, NovitaCreate
from generations.intake import Accepted, Wanted
from seedance_service import request_id
from seedance_service.shortcut.plain import Answer, Headers, answered, headers_of, key_of
from tenants.models import ApiKey

MOST = 64 * 1024  # bytes of a body; where there is a picture in it, the frameworks' part is small
TYPES = {"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"}


class Entrance(NamedTuple):
    body: type[Create]
    status: str
    headers: Headers
    told: Callable[[Accepted], tuple[Any, dict[str, str]]]


def _native(accepted: Accepted) -> tuple[Any, dict[str, str]]:
    generation = accepted.generation
    return shown.first(generation), {**native.headers(accepted), **shown.first_wait(generation)}


def _novita(accepted: Accepted) -> tuple[Any, dict[str, str]]:
    return novita.first(accepted), creating.headers(accepted)


ENTRANCES = {
    "/v1/generations": Entrance(NativeCreate, "202 Accepted", headers_of(native.Generations()), _native),
    "/v3/async/seedance-v1-lite-i2v": Entrance(NovitaCreate, "200 OK", headers_of(novita.Submit()), _novita),
}


def answer(environ: dict[str, Any]) -> Answer | None:
    entrance = ENTRANCES.get(environ["PATH_INFO"])
    if entrance is None or environ.get("QUERY_STRING") or environ.get("CONTENT_TYPE") not in TYPES:
        return None
    length = wire.length_of(environ)
    key = key_of(environ, ApiKey.Scope.WRITE) if 0 < length <= MOST else None
    wanted = _wanted(environ, length, entrance) if key else None
    if key is None or wanted is None:
        return None
    return answered(environ, key, lambda: _made(environ, key, entrance, wanted))


def _wanted(environ: dict[str, Any], length: int, entrance: Entrance) -> Wanted | None:
    content = bytes(environ["wsgi.input"].read(length))
    environ["wsgi.input"] = io.BytesIO(content)  # for the whole way
    if len(content) < length:
        return None
    try:
        return creating.checked(entrance.body, wire.parsed(content))
    except Exception:  # whatever it is, it is met again on the whole way, which tells it
        return None


def _made(environ: dict[str, Any], key: ApiKey, entrance: Entrance, wanted: Wanted) -> Answer | None:
    try:
        accepted = creating.accept(key, environ, environ["PATH_INFO"], wanted)
        body, more = entrance.told(accepted)
        return Answer(entrance.status, [*entrance.headers, *more.items()], msgspec.json.encode(body))
    except Exception as met:  # whatever it is
        environ[creating.MET], environ["HTTP_X_REQUEST_ID"] = met, request_id.current()
        return None
