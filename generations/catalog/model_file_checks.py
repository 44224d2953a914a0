"""Check that the keys of a model's file agree with each other. A mistake names the key, and what was expected."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from generations.catalog import price_checks
from generations.catalog.model_file import DerivedRow, FieldRow, ModelRow
from generations.catalog.price_checks import check_values
from generations.catalog.request_fields import SEED, RequestField
from generations.media import image_formats, images

# Names that a create or an answer uses for something else.
RESERVED = {
    *("id", "model", "status", "progress_percent", "seed_source", "external_id", "metadata", "webhook_url", "test"),
    *("rerun_of", "price_usd", "created_at", "submitted_at", "finished_at", "deleted_at", "expired_at", "eta"),
    *("charged_usd", "video", "poster", "expires_at", "error", "extra", "parameters"),
}
MAX_NAME_CHARS = 10  # of a resolution or an aspect ratio, as their columns have it
MAX_SEED = 2**63 - 1  # its column's
MAX_SECONDS = 2**15 - 1  # the column's of the duration
TASKS = {"required": "i2v", "optional": "both", "forbidden": "t2v"}  # by the presence of the image
TYPES = {  # of the fields that have a column, or a meaning of their own
    "image": ("image",),
    "last_image": ("image",),
    "prompt": ("string",),
    "resolution": ("enum",),
    "aspect_ratio": ("enum",),
    "duration": ("enum", "integer"),
    "camera_fixed": ("boolean",),
    "seed": ("integer",),
}


def check(row: ModelRow) -> Iterator[str]:
    """Yield each mistake of a file by itself."""
    yield from _check_names(row)
    yield from _check_offers(row)
    for number, field in enumerate(row.fields):
        yield from (f"fields[{number}] ({field.name}): {mistake}" for mistake in _check_field(field))
    known = {field.name: field for field in row.fields if field.presence != "forbidden" and field.type}
    yield from _check_rules(row, known)
    yield from _check_video(row, known)
    yield from _check_wires(row, known)
    if row.settle == "usage" and row.price.kind != "per_token":
        yield "settle: quoted was expected, since an upstream reports the usage of a model priced per token alone."
    yield from (f"price.{mistake}" for mistake in price_checks.check(row, row.price.rates))


def check_replacement(row: ModelRow, found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the mistake if the replacement does not exist, or leads back to the model."""
    seen, name = {row.id}, row.replacement
    while name:
        if name not in found:
            yield f"replacement: there is no model {name}; one of {', '.join(sorted(found))} was expected."
            return
        if name in seen:
            yield f"replacement: {name} leads back to {row.id}; a model that takes its place was expected."
            return
        seen.add(name)
        name = found[name][1].replacement


def _check_offers(row: ModelRow) -> Iterator[str]:
    """Yield what is wrong with the places where the model is offered."""
    if bool(row.route) == bool(row.offers):
        yield "route, offers: one of the two was expected: a route of Novita's, or offers."
    accounts = [(offer.account, offer.wire or row.wire) for offer in row.offers]
    for number, offer in enumerate(row.offers):
        if bool(offer.route) == bool(offer.upstream_model):
            yield f"offers[{number}]: a route or an upstream_model was expected, and not both."
        if accounts.index(accounts[number]) < number:
            yield f"offers[{number}]: the account {offer.account} was expected once."
        if offer.price and offer.price.kind != row.price.kind:
            yield f"offers[{number}].price.kind: {row.price.kind} was expected, as the model's own price has it."
        elif offer.price and not offer.price.rates:
            yield f"offers[{number}].price.rates: a rate was expected."
        elif offer.price:
            yield from (f"offers[{number}].price.{text}" for text in price_checks.check(row, offer.price.rates))


def _check_names(row: ModelRow) -> Iterator[str]:
    names = [field.name for field in row.fields]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"fields: {name} stands there twice; each field once was expected."
    for name in RESERVED.intersection(names):
        yield f"fields: {name} is a name of the service's own; another name was expected."
    duration = next((field for field in row.fields if field.name == "duration"), None)
    if duration is None or (duration.presence == "optional" and duration.default is None):
        yield "fields: a field duration, in seconds, was expected, required or with a default."
    takes_images = any(field.type == "image" for field in row.fields)
    if takes_images != (row.image is not None):
        yield f"image: {'rules were' if takes_images else 'no rules were'} expected, as the model's fields have it."
    presence = next((field.presence for field in row.fields if field.name == "image"), "forbidden")
    if row.task != TASKS[presence]:
        yield "task: i2v was expected for a model that requires an image, both where it is optional, and t2v else."


