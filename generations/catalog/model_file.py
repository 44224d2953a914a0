"""Read the file of a model: its keys, their types, and what is wrong with a file that cannot be understood.

ARCHITECTURE.md and deploy/RUNBOOK.md say how a file is written; the files in `models/` are examples.
"""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from django.core.exceptions import ImproperlyConfigured

Scalar = str | int | float | bool
Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=50)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]*$", max_length=50)]
Side = Annotated[int, msgspec.Meta(ge=1, le=20_000)]
Float = Annotated[float, msgspec.Meta(ge=-1e18, le=1e18)]  # neither infinite nor NaN
Ratio = Annotated[float, msgspec.Meta(gt=0, le=100)]
Wire = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]*$", max_length=20)]
Route = Annotated[str, msgspec.Meta(pattern=r"^/v3/(?!async/task-result$)[A-Za-z0-9._/-]+$")]


class CatalogError(ImproperlyConfigured):
    """A file of the catalogue is wrong. The text names each file, the key, and what was expected."""


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=lambda name: name.rstrip("_")):
    """A table of a file. A key that is not among the attributes is a mistake."""


class FieldRow(Row, frozen=True, kw_only=True):
    """A field of a request, in the order in which the upstream receives it."""

    name: Name  # as callers of /v1 write it
    presence: Literal["required", "optional", "forbidden"] = "optional"
    type: Literal["string", "integer", "number", "boolean", "image", "enum"] | None = None  # not of a forbidden field
    wire: str | None = None  # dotted path in the upstream's body; None: the name; "": sent by a derived field alone
    enum: tuple[str | int, ...] = ()
    min: int | Float | None = None  # inclusive, as is `max`
    max: int | Float | None = None
    max_length: Annotated[int, msgspec.Meta(ge=1)] | None = None  # characters
    wire_values: dict[str, str | int] = {}  # our value, as text: the upstream's
    default: Scalar | None = None  # sent if a request has no value
    refuses_flags: bool = False  # a text with flags such as --rs is refused
    priced: bool = False
    help: str = ""


class ThenRow(Row, frozen=True, kw_only=True):
    """The demands of a rule on a request to which it applies."""

    forbid: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    enum: dict[str, tuple[Scalar, ...]] = {}


class RuleRow(Row, frozen=True, kw_only=True):
    """A rule between fields.

    It applies where each field of `if` has one of its values, `if_given` are given, and `if_absent` are not.
    """

    if_: dict[str, Scalar | tuple[Scalar, ...]] = {}
    if_given: tuple[str, ...] = ()
    if_absent: tuple[str, ...] = ()
    then: ThenRow


class DerivedRow(Row, frozen=True, kw_only=True):
    """A value of the upstream's body that two fields decide together."""

    wire: str
    from_: Annotated[tuple[str, ...], msgspec.Meta(min_length=2, max_length=2)]
    table: dict[str, dict[str, str | int]]


class ImageRow(Row, frozen=True, kw_only=True):
    """The rules for images. `side` is each side in pixels, `ratio` is width / height."""

    formats: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    max_bytes: Annotated[int, msgspec.Meta(ge=1)]
    side_min: Side | None = None  # inclusive
    short_side_over: Side | None = None  # exclusive
    side_max: Side | None = None  # inclusive
    long_side_under: Side | None = None  # exclusive
    ratio_min: Ratio | None = None  # inclusive
    ratio_max: Ratio | None = None
    ratio_over: Ratio | None = None  # exclusive
    ratio_under: Ratio | None = None
    encoding: Literal["data_uri", "base64", "url"] = "data_uri"


class RateRow(Row, frozen=True, kw_only=True):
    """A price, for requests whose priced fields have the values of `when`."""

    when: dict[str, Scalar] = {}
    usd: str | None = None
    usd_per_million: str | None = None


class PriceRow(Row, frozen=True, kw_only=True):
    """The price of a video: the first rate that matches. Without rates the price is unknown until PRICES gives one."""

    kind: Literal["per_token", "per_second", "per_video"]
    rates: tuple[RateRow, ...] = ()


