"""The texts of a form as the JSON values that they mean, by the type of the model's field."""

import re
from typing import Any

from rest_framework.exceptions import ParseError, ValidationError

from generations.api import json_codec
from generations.catalog import video_models
from generations.catalog.request_fields import RequestField
from generations.catalog.video_models import VideoModel

METADATA = "metadata"
INTEGER = re.compile(r"-?[0-9]{1,19}")
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")  # as JSON writes it
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}  # in any case: Python writes True


def find_model(named: str | None, otherwise: str | None) -> VideoModel:
    """Return the model of a form that names this one, or the other one if it names none.

    A model that is unknown is refused later, whatever the other fields hold: until then it is the default one.
    """
    return video_models.get(named or otherwise or "") or video_models.default()


def read(model: VideoModel, name: str, text: str) -> Any:
    """Return the JSON value that the text of a field means; the text itself if it means none.

    Raise ValidationError for metadata that is no JSON object.
    """
    if name == METADATA:
        return _json_object(text)
    field = model.fields.get(name)
    return text if field is None else _value(field, text)


def is_json(name: str) -> bool:
    """Return whether JSON's writing of the field's values means the same as their text, in each model that has it."""
    fields = [model.fields[name] for model in video_models.models().values() if name in model.fields]
    return name == METADATA or (bool(fields) and not any(_is_text(field) for field in fields))


def _is_text(field: RequestField) -> bool:
    return field.is_image or field.row.type == "string" or any(isinstance(value, str) for value in field.row.enum)


def _value(field: RequestField, text: str) -> Any:
    if _is_text(field):
        return text
    match field.row.type:
        case "boolean":
            return BOOLEANS.get(text.lower(), text)
        case "number":
            return float(text) if NUMBER.fullmatch(text) else text
    return int(text) if INTEGER.fullmatch(text) else text


def _json_object(text: str) -> dict[str, Any]:
    """Return the JSON object in the text. Raise ValidationError."""
    try:
        value = json_codec.decode(text.encode())
    except ParseError as error:
        raise ValidationError({METADATA: [str(error.detail)]}) from error
    if not isinstance(value, dict):
        raise ValidationError({METADATA: ["Send a JSON object, or fields such as metadata[order]."]})
    return value
