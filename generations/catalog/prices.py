"""The price of a generation: the dearest over the accounts that offer its model, and what the chosen account costs.

The price that was promised is stored with the generation and does not change. `price_lists` has the rates.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings

from generations import errors
from generations.catalog import price_checks, price_lists
from generations.catalog.offers import Offer
from generations.catalog.price_lists import At, Cell, PriceList, Rate
from generations.catalog.video_models import VideoModel
from tenants import amounts

MICRO_PER_USD = amounts.MICRO_PER_USD
UNITS = {"per_token": "million_tokens", "per_second": "second", "per_video": "video"}  # of a rate


def price_micro(model: VideoModel, values: Mapping[str, Any]) -> int:
    """Return the dearest that a request with these values can come to, in micro-USD, rounded up. Raise PriceUnknown."""
    quotes = [_quote(model, values, prices) for prices in _lists(model).values()]
    return _dearest(model, quotes)


def rate_micro(model: VideoModel, values: Mapping[str, Any]) -> int:
    """Return the dearest rate of a request in micro-USD: per million tokens, second or video. Raise PriceUnknown."""
    return _dearest(model, [prices.rate_micro(values) for prices in _lists(model).values()])


def offer_quote_micro(model: VideoModel, values: Mapping[str, Any], offer: Offer) -> int | None:
    """Return the dearest that a request can come to at an account, in micro-USD, rounded up.

    Return None where no price is known there, as for the sandbox, which costs nothing.
    """
    prices = _lists(model).get((offer.account, offer.wire))
    return _quote(model, values, prices) if prices else None


def offer_rate_micro(model: VideoModel, values: Mapping[str, Any], offer: Offer) -> int | None:
    """Return the rate in micro-USD per million tokens by which the usage at an account is charged.

    Return None where the price does not depend on what the upstream reports, and where no price is known.
    """
    prices = _lists(model).get((offer.account, offer.wire))
    return prices.rate_micro(values) if prices and _is_by_usage(model, values, prices) else None


def offer_prices(model: VideoModel, values: Mapping[str, Any], offer: Offer) -> dict[str, int | None]:
    """Return what an account asks for a request, as `lifecycle.start_submitting` takes it."""
    rate, quote = offer_rate_micro(model, values, offer), offer_quote_micro(model, values, offer)
    return {"rate_micro": rate, "quote_micro": quote}


def columns(model: VideoModel, values: Mapping[str, Any], *, test: bool) -> dict[str, int | None]:
    """Return the price of a new generation by the names of its columns. Test generations are free. Raise PriceUnknown.

    `rate_micro` is None where the price does not depend on what the upstream reports: PRICES may have a price for that
    very video. Both are the dearest over all accounts.
    """
    by_usage = [prices for prices in _lists(model).values() if _is_by_usage(model, values, prices)]
    if test:
        return {"price_micro": 0, "rate_micro": 0 if by_usage else None}
    price = price_micro(model, values)
    rates = [rate for prices in by_usage if (rate := prices.rate_micro(values)) is not None]
    return {"price_micro": price, "rate_micro": max(rates, default=None)}


def usage_micro(rate: int, tokens: int) -> int:
    """Return the price of so many tokens in micro-USD, rounded up. `rate` is in micro-USD per million tokens."""
    return -(-tokens * rate // MICRO_PER_USD)


def is_unknown(model: VideoModel) -> bool:
    """Return whether no request for the model has a price, so that every create is refused."""
    prices, row = of(model), model.row
    has_rate = prices.rates and (row.price.kind != "per_token" or (row.pixels and row.fps))
    return not (has_rate or prices.cells)


def of(model: VideoModel) -> PriceList:
    """Return the prices of a model as callers read them: the dearest over all accounts, for each request."""
    lists = list(_lists(model).values())
    if all(prices == lists[0] for prices in lists):
        return lists[0]
    return PriceList(tuple(_dearest_rates(model, lists)), dict(_dearest_cells(model, lists)))


def _lists(model: VideoModel) -> Mapping[At, PriceList]:
    return price_lists.read(settings.PRICES, settings.CATALOG_DIR)[model.id]


def _dearest(model: VideoModel, amounts_micro: list[int | None]) -> int:
    """Return the largest of the amounts that are known. Raise PriceUnknown if none is."""
    known = [amount for amount in amounts_micro if amount is not None]
    if not known:
        raise errors.PriceUnknown(model=model.id)
    return max(known)


def _is_by_usage(model: VideoModel, values: Mapping[str, Any], prices: PriceList) -> bool:
    return model.row.settle == "usage" and _cell(values) not in prices.cells


def _quote(model: VideoModel, values: Mapping[str, Any], prices: PriceList) -> int | None:
    """Return the price of a request by a list; None if it is not known."""
    if _cell(values) in prices.cells:
        return prices.cells[_cell(values)]
    rate = prices.rate_micro(values)
    return None if rate is None else _total(model, values, rate)


def _total(model: VideoModel, values: Mapping[str, Any], rate: int) -> int | None:
    """Return the price of a request at a rate; None if the tokens are not known."""
    match model.row.price.kind:
        case "per_token":
            # A token is 1024 pixels of a frame.
            pixels = _pixels(model, values)
            return None if pixels is None else -(-pixels * rate // (1024 * MICRO_PER_USD))
        case "per_second":
            return rate * int(values["duration"])
    return rate


def _cell(values: Mapping[str, Any]) -> Cell:
    """Return which video a request is for, as the single prices of PRICES name it."""
    return values.get("resolution") or "", values.get("aspect_ratio") or "", values["duration"]


def _pixels(model: VideoModel, values: Mapping[str, Any]) -> int | None:
    """Return the pixels of all frames of the largest video that a request can have; None if they are not known."""
    sizes, frames = model.sizes(values), model.frames(values["duration"])
    return max(width * height for width, height in sizes) * frames if sizes and frames is not None else None


def _dearest_rates(model: VideoModel, lists: list[PriceList]) -> Iterator[Rate]:
    """Yield the dearest rate for each combination of the values on which the rates depend, the most exact first."""
    names = sorted({name for prices in lists for rate in prices.rates for name in rate.when})
    combinations = sorted(
        price_checks.combinations(model.row, names), key=lambda values: list(values.values()).count(None)
    )
    for values in combinations:
        rates = [rate for prices in lists if (rate := prices.rate_micro(values)) is not None]
        if rates:
            yield Rate({name: value for name, value in values.items() if value is not None}, max(rates))


def _dearest_cells(model: VideoModel, lists: list[PriceList]) -> Iterator[tuple[Cell, int]]:
    """Yield each video that has a price of its own somewhere, with the dearest that it can cost at any account."""
    for cell in dict.fromkeys(cell for prices in lists for cell in prices.cells):
        values = dict(zip(("resolution", "aspect_ratio", "duration"), cell, strict=True))
        found: list[int | None] = []
        for prices in lists:
            fitting = [rate for rate in prices.rates if all(values.get(n, v) == v for n, v in rate.when.items())]
            found += [prices.cells[cell]] if cell in prices.cells else [_total(model, values, r.micro) for r in fitting]
        yield cell, max(amount for amount in found if amount is not None)
