"""A name for each enum and each object of the document, so that a generated client has one type for each.

The names for models' fields are in model_fields.py and wire_bodies.py. Another enum without a name here stops the
making of the document.
"""

from collections.abc import Iterable
from typing import Any

from generations.api import fields, model_schemas, novita_names
from generations.api.request_bodies import MAX_URL_CHARS, WEBHOOK_URL
from generations.catalog import prices, video_models
from generations.models import Delivery, DeliveryAttempt, Generation, ModelState
from generations.reports import usage
from generations.webhooks import novita_payload, outbox
from seedance_service.docs.openapi import field_schemas, model_fields
from seedance_service.docs.openapi.wire_bodies import WireBody
from tenants.limits.windows import Kind

Part = dict[str, Any]  # of the document

ENUMS: dict[str, Iterable[str | int]] = {
    "AttemptOutcome": DeliveryAttempt.Outcome.values,
    "DeliveryStatus": Delivery.Status.values,
    "EventType": outbox.EVENT_TYPES,
    "GenerationStatus": Generation.Status.values,
    "LimitName": Kind.values,
    "LimitScope": ("tenant", "key"),
    "ModelSettle": model_schemas.SETTLES,
    "ModelState": ModelState.State.values,
    "ModelTask": model_schemas.TASKS,
    "NovitaTaskStatus": sorted(set(novita_payload.NOVITA_STATUS.values())),
    "NovitaTaskType": novita_payload.TASK_TYPES,
    "NovitaVideoType": ("mp4",),
    "PriceUnit": tuple(prices.UNITS.values()),
    "SeedSource": Generation.SeedSource.values,
    "UsageFormat": ("json", "csv"),
    "UsageGroup": usage.GROUPS,
}
NAMES = {tuple(values): name for name, values in ENUMS.items()}

OBJECTS: dict[str, Part] = {
    "JsonSchema": {
        "type": "object",
        "additionalProperties": {},
        "description": "A JSON Schema, draft 2020-12.",
    },
    "Metadata": fields.Metadata.OBJECT,
    # Any value is taken. Without a `type` that stays true, and generators still see an object.
    "NovitaCreateExtra": {
        "properties": {"webhook": {"oneOf": [{"$ref": "#/components/schemas/NovitaCreateWebhook"}, {"type": "null"}]}}
    },
    "NovitaCreateWebhook": {
        "type": "object",
        "required": ["url"],
        "properties": {"url": {"type": ["string", "null"], "maxLength": MAX_URL_CHARS, **WEBHOOK_URL.json_schema}},
    },
    "PriceCondition": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
    "WebhookPayload": {
        "type": "object",
        "additionalProperties": {},
        "description": "The body of a delivery, as it is sent.",
    },
}


def schemas() -> dict[str, Part]:
    """Return the schemas of all names in this module."""
    enums = {name: field_schemas.enum(name, list(values)) for name, values in ENUMS.items()}
    wires = [WireBody(model).named for model in video_models.by_route().values() if novita_names.is_documented(model)]
    return {
        **enums,
        **OBJECTS,
        **model_fields.enums(),
        **{name: part for named in wires for name, part in named.items()},
    }


def replace_enums(part: Any) -> Any:
    """Return the part of the document with a reference in the place of each enum. Raise KeyError without a name."""
    if isinstance(part, list):
        return [replace_enums(item) for item in part]
    if not isinstance(part, dict):
        return part
    if isinstance(part.get("enum"), list):
        return _reference(part)
    return {name: replace_enums(value) for name, value in part.items()}


def _reference(schema: Part) -> Part:
    """Return a reference to the named enum, with null beside the reference if the schema allows null."""
    values = [value for value in schema["enum"] if value is not None]
    reference = {"$ref": f"#/components/schemas/{NAMES[tuple(values)]}"}
    is_nullable = None in schema["enum"]
    rest: Part = {name: schema[name] for name in ("description", "default") if name in schema}
    return {"oneOf": [reference, {"type": "null"}], **rest} if is_nullable else {**reference, **rest}
