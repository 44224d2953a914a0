"""What a generation costs: the model maker's formula, or what the table in PRICES (a file: PRICES_FILE) says instead.

    {"seedance-v1-lite-i2v": {"usd_per_million_tokens": "2.1", "usd": {"1080p": {"16:9": {"5": "0.40"}}}}}

Amounts are texts, so that no binary fraction creeps in. It is read at the start: a price that was promised is on its
row and does not change.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from generations import catalog
from tenants import amounts

Cell = tuple[str, str, str, int]  # model, resolution, ratio, seconds


def price_micro(model: catalog.Model, resolution: str, ratio: str, duration: int) -> int:
    """The worst case in micro-USD, a success's price."""
    models, cells = _table(settings.PRICES)
    cell = cells.get((model.name, resolution, ratio, duration))
    return models[model.name].price_micro(resolution, ratio, duration) if cell is None else cell


def check() -> None:
    """Raises ImproperlyConfigured, with what is wrong with the table."""
    _table(settings.PRICES)


@cache
def _table(text: str) -> tuple[dict[str, catalog.Model], dict[Cell, int]]:
    try:
        table = msgspec.json.decode(text.encode(), type=dict[str, dict[str, Any]]) if text else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise ImproperlyConfigured(f"PRICES is not a JSON object of models: {error}") from error
    models, cells = dict(catalog.MODELS), dict[Cell, int]()
    for name, wanted in table.items():
        if name not in models or set(wanted) - {"usd_per_million_tokens", "usd"}:
            raise ImproperlyConfigured(
                f"PRICES[{name!r}]: a model's name, and usd_per_million_tokens or usd, is wanted."
            )
        if "usd_per_million_tokens" in wanted:
            rate = _micro(name, wanted["usd_per_million_tokens"])
            models[name] = replace(models[name], usd_per_million_tokens_micro=rate)
        cells.update(_cells(models[name], wanted.get("usd", {})))
    return models, cells


def _cells(model: catalog.Model, table: Any) -> Iterator[tuple[Cell, int]]:
    for resolution, ratios in _items(model, table):
        for ratio, durations in _items(model, ratios):
            for duration, amount in _items(model, durations):
                seconds = int(duration) if duration.isascii() and duration.isdecimal() else 0
                if (resolution, ratio) not in model.pixels or seconds not in model.durations:
                    raise ImproperlyConfigured(f"PRICES: {model.name} makes no {resolution} {ratio} of {duration} s.")
                yield (model.name, resolution, ratio, seconds), _micro(model.name, amount)


def _items(model: catalog.Model, table: Any) -> list[tuple[str, Any]]:
    if not isinstance(table, Mapping):
        raise ImproperlyConfigured(f"PRICES[{model.name!r}]['usd'] is wanted as resolution, ratio, seconds, amount.")
    return list(table.items())


def _micro(name: str, amount: Any) -> int:
    is_text = isinstance(amount, str) and len(amount) <= 20  # a longer one would be rounded
    micro = amounts.micro_usd(amount, 2**40 - 1) if is_text else None
    if micro is None or micro < 0:
        raise ImproperlyConfigured(f"PRICES[{name!r}]: {amount!r} is not a text of USD with at most six decimals.")
    return micro