def _check_field(row: FieldRow) -> Iterator[str]:
    """Yield what is wrong with a field by itself."""
    if row.presence == "forbidden":
        return
    if row.type is None:
        yield "type: one of string, integer, number, boolean, image, enum was expected."
        return
    if row.type not in TYPES.get(row.name, (row.type,)) or (row.type == "image" and row.name not in TYPES):
        expected = " or ".join(TYPES.get(row.name, ("another type: images are image and last_image",)))
        yield f"type: {expected} was expected."
    if (row.type == "enum") != bool(row.enum):
        yield "enum: values were expected for the type enum, and for no other."
    folded = [str(value).casefold() for value in row.enum]
    if len(set(folded)) < len(folded) or len({type(value) for value in row.enum}) > 1:
        yield "enum: different values of one type were expected, whatever their case."
    if (row.min is None or row.max is None or row.min > row.max) and row.type in ("integer", "number"):
        yield "min, max: a least and a largest number were expected."
    if row.refuses_flags and row.type != "string":
        yield "refuses_flags: the type string was expected."
    if row.type == "image" and not (row.name == "image" or row.presence == "optional"):
        yield "presence: optional was expected of a last image."
    if unknown := row.wire_values.keys() - set(map(str, row.enum)):
        yield f"wire_values: {', '.join(sorted(unknown))} is no value of the field."
    if len(set(row.wire_values.values())) < len(row.wire_values):
        yield "wire_values: a different value for each of ours was expected."
    if row.default is not None and row.name != "seed":
        yield from (f"default: {mistake}" for mistake in check_values(row, (row.default,)))
        if row.presence == "required" or row.type == "image":
            yield "default: none was expected of a required field, or of an image."
    yield from _check_stored(row)


def _check_stored(row: FieldRow) -> Iterator[str]:
    """Yield what the column of a field could not hold."""
    values = RequestField(row).values
    if row.type == "integer" and any(type(limit) is float for limit in (row.min, row.max)):
        yield "min, max: whole numbers were expected."
    if row.name == "duration" and not values:
        yield "duration: a list, or a range of fewer than 100 whole seconds, was expected."
    if row.name == "duration" and any(isinstance(value, str) or not 1 <= value <= MAX_SECONDS for value in values):
        yield f"duration: whole seconds from 1 to {MAX_SECONDS} were expected; wire_values holds what is sent instead."
    is_unfit = any(type(value) is int or len(str(value)) > MAX_NAME_CHARS for value in row.enum)
    if row.name in ("resolution", "aspect_ratio") and is_unfit:
        yield f"enum: texts of at most {MAX_NAME_CHARS} characters were expected; wire_values holds what is sent."
    if row.name == SEED and not 0 <= (row.max or 0) <= MAX_SEED:
        yield f"max: a number from 0 to {MAX_SEED} was expected."


def _check_rules(row: ModelRow, known: Mapping[str, FieldRow]) -> Iterator[str]:
    """Yield the names in rules and derived fields that are no fields, and what contradicts itself."""
    for number, rule in enumerate(row.rules):
        then, place = rule.then, f"rules[{number}]"
        named = {*rule.if_, *rule.if_given, *rule.if_absent, *then.forbid, *then.require, *then.enum}
        if unknown := named - known.keys():
            yield f"{place}: {', '.join(sorted(unknown))} is no field of the model."
            continue
        if not (rule.if_ or rule.if_given or rule.if_absent) or not (then.forbid or then.require or then.enum):
            yield f"{place}: a condition in `if`, `if_given` or `if_absent`, and something in `then`, was expected."
        for name in rule.if_absent:
            if known[name].presence == "required" or name in rule.if_given or name in then.require:
                yield f"{place}: if_absent: {name} is required or given; a field that a request can lack was expected."
        if met := {name for name in then.forbid if known[name].presence == "required" or name in then.require}:
            yield f"{place}: {', '.join(sorted(met))} cannot be forbidden and required."
        if met := set(then.forbid).intersection({"duration"}.union(*(derived.from_ for derived in row.derived))):
            yield f"{place}: {', '.join(sorted(met))} cannot be forbidden: each request has a value."
        values = {name: v if isinstance(v, tuple) else (v,) for name, v in (*rule.if_.items(), *then.enum.items())}
        for name, listed in values.items():
            yield from (f"{place}: {name}: {mistake}" for mistake in check_values(known[name], listed))
    for number, derived in enumerate(row.derived):
        yield from (f"derived[{number}]: {mistake}" for mistake in _check_derived(derived, known))


