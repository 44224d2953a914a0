"""The parts that a model's fields have in common in every schema: names of enums, null, and what a field takes."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from generations.catalog.request_fields import NO_NUL, RequestField
from generations.catalog.video_models import VideoModel

Part = dict[str, Any]  # of the document
Values = Sequence[str | int]
# Enums that have the field's name alone. Others end in "Choice", so that they meet no schema of another kind.
SHORT_NAMES = ("aspect_ratio", "duration", "resolution")
MEMBER_PREFIXES = {"aspect_ratio": "RATIO_", "duration": "SECONDS_"}  # of other fields: the field's name
NULL = {"type": "null"}


def camel(text: str) -> str:
    """Return the text as part of a schema's name: `kling-v3.0-std-i2v` is KlingV30StdI2v."""
    return "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", text))


def enum_name(field_name: str) -> str:
    """Return the name of the enum of a field's values."""
    return camel(field_name) + ("" if field_name in SHORT_NAMES else "Choice")


def enum(field_name: str, values: Values) -> Part:
    """Return the schema of an enum, with names for its members where generators find none in the values."""
    schema: Part = {"type": "integer" if isinstance(values[0], int) else "string", "enum": list(values)}
    if not all(re.match("[A-Za-z]", str(value)) for value in values):
        prefix = MEMBER_PREFIXES.get(field_name, f"{field_name.upper()}_")
        members = [re.sub(r"\W", "_", f"{prefix}{value}").upper() for value in values]
        if len(set(members)) == len(members):
            schema["x-enum-varnames"] = members
    return schema


def reference(name: str) -> Part:
    """Return a reference to the schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Part) -> Part:
    """Return the schema with null among its values."""
    if "$ref" in schema:
        return {"oneOf": [schema, NULL]}
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": [*kinds, "null"]}


def json_type(field: RequestField) -> str:
    """Return JSON Schema's name for the type of the field's values."""
    if field.is_enum:
        return "integer" if isinstance(field.row.enum[0], int) else "string"
    return "string" if field.is_image else str(field.row.type)


def plain(fields: Sequence[RequestField]) -> Part:
    """Return the least schema of all values that any of these fields takes, for fields of any type."""
    if all(field.is_image for field in fields):
        return {"type": "string", "format": "image", "pattern": r"\S"}
    kinds = sorted({json_type(field) for field in fields})
    if "number" in kinds:
        kinds = [kind for kind in kinds if kind != "integer"]
    schema: Part = {"type": kinds if len(kinds) > 1 else kinds[0]}
    if bounds := [bound for field in fields for bound in _bounds(field)]:
        schema |= {"minimum": min(bounds), "maximum": max(bounds)}
    texts = [field for field in fields if json_type(field) == "string"]
    if texts:
        schema |= {"pattern": NO_NUL, "maxLength": max(_longest(field) for field in texts)}
    if texts and all(field.is_required and not field.is_enum for field in texts):
        schema["minLength"] = 1
    return schema


def _bounds(field: RequestField) -> Iterable[int | float]:
    """Return the least and the largest number of a field of numbers; nothing of any other."""
    if field.is_enum:
        return [value for value in field.row.enum if isinstance(value, int)]
    return [bound for bound in (field.minimum, field.row.max) if bound is not None]


def _longest(field: RequestField) -> int:
    return max(len(str(value)) for value in field.row.enum) if field.is_enum else field.max_length


def takes(model: VideoModel, field: RequestField) -> str:
    """Return the values that a field takes, as a few words; an empty text if its type and its help say all."""
    row = field.row
    match row.type:
        case "enum":
            return alternatives([f"`{value}`" for value in row.enum])
        case "integer" | "number":
            return f"{field.minimum:g} to {row.max:g}" if row.type == "number" else f"{field.minimum} to {row.max}"
        case "image" if field.name == "image" and model.image_rules:  # a last image has the same rules
            return model.image_rules.describe()
        case "string" if str(field.max_length) not in row.help:
            return f"at most {field.max_length} characters"
    return ""


def alternatives(names: Sequence[str]) -> str:
    """Return names as text: "a, b or c"."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def default(value: Any) -> str:
    """Return a default as text; an empty text for a default that says as much as none."""
    return "" if value in (None, "") else f"`{str(value).lower() if isinstance(value, bool) else value}`"
