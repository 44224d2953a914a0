"""The price of a generation: the rates of its model's row, or those in the table of PRICES (as a file: PRICES_FILE).

    {"seedance-v1-lite-i2v": {"usd_per_million_tokens": "2.1", "usd": {"1080p": {"16:9": {"5": "0.40"}}}},
     "kling-v3.0-std-i2v": {"rates": [{"when": {"audio": true}, "usd": "0.13"}, {"usd": "0.09"}]}}

Amounts are texts, which no binary fraction can falsify. The table is read at the start. A price that was promised is
stored with its generation and does not change.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from generations import errors
from generations.catalog import price_checks, video_models
from generations.catalog.model_file import RateRow
from generations.catalog.video_models import VideoModel
from tenants import amounts

Cell = tuple[str, str, int]  # resolution, ratio, seconds
MICRO_PER_USD = amounts.MICRO_PER_USD
UNITS = {"per_token": "million_tokens", "per_second": "second", "per_video": "video"}  # of a rate


@dataclass(frozen=True)
class Rate:
    """A price for requests whose priced fields have the values of `when`."""

    when: Mapping[str, Any]
    micro: int  # micro-USD per million tokens, per second or per video


@dataclass(frozen=True)
class PriceList:
    """The prices of one model. The first rate that applies is the price, unless the video has a price of its own."""

    rates: tuple[Rate, ...]
    cells: Mapping[Cell, int] = field(default_factory=dict)  # micro-USD of single videos


def price_micro(model: VideoModel, values: Mapping[str, Any]) -> int:
    """Return the dearest that a request with these values can come to, in micro-USD, rounded up. Raise PriceUnknown."""
    cells = of(model).cells
    if _cell(values) in cells:
        return cells[_cell(values)]
    rate = rate_micro(model, values)
    match model.row.price.kind:
        case "per_token":
            # A token is 1024 pixels of a frame.
            return -(-_pixels(model, values) * rate // (1024 * MICRO_PER_USD))
        case "per_second":
            return rate * int(values["duration"])
    return rate


def _cell(values: Mapping[str, Any]) -> Cell:
    """Return which video a request is for, as the single prices of PRICES name it."""
    return values.get("resolution") or "", values.get("aspect_ratio") or "", values["duration"]


def _pixels(model: VideoModel, values: Mapping[str, Any]) -> int:
    """Return the pixels of all frames of the largest video that a request can have. Raise PriceUnknown."""
    sizes, frames = model.sizes(values), model.frames(values["duration"])
    if not sizes or frames is None:
        raise errors.PriceUnknown(model=model.id)
    return max(width * height for width, height in sizes) * frames


def columns(model: VideoModel, values: Mapping[str, Any], *, test: bool) -> dict[str, int | None]:
    """Return the price of a new generation by the names of its columns. Test generations are free. Raise PriceUnknown.

    `rate_micro` is None where the price does not depend on what the upstream reports: PRICES may have a price for that
    very video.
    """
    by_usage = model.row.settle == "usage" and _cell(values) not in of(model).cells
    if test:
        return {"price_micro": 0, "rate_micro": 0 if by_usage else None}
    return {"price_micro": price_micro(model, values), "rate_micro": rate_micro(model, values) if by_usage else None}


def usage_micro(rate: int, tokens: int) -> int:
    """Return the price of so many tokens in micro-USD, rounded up. `rate` is in micro-USD per million tokens."""
    return -(-tokens * rate // MICRO_PER_USD)


def rate_micro(model: VideoModel, values: Mapping[str, Any]) -> int:
    """Return the rate of a request in micro-USD: per million tokens, per second or per video. Raise PriceUnknown."""
    for rate in of(model).rates:
        if all(values.get(name) == value for name, value in rate.when.items()):
            return rate.micro
    raise errors.PriceUnknown(model=model.id)


def is_unknown(model: VideoModel) -> bool:
    """Return whether no request for the model has a price, so that every create is refused."""
    prices, row = of(model), model.row
    has_rate = prices.rates and (row.price.kind != "per_token" or (row.pixels and row.fps))
    return not (has_rate or prices.cells)


def of(model: VideoModel) -> PriceList:
    """Return the prices of a model, as PRICES has them where it names the model."""
    return read_table(settings.PRICES, settings.CATALOG_DIR)[model.id]


class ModelPrices(msgspec.Struct, forbid_unknown_fields=True):
    """The entry of one model in the table."""

    usd_per_million_tokens: str | msgspec.UnsetType = msgspec.UNSET
    rates: tuple[RateRow, ...] | msgspec.UnsetType = msgspec.UNSET
    usd: dict[str, dict[str, dict[int, str]]] = {}  # by resolution, ratio and seconds


@cache
def read_table(text: str, catalog_dir: str) -> Mapping[str, PriceList]:
    """Return the price list of each model: the row's, or the table's. Raise ImproperlyConfigured."""
    try:
        table = msgspec.json.decode(text, type=dict[str, ModelPrices]) if text else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise ImproperlyConfigured(f"PRICES is not a JSON object of models: {error}") from error
    models = video_models.load(catalog_dir)
    lists = {name: PriceList(_rates(model.row.price.rates)) for name, model in models.items()}
    for name, prices in table.items():
        if name not in models:
            raise ImproperlyConfigured(f"PRICES[{name!r}]: there is no such model.")
        lists[name] = PriceList(_rates(_rate_rows(models[name], prices)), dict(_cells(models[name], prices)))
    return lists


def _rate_rows(model: VideoModel, prices: ModelPrices) -> tuple[RateRow, ...]:
    """Return the rates of an entry, or the row's where it has none. Raise ImproperlyConfigured."""
    rates = model.row.price.rates
    if prices.rates is not msgspec.UNSET:
        rates = prices.rates
    elif prices.usd_per_million_tokens is not msgspec.UNSET:
        rates = (RateRow(usd_per_million=prices.usd_per_million_tokens),)
    for mistake in price_checks.check(model.row, rates):
        raise ImproperlyConfigured(f"PRICES[{model.id!r}]: {mistake}")
    return rates


def _rates(rows: tuple[RateRow, ...]) -> tuple[Rate, ...]:
    return tuple(Rate(row.when, _micro("rates", row.usd_per_million or row.usd or "")) for row in rows)


def _cells(model: VideoModel, prices: ModelPrices) -> Iterator[tuple[Cell, int]]:
    """Yield each single price of a model, in micro-USD."""
    for resolution, ratios in prices.usd.items():
        for ratio, durations in ratios.items():
            for seconds, amount in durations.items():
                names = {"resolution": resolution, "aspect_ratio": ratio, "duration": seconds}
                if any(value not in model.supported(name) for name, value in names.items()):
                    raise ImproperlyConfigured(f"PRICES: {model} makes no {resolution} {ratio} of {seconds} s.")
                yield (resolution, ratio, seconds), _micro(model.id, amount)


def _micro(name: str, amount: str) -> int:
    """Return an amount of the table in micro-USD."""
    micro = amounts.parse_usd(amount, 2**40 - 1) if len(amount) <= 20 else None  # a longer text would be rounded
    if micro is None or micro < 0:
        raise ImproperlyConfigured(f"PRICES[{name!r}]: {amount!r} is not a text of USD with at most six decimals.")
    return micro
