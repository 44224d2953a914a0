"""The price of a generation: the model maker's formula, or the price in the table of PRICES (as a file: PRICES_FILE).

    {"seedance-v1-lite-i2v": {"usd_per_million_tokens": "2.1", "usd": {"1080p": {"16:9": {"5": "0.40"}}}}}

Amounts are texts, which no binary fraction can falsify. The table is read at the start. A price that was promised is
stored with its generation and does not change.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from generations.catalog import video_models
from tenants import amounts

Cell = tuple[str, str, str, int]  # model, resolution, ratio, seconds


def price_micro(model: video_models.Model, resolution: str, ratio: str, duration: int) -> int:
    """Return the price of a success in micro-USD, which is the worst case."""
    models, cells = read_table(settings.PRICES)
    cell = cells.get((model.name, resolution, ratio, duration))
    return models[model.name].price_micro(resolution, ratio, duration) if cell is None else cell


class ModelPrices(msgspec.Struct, forbid_unknown_fields=True):
    """The entry of one model in the table."""

    usd_per_million_tokens: str | msgspec.UnsetType = msgspec.UNSET
    usd: dict[str, dict[str, dict[int, str]]] = {}  # by resolution, ratio and seconds


@cache
def read_table(text: str) -> tuple[dict[str, video_models.Model], dict[Cell, int]]:
    """Return the models with their rates, and the single prices. Raise ImproperlyConfigured with the first mistake."""
    try:
        table = msgspec.json.decode(text, type=dict[str, ModelPrices]) if text else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise ImproperlyConfigured(f"PRICES is not a JSON object of models: {error}") from error
    models, cells = dict(video_models.MODELS), dict[Cell, int]()
    for name, prices in table.items():
        if name not in models:
            raise ImproperlyConfigured(f"PRICES[{name!r}]: there is no such model.")
        if prices.usd_per_million_tokens is not msgspec.UNSET:
            rate = _micro(name, prices.usd_per_million_tokens)
            models[name] = replace(models[name], usd_per_million_tokens_micro=rate)
        cells.update(_cells(models[name], prices))
    return models, cells


def _cells(model: video_models.Model, prices: ModelPrices) -> Iterator[tuple[Cell, int]]:
    """Yield each single price of a model, in micro-USD."""
    for resolution, ratios in prices.usd.items():
        for ratio, durations in ratios.items():
            for seconds, amount in durations.items():
                if (resolution, ratio) not in model.pixels or seconds not in model.durations:
                    raise ImproperlyConfigured(f"PRICES: {model.name} makes no {resolution} {ratio} of {seconds} s.")
                yield (model.name, resolution, ratio, seconds), _micro(model.name, amount)


def _micro(name: str, amount: str) -> int:
    """Return an amount of the table in micro-USD."""
    micro = amounts.parse_usd(amount, 2**40 - 1) if len(amount) <= 20 else None  # a longer text would be rounded
    if micro is None or micro < 0:
        raise ImproperlyConfigured(f"PRICES[{name!r}]: {amount!r} is not a text of USD with at most six decimals.")
    return micro
