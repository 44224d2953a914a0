"""The pages of models as callers read them. Their bytes are made once while settings and states stay."""

from collections.abc import Iterable, Mapping
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
from generations.outbound import addresses, url_patterns
from generations.single_line import PATTERN as SINGLE_LINE
from tenants import amounts
from tenants.api import documents
from tenants.api.base import JSON
from tenants.api.documents import Document

END = r"(?![\s\S])"  # of a text. Python's `$` fits before a line break at the end too
MAX_PAGES, MAX_LISTS = 1000, 200  # cached; a list of 14 models has 25 kB, and each set of allowed models its own lists

Shown = tuple[str, ModelStatus]  # a model's id, and its state


def page(model: VideoModel) -> Document:
    """Return the document about one model."""
    return _page((model.id, states.of(model)), _made_from())


def page_of_many(listed: Iterable[Shown]) -> Document:
    """Return the document that lists these models in these states."""
    return _list(tuple(listed), _made_from())


def _made_from() -> tuple[str, ...]:
    """Return the settings that the bytes depend on, beside the models' states."""
    return settings.CATALOG_DIR, settings.PRICES, *addresses.for_callers()


@lru_cache(MAX_PAGES)
def _page(shown: Shown, made_from: tuple[str, ...]) -> Document:
    return documents.of(msgspec.json.encode(_render(*shown)), JSON)


@lru_cache(MAX_LISTS)
def _list(shown: tuple[Shown, ...], made_from: tuple[str, ...]) -> Document:
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
        "schema": json_schema.create_body(model, common_fields()),
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


def common_fields() -> Mapping[str, dict[str, Any]]:
    """Return the schemas of the fields that the creates of all models have, besides `model`."""
    fields: dict[str, Any] = dict(NativeCreate().fields)
    name, url = (fields[name] for name in ("external_id", "webhook_url"))
    single_line = f"{SINGLE_LINE.removesuffix('$')}{END}"
    callers_url = f"^{url_patterns.of_callers(addresses.for_callers())}{END}"
    metadata = {**Metadata.OBJECT, "propertyNames": {**Metadata.OBJECT["propertyNames"], "pattern": single_line}}
    schemas = {
        "external_id": {"type": ["string", "null"], "maxLength": name.max_length, "pattern": single_line},
        "metadata": {**metadata, "type": ["object", "null"]},
        "webhook_url": {"type": ["string", "null"], "maxLength": url.max_length, "pattern": callers_url},
    }
    return {name: {**schema, "description": str(fields[name].help_text)} for name, schema in schemas.items()}
