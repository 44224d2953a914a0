"""Write a checked request as the upstream reads it."""

from collections.abc import Callable, Mapping
from typing import Any

from generations.catalog.request_fields import write_path
from generations.catalog.video_models import VideoModel


def build(model: VideoModel, values: Mapping[str, Any], write_image: Callable[[Any], str]) -> dict[str, Any]:
    """Return the body of the upstream's submit: each field that has a value, and the derived ones.

    `write_image` returns the text of an image in the body.
    """
    body: dict[str, Any] = {}
    for name, field in model.fields.items():
        value = values.get(name)
        if value is not None and field.path:
            write_path(body, field.path, write_image(value) if field.is_image else field.to_wire(value))
    for derived in model.row.derived:
        first, second = (str(values.get(name)) for name in derived.from_)
        write_path(body, derived.wire.split("."), derived.table[first][second])
    return body