def _check_wires(row: ModelRow, known: Mapping[str, FieldRow]) -> Iterator[str]:
    """Yield the paths of the upstream's body that are none, that meet, and the fields that never go upstream."""
    sent = {name for derived in row.derived for name in derived.from_}
    paths = {name: RequestField(field).path for name, field in known.items()}
    for name in paths.keys() - sent:
        if not paths[name]:
            yield f"fields ({name}): wire: a path was expected, or a derived field that sends the value."
    paths |= {f"derived[{number}]": tuple(derived.wire.split(".")) for number, derived in enumerate(row.derived)}
    for place, path in paths.items():
        if not all(path) and path:
            yield f"{place}: wire: names with dots between them were expected."
        for other, longer in paths.items():
            if path and other != place and longer[: len(path)] == path and (longer != path or other > place):
                yield f"{other}: wire: {'.'.join(longer)} was expected to lie apart from {'.'.join(path)} of {place}."


def _check_derived(derived: DerivedRow, known: Mapping[str, FieldRow]) -> Iterator[str]:
    """Yield what is wrong with a derived field: each combination of its fields has a value of its own."""
    fields = [known.get(name) for name in derived.from_]
    if None in fields or any(field and not field.enum for field in fields):
        yield f"from: two fields of the type enum were expected, not {', '.join(derived.from_)}."
        return
    for field in fields:
        if field and field.presence == "optional" and field.default is None:
            yield f"from: {field.name} was expected to be required, or to have a default."
    expected = set(product(*(map(str, field.enum) for field in fields if field)))
    listed = {(first, second): value for first, row in derived.table.items() for second, value in row.items()}
    if listed.keys() != expected:
        wrong = ", ".join(" ".join(pair) for pair in sorted(listed.keys() ^ expected))
        yield f"table: one value for each combination was expected; see {wrong}."
    if len(set(listed.values())) < len(listed):
        yield "table: a different value for each combination was expected."


def _check_video(row: ModelRow, known: Mapping[str, FieldRow]) -> Iterator[str]:
    """Yield what is wrong with pixels, sound, images and dates."""
    flag = row.sound.removeprefix("flag:")
    is_flag = row.sound.startswith("flag:") and flag in known and known[flag].type == "boolean"
    if row.sound not in ("never", "always") and not is_flag:
        yield "sound: never, always, or flag: with a boolean field of the model was expected."
    if row.pixels:
        resolutions = {str(value) for value in known["resolution"].enum} if "resolution" in known else set[str]()
        ratios = {str(value) for value in known["aspect_ratio"].enum} if "aspect_ratio" in known else set[str]()
        if row.pixels.keys() != resolutions:
            yield f"pixels: the resolutions {', '.join(sorted(resolutions)) or '(none)'} were expected."
        for resolution, sizes in row.pixels.items():
            if sizes.keys() != ratios - {"adaptive"}:
                yield f"pixels.{resolution}: a size for each aspect ratio but adaptive was expected."
    if row.image:
        if unknown := set(row.image.formats) - set(image_formats.NAMES):
            yield f"image.formats: {', '.join(sorted(unknown))} cannot be read; {', '.join(image_formats.NAMES)}."
        if row.image.max_bytes > images.MAX_BYTES:
            yield f"image.max_bytes: at most {images.MAX_BYTES} was expected."
    if row.retires_at and row.announced_at and row.announced_at > row.retires_at:
        yield "announced_at: a day before retires_at was expected."
