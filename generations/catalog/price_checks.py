"""Check the rates of a model: those in its file, and those that PRICES gives instead."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any

from generations.catalog.model_file import FieldRow, ModelRow, RateRow
from generations.catalog.request_fields import RequestField, WrongValue
from tenants import amounts

MAX_RATE_MICRO = 2**40 - 1
MAX_COMBINATIONS = 20_000  # of the priced fields' values


def check(row: ModelRow, rates: tuple[RateRow, ...]) -> Iterator[str]:
    """Yield what is wrong with the rates of a model. Without rates the price is unknown."""
    known = {field.name: field for field in row.fields if field.presence != "forbidden"}
    is_per_token = row.price.kind == "per_token"
    amount = "usd_per_million" if is_per_token else "usd"
    for number, rate in enumerate(rates):
        text, other = (rate.usd_per_million, rate.usd) if is_per_token else (rate.usd, rate.usd_per_million)
        micro = amounts.parse_usd(text, MAX_RATE_MICRO) if text and len(text) <= 20 else None
        if other is not None or micro is None or micro < 0:
            yield f"rates[{number}].{amount}: a text of USD with at most six decimals was expected."
        for name, value in rate.when.items():
            if name not in known or not known[name].priced or not _choices(known[name]):
                yield f"rates[{number}].when: {name} was expected to be a field of few values, with `priced = true`."
            else:
                yield from (f"rates[{number}].when.{name}: {text}" for text in check_values(known[name], (value,)))
    if rates and (missing := next(_find_without_rate(row, rates, known), None)):
        yield f"rates: a rate for {missing} was expected."


def _choices(field: FieldRow) -> tuple[Any, ...]:
    """Return the values of a field that takes few; none of any other."""
    return (True, False) if field.type == "boolean" else RequestField(field).values


def _find_without_rate(row: ModelRow, rates: tuple[RateRow, ...], known: Mapping[str, FieldRow]) -> Iterator[str]:
    """Yield the combinations of values, of those fields that rates name, to which no rate applies."""
    names = sorted({name for rate in rates for name in rate.when if name in known})
    for request in combinations(row, names):
        if not any(rate.when.items() <= request.items() for rate in rates):
            yield ", ".join(f"no {name}" if value is None else f"{name} {value}" for name, value in request.items())


def combinations(row: ModelRow, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the combinations of the values that these fields can have in a request, None for a field without one."""
    known = {field.name: field for field in row.fields if field.presence != "forbidden"}
    forbidden = {name for rule in row.rules for name in rule.then.forbid}
    choices = []
    for name in names:
        can_lack = name in forbidden or (known[name].presence == "optional" and known[name].default is None)
        choices.append((*_choices(known[name]), *([None] if can_lack else [])))
    for values in islice(product(*choices), MAX_COMBINATIONS):
        yield dict(zip(names, values, strict=True))


def check_values(field: FieldRow, values: tuple[Any, ...]) -> Iterator[str]:
    """Yield the mistake of each value that the field does not take. Without limits, a number has another mistake."""
    if field.type in ("integer", "number") and (field.min is None or field.max is None):
        return
    for value in values:
        try:
            RequestField(field).check(value)
        except WrongValue as error:
            yield f"it {error}."
