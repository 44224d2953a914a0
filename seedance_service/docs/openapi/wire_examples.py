"""The examples of Novita's submits: for each model a body with the required fields, and one with every field."""

from typing import Any

from generations.api import novita_names
from generations.catalog import request_check, video_models, wire_body
from generations.catalog.request_check import BadRequest
from generations.catalog.request_fields import SEED, RequestField
from generations.catalog.video_models import VideoModel
from seedance_service.docs.openapi import examples

ACCEPTED = {"200": {"accepted": {"task_id": examples.ID}}}
TEXTS = {"prompt": examples.PLAIN["prompt"], "negative_prompt": "blurred, text"}


def bodies() -> dict[str, dict[str, Any]]:
    """Return the examples of the bodies of all submits, by operation and name."""
    return {novita_names.operation_id(model): _bodies(model) for model in video_models.by_route().values()}


def answers() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the examples of the answers of all submits, by operation, status and name."""
    return {novita_names.operation_id(model): ACCEPTED for model in video_models.by_route().values()}


def _bodies(model: VideoModel) -> dict[str, Any]:
    """Return the examples that the model takes: its rules may forbid some fields beside others."""
    every = {name: _value(model, field) for name, field in model.fields.items()}
    required = {name: value for name, value in every.items() if model.fields[name].is_required}
    bodies: dict[str, Any] = {}
    for title, values in {"the required fields": required, "every field": every}.items():
        try:
            filled = request_check.check(model, values)
        except BadRequest:
            continue
        of_two = {name: filled[name] for derived in model.row.derived for name in derived.from_}
        bodies[title] = wire_body.build(model, of_two | values, str)
    if "every field" in bodies:
        bodies["every field"] |= {"extra": {"webhook": {"url": examples.WEBHOOK_URL}}}
    return bodies


def _value(model: VideoModel, field: RequestField) -> Any:
    """Return a value of the field."""
    if field.is_image:
        return examples.URL
    if field.name == SEED:
        return examples.PLAIN[SEED]
    if model.row.sound == f"flag:{field.name}":
        return True
    if field.row.default not in (None, ""):
        return field.row.default
    if field.row.type == "string":
        return TEXTS.get(field.name, "text")
    return True if field.row.type == "boolean" else (*field.values, field.row.min)[0]