class OfferRow(Row, frozen=True, kw_only=True):
    """A model at one upstream account: under a route, or by the model's id there."""

    account: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9]*$", max_length=20)]
    wire: Wire | None = None  # None: the model's
    route: Route | None = None
    upstream_model: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)] | None = None
    price: PriceRow | None = None  # None: the model's


class ModelRow(Row, frozen=True, kw_only=True):
    """The whole file of a model."""

    id: Id
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    wire: Wire
    route: Route | None = None  # the one offer is Novita's account, under this route; or there are `offers`
    offers: tuple[OfferRow, ...] = ()  # in the order in which they are asked
    task: Literal["i2v", "t2v", "both"]  # both: the image is optional
    fields: Annotated[tuple[FieldRow, ...], msgspec.Meta(min_length=1)]
    rules: tuple[RuleRow, ...] = ()
    derived: tuple[DerivedRow, ...] = ()
    image: ImageRow | None = None
    pixels: dict[str, dict[str, tuple[Side, Side]]] = {}
    fps: Annotated[int, msgspec.Meta(ge=1, le=240)] | None = None  # frames a second; None: not known
    frames_extra: Annotated[int, msgspec.Meta(ge=0, le=100)] = 1
    sound: str = "never"  # "never", "always" or "flag:<field>"
    price: PriceRow
    settle: Literal["quoted", "usage"] = "quoted"
    state: Literal["active", "hidden", "deprecated", "retired"] = "active"
    announced_at: date | None = None  # days in UTC
    retires_at: date | None = None
    replacement: Id | None = None
    source: str = ""
    checked_at: date | None = None
    unknown: tuple[str, ...] = ()


# The tables of a file by their keys; a key names the same kind of table wherever it stands.
TABLES: dict[str, type[Row]] = {
    "fields": FieldRow,
    "rules": RuleRow,
    "then": ThenRow,
    "derived": DerivedRow,
    "image": ImageRow,
    "offers": OfferRow,
    "price": PriceRow,
    "rates": RateRow,
}


def read(path: Path) -> ModelRow:
    """Return the row in a file. Raise CatalogError with a line for each mistake."""
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogError(f"{path}: the file cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path}: the file is no TOML: {error}.") from error
    if "id" in content:
        content.setdefault("title", content["id"])
    if mistakes := [f"{path}: {mistake}" for mistake in _find_mistakes(content, ModelRow, "")]:
        raise CatalogError("\n".join(mistakes))
    return msgspec.convert(content, ModelRow)


def _find_mistakes(table: Mapping[str, Any], kind: type[Row], place: str) -> Iterator[str]:
    """Yield what is wrong with the keys and types of a table. msgspec by itself stops at the first mistake."""
    keys = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in table.keys() - keys.keys():
        yield f"{place}{name}: there is no such key; one of {', '.join(keys)} was expected."
    for name, key in keys.items():
        if name not in table:
            if key.required:
                yield f"{place}{name}: the key is missing; a value was expected."
            continue
        inner = list(_find_in_tables(table[name], TABLES[name], f"{place}{name}")) if name in TABLES else []
        yield from inner
        try:
            msgspec.convert(table[name], key.type)
        except msgspec.ValidationError as error:
            expected, _, where = str(error).partition(" - at `$")
            if not inner:
                yield f"{place}{name}{where.rstrip('`')}: {expected}."


def _find_in_tables(value: Any, kind: type[Row], place: str) -> Iterator[str]:
    """Yield what is wrong within a table, or within each table of a list."""
    if isinstance(value, Mapping):
        yield from _find_mistakes(value, kind, f"{place}.")
    elif isinstance(value, list):
        for number, table in enumerate(value):
            where = f"{place}[{number}]"
            if not isinstance(table, Mapping):
                yield f"{where}: a table was expected."
            elif kind is FieldRow:
                yield from _find_mistakes(table, kind, f"{where} ({table.get('name', 'without a name')}): ")
            else:
                yield from _find_mistakes(table, kind, f"{where}.")
