"""The pages of models as callers read them. Their bytes are made once for each catalogue, state and price list."""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec
from django.conf import settings

from generations.api.fields import Metadata
from generations.api.request_bodies import NativeCreate
from generations.catalog import json_schema, prices, states, video_models
from generations.catalog.states import ModelStatus
from generations.catalog.video_models import VideoModel
from tenants import amounts
from tenants.api import documents
from tenants.api.base import JSON
from tenants.api.documents import Document

MAX_CACHED = 1000  # documents: a page for each model, and a list for each set of models that keys may use

Shown = tuple[str, ModelStatus]  # a model's id, and its state


def page(model: VideoModel) -> Document:
    """Return the document about one model."""
    return _page(_shown(model), settings.CATALOG_DIR, settings.PRICES)


def page_of_many(models: list[VideoModel]) -> Document:
    """Return the document that lists these models."""
    return _list(tuple(map(_shown, models)), settings.CATALOG_DIR, settings.PRICES)


def _shown(model: VideoModel) -> Shown:
    return model.id, states.of(model)


# The last two arguments say which catalogue and which prices the bytes are made from.
@lru_cache(MAX_CACHED)
def _page(shown: Shown, catalog_dir: str, price_table: str) -> Document:
    return documents.of(msgspec.json.encode(_render(*shown)), JSON)


@lru_cache(MAX_CACHED)
def _list(shown: tuple[Shown, ...], catalog_dir: str, price_table: str) -> Document:
    return documents.of(msgspec.json.encode({"models": [_render(*one) for one in shown]}), JSON)


def _render(model_id: str, status: ModelStatus) -> dict[str, Any]:
    """Return the page of a model as an object of the answer."""
    model = video_models.models()[model_id]
    return {
        "id": model.id,
        "title": model.row.title,
        "task": model.row.task,
        "state": status.state.value,
        "replacement": status.replacement,
        "retires_at": _day(status.retires_at),
        "announced_at": _day(status.announced_at),
        "supported_resolutions": model.supported("resolution"),
        "supported_aspect_ratios": model.supported("aspect_ratio"),
        "supported_durations": model.supported("duration"),
        "seed": model.has_seed,
        "audio": model.can_have_sound,
        "image": _image_rules(model),
        "prices": _prices(model),
        "settle": model.row.settle,
        "schema": json_schema.create_body(model, _common_fields()),
        "unknown": model.row.unknown,
    }


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _image_rules(model: VideoModel) -> dict[str, Any] | None:
    """Return the rules for images, without how an image goes upstream."""
    if model.row.image is None:
        return None
    return {name: value for name, value in msgspec.structs.asdict(model.row.image).items() if name != "encoding"}


def _prices(model: VideoModel) -> list[dict[str, Any]]:
    """Return the prices of a model; the first that fits a request counts."""
    listed = prices.of(model)
    names = ("resolution", "aspect_ratio", "duration")
    rates = [(dict(zip(names, cell, strict=True)), "video", micro) for cell, micro in listed.cells.items()]
    rates += [(dict(rate.when), prices.UNITS[model.row.price.kind], rate.micro) for rate in listed.rates]
    return [{"when": when, "unit": unit, "usd": amounts.format_usd(micro)} for when, unit, micro in rates]


def _common_fields() -> Mapping[str, dict[str, Any]]:
    """Return the schemas of the fields that the creates of all models have, besides `model`."""
    fields = NativeCreate().fields
    texts: dict[str, Any] = {name: fields[name] for name in ("external_id", "webhook_url")}
    schemas = {
        name: {"type": ["string", "null"], "maxLength": field.max_length, **field.json_schema}
        for name, field in texts.items()
    }
    schemas["metadata"] = {**Metadata.OBJECT, "type": ["object", "null"]}
    return {name: {**schema, "description": str(fields[name].help_text)} for name, schema in schemas.items()}
