"""The models' fields in the schemas under /v1/: a body takes the union of all models' fields, and answers show it.

The schema of a body takes every body that any model takes. The exact schema of one model's body is at the model's
page.
"""

from collections.abc import Mapping, Sequence

from generations.catalog import video_models
from generations.catalog.request_fields import SEED, RequestField
from generations.catalog.video_models import VideoModel
from seedance_service.docs.openapi import field_schemas
from seedance_service.docs.openapi.field_schemas import Part

Takers = Mapping[str, RequestField]  # by the model's id


def models() -> list[VideoModel]:
    """Return every model, the default one first."""
    default = video_models.default()
    return [default, *(model for model in video_models.models().values() if model is not default)]


def takers() -> dict[str, dict[str, RequestField]]:
    """Return for each name of a field the models that take the field."""
    by_name: dict[str, dict[str, RequestField]] = {}
    for model in models():
        for name, field in model.fields.items():
            by_name.setdefault(name, {})[model.id] = field
    return by_name


def enums() -> dict[str, Part]:
    """Return the schemas of all enums of fields, and of the models' ids, by name."""
    found = {
        field_schemas.enum_name(name): field_schemas.enum(name, values)
        for name, fields in takers().items()
        if (values := _values(list(fields.values())))
    }
    return {**found, "VideoModel": {"type": "string", "enum": [model.id for model in models()]}}


def _values(fields: Sequence[RequestField]) -> list[str | int]:
    """Return all values that the fields take, if they are few, of one type, and listed by some model."""
    values = dict.fromkeys(value for field in fields for value in field.values)
    is_listed = any(field.is_enum for field in fields) and all(field.values for field in fields)
    if not is_listed or len({type(value) for value in values}) > 1:
        return []
    return sorted(values) if all(isinstance(value, int) for value in values) else list(values)


def create_properties() -> dict[str, Part]:
    """Return the properties of a create's body: the fields of all models, and `model`."""
    properties = {}
    for name, fields in takers().items():
        is_always_required = all(field.is_required for field in fields.values())
        schema = _schema(name, fields) if is_always_required else field_schemas.nullable(_schema(name, fields))
        properties[name] = {**schema, "description": _describe(fields)}
    named = field_schemas.nullable(field_schemas.reference("VideoModel"))
    return {
        **properties,
        "model": {**named, "description": f"{_describe_model()} Default: `{video_models.default()}`."},
    }


def required() -> list[str]:
    """Return the fields that every model requires."""
    return [
        name
        for name, fields in takers().items()
        if len(fields) == len(models()) and all(field.is_required for field in fields.values())
    ]


def rerun_properties() -> dict[str, Part]:
    """Return the properties of a rerun's body. Null, as a field that is not given, repeats the source's value."""
    properties = {
        name: {**field_schemas.nullable(_schema(name, fields)), "description": _describe(fields, is_rerun=True)}
        for name, fields in takers().items()
    }
    if SEED in properties:
        properties[SEED]["description"] += " In a rerun, the source's seed is used without one; -1 draws another."
    named = field_schemas.nullable(field_schemas.reference("VideoModel"))
    return {**properties, "model": {**named, "description": f"{_describe_model()} Default: the source's model."}}


def answer_properties(columns: Mapping[str, Part]) -> dict[str, Part]:
    """Return the properties of a generation for fields that have no column: there if the generation has a value.

    The values are those of any release, whatever the catalogue takes at present.
    """
    return {
        name: {
            "type": _answer_type(list(fields.values())),
            "description": f"{_shared_help(fields)} Only of {_names(fields)}.".strip(),
        }
        for name, fields in takers().items()
        if name not in columns
    }


def _answer_type(fields: Sequence[RequestField]) -> str | list[str]:
    kind: str | list[str] = field_schemas.plain(fields)["type"]
    return kind


def _schema(name: str, fields: Takers) -> Part:
    """Return the schema of the values that any model takes."""
    listed = list(fields.values())
    return field_schemas.reference(field_schemas.enum_name(name)) if _values(listed) else field_schemas.plain(listed)


def _describe_model() -> str:
    retired = [f"`{model.id}`" for model in models() if model.row.state == "retired"]
    text = "The model decides which fields are taken: `GET /v1/models/ID` has the exact schema of its body."
    return f"{text} Retired: {', '.join(retired)}." if retired else text


def _describe(fields: Takers, *, is_rerun: bool = False) -> str:
    """Return which models take a field, and what each takes. Models that take the same share a sentence."""
    shared, groups = _shared_help(fields), dict[str, dict[str, RequestField]]()
    for model_id, field in fields.items():
        facts = _facts(video_models.models()[model_id], field, is_rerun=is_rerun)
        text = facts if shared else f"{facts}. {field.row.help}".strip(". ")
        groups.setdefault(text, {})[model_id] = field
    sentences = [f"{_names(group)}{': ' if text else ''}{text.rstrip('.')}." for text, group in groups.items()]
    return " ".join(filter(None, [shared, *sentences])).replace(" .", ".")


def _facts(model: VideoModel, field: RequestField, *, is_rerun: bool) -> str:
    """Return what a model's field takes, and whether it is required, as a few words."""
    parts = [field_schemas.takes(model, field)]
    if not is_rerun:
        default = field_schemas.default(field.default)
        parts += ["required" if field.is_required else "", f"default {default}" if default else ""]
    return ", ".join(filter(None, parts))


def _shared_help(fields: Takers) -> str:
    """Return the help that all models' fields share; an empty text if they differ."""
    helps = {field.row.help for field in fields.values()}
    return helps.pop() if len(helps) == 1 else ""


def _names(fields: Takers) -> str:
    return "Every model" if len(fields) == len(models()) else ", ".join(f"`{model_id}`" for model_id in fields)
