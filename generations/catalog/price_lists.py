"""The price lists of the models: one for each account that offers a model, from the models' files and from PRICES.

    {"seedance-v1-lite-i2v": {"usd_per_million_tokens": "2.1", "usd": {"1080p": {"16:9": {"5": "0.40"}}}},
     "kling-v3.0-std-i2v": {"rates": [{"when": {"audio": true}, "usd": "0.13"}, {"usd": "0.09"}]},
     "seedance-2-0": {"accounts": {"novita": {"usd_per_million_tokens": "7.35"}}}}

Amounts are texts, which no binary fraction can falsify. An entry of a model replaces the rates of its file, those of
its offers too. At an account, an entry of that account stands in the place of the model's. The table is read at the
start.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
from django.core.exceptions import ImproperlyConfigured

from generations.catalog import price_checks, video_models
from generations.catalog.model_file import RateRow
from generations.catalog.offers import Offer
from generations.catalog.video_models import VideoModel
from tenants import amounts

Cell = tuple[str, str, int]  # resolution, ratio, seconds
At = tuple[str, str]  # an account, and the wire by which it is reached


@dataclass(frozen=True)
class Rate:
    """A price for requests whose priced fields have the values of `when`."""

    when: Mapping[str, Any]
    micro: int  # micro-USD per million tokens, per second or per video


@dataclass(frozen=True)
class PriceList:
    """The prices of one model at an account. The first rate that applies is the price, unless a cell has the video."""

    rates: tuple[Rate, ...]
    cells: Mapping[Cell, int] = field(default_factory=dict)  # micro-USD of single videos

    def rate_micro(self, values: Mapping[str, Any]) -> int | None:
        """Return the rate of a request in micro-USD; None if no rate applies."""
        fitting = (rate.micro for rate in self.rates if all(values.get(n) == v for n, v in rate.when.items()))
        return next(fitting, None)


class Prices(msgspec.Struct, forbid_unknown_fields=True):
    """The entry of one model at one account."""

    usd_per_million_tokens: str | msgspec.UnsetType = msgspec.UNSET
    rates: tuple[RateRow, ...] | msgspec.UnsetType = msgspec.UNSET
    usd: dict[str, dict[str, dict[int, str]]] = {}  # by resolution, ratio and seconds


class ModelPrices(Prices, forbid_unknown_fields=True):
    """The entry of one model in the table."""

    accounts: dict[str, Prices] = {}  # instead of the entry, at these accounts


@cache
def read(text: str, catalog_dir: str) -> Mapping[str, Mapping[At, PriceList]]:
    """Return the price lists of each model by account, as files or the table have them. Raise ImproperlyConfigured."""
    try:
        table = msgspec.json.decode(text, type=dict[str, ModelPrices]) if text else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise ImproperlyConfigured(f"PRICES is not a JSON object of models: {error}") from error
    models = video_models.load(catalog_dir)
    for name, entry in table.items():
        if name not in models:
            raise ImproperlyConfigured(f"PRICES[{name!r}]: there is no such model.")
        if unknown := entry.accounts.keys() - {offer.account for offer in models[name].offers}:
            raise ImproperlyConfigured(f"PRICES[{name!r}]: {name} is not offered by {', '.join(sorted(unknown))}.")
    return {
        name: {(offer.account, offer.wire): _list(model, offer, table.get(name)) for offer in model.offers}
        for name, model in models.items()
    }


def _list(model: VideoModel, offer: Offer, entry: ModelPrices | None) -> PriceList:
    """Return the price list of one offer. Raise ImproperlyConfigured."""
    rates = (offer.price or model.row.price).rates
    prices = entry.accounts.get(offer.account, entry) if entry else None
    if prices is None:
        return PriceList(_rates(rates))
    own = _own_rates(model, prices)
    return PriceList(_rates(rates if own is None else own), dict(_cells(model, prices)))


def _own_rates(model: VideoModel, prices: Prices) -> tuple[RateRow, ...] | None:
    """Return the rates of an entry; None where it has none. Raise ImproperlyConfigured."""
    if prices.rates is not msgspec.UNSET:
        rates = prices.rates
    elif prices.usd_per_million_tokens is not msgspec.UNSET:
        rates = (RateRow(usd_per_million=prices.usd_per_million_tokens),)
    else:
        return None
    for mistake in price_checks.check(model.row, rates):
        raise ImproperlyConfigured(f"PRICES[{model.id!r}]: {mistake}")
    return rates


def _rates(rows: tuple[RateRow, ...]) -> tuple[Rate, ...]:
    return tuple(Rate(row.when, _micro("rates", row.usd_per_million or row.usd or "")) for row in rows)


def _cells(model: VideoModel, prices: Prices) -> Iterator[tuple[Cell, int]]:
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
