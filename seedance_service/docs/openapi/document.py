"""The OpenAPI document of this process: made once, since drf-spectacular takes long and is not safe in two threads."""

import functools
import threading
from typing import Any

import msgspec
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer

MEDIA_TYPES = (OpenApiJsonRenderer.media_type, "application/json")
_making = threading.RLock()


def schema() -> dict[str, Any]:
    """Return the document. Do not change it: all callers share it."""
    with _making:
        return _schema()


def as_json() -> bytes:
    """Return the document's JSON: what `make openapi` writes, without the white space, which is half of it."""
    with _making:
        return _as_json()


@functools.cache
def _schema() -> dict[str, Any]:
    generator: Any = SchemaGenerator  # drf-spectacular gives it no types
    made: dict[str, Any] = generator().get_schema(request=None, public=True)
    return made


@functools.cache
def _as_json() -> bytes:
    rendered: bytes = OpenApiJsonRenderer().render(_schema(), renderer_context={})
    return msgspec.json.format(rendered, indent=-1)
