"""A field of a model's requests: the values that it takes, in our writing and in the upstream's."""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from generations.catalog.model_file import FieldRow

RANDOM_SEED = -1  # in a request: draw a seed
SEED = "seed"
NO_NUL = r"^[^\x00]*$"  # PostgreSQL stores no text with a NUL
# Two hyphens directly before a letter, each also in its full-width or small form: a flag, which some upstreams obey.
# A text is normalized before it is checked; a schema can say no more than this.
FLAG = r"[-\uFF0D\uFE63]{2}[A-Za-z\uFF21-\uFF3A\uFF41-\uFF5A]"
NO_FLAG_NO_NUL = rf"^(?![\s\S]*{FLAG})[^\x00]*$"
HAS_FLAG = re.compile(FLAG)
FLAGS = "must not hold flags such as --rs: they could change what is paid for"
MAX_TEXT_CHARS = 10_000  # of a field whose longest text is not known
JSON_TYPES = (bool, int, float, list, dict)
ABSENT = object()  # there is no value at a path


def _plain_text(text: str) -> str:
    """Return the text as an upstream may normalize it: in plain letters, without characters that show nothing."""
    if text.isascii():
        return text
    return "".join(char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) != "Cf")


class WrongValue(Exception):
    """A field does not take the value. The text ends the sentence "It …"; `code` is the kind of mistake."""

    def __init__(self, demand: str, code: str) -> None:
        super().__init__(demand)
        self.code = code


@dataclass(frozen=True)
class RequestField:
    """A field that a model's requests may have."""

    row: FieldRow

    @property
    def name(self) -> str:
        """The field's name under /v1/."""
        return self.row.name

    @property
    def is_required(self) -> bool:
        """True if each request needs a value of its own."""
        return self.row.presence == "required"

    @property
    def is_image(self) -> bool:
        """True if the field takes an image."""
        return self.row.type == "image"

    @property
    def is_enum(self) -> bool:
        """True if the field takes a few values only."""
        return self.row.type == "enum"

    @cached_property
    def path(self) -> tuple[str, ...]:
        """The path in the upstream's body. Empty if a derived field sends the value."""
        wire = self.row.name if self.row.wire is None else self.row.wire
        return tuple(wire.split(".")) if wire else ()

    @cached_property
    def minimum(self) -> int | float | None:
        """The least number. Each model's seed takes RANDOM_SEED, which never goes upstream."""
        return RANDOM_SEED if self.name == SEED else self.row.min

    @property
    def max_length(self) -> int:
        """The most characters of a text."""
        return self.row.max_length or MAX_TEXT_CHARS

    @cached_property
    def values(self) -> tuple[str | int, ...]:
        """All values of a field that takes few, or whole numbers from a least to a largest; empty for any other."""
        if self.row.type == "integer" and self.row.min is not None and self.row.max is not None:
            low, high = int(self.row.min), int(self.row.max)
            return tuple(range(low, high + 1)) if high - low < 100 else ()
        return self.row.enum

    @property
    def default(self) -> Any:
        """The value of a request without one; None if there is none. A seed is drawn instead."""
        return None if self.name == SEED else self.row.default

    @cached_property
    def _to_wire(self) -> dict[Any, Any]:
        return {value: self.row.wire_values.get(str(value), value) for value in self.row.enum}

    @cached_property
    def _from_wire(self) -> dict[Any, Any]:
        return {(type(theirs), theirs): ours for ours, theirs in self._to_wire.items()}

    def to_wire(self, value: Any) -> Any:
        """Return the value as the upstream writes it."""
        return self._to_wire.get(value, value) if self.is_enum else value

    def from_wire(self, value: Any) -> Any:
        """Return our value for one of the upstream's; an unknown one becomes one that `check` refuses."""
        if not self.is_enum:
            return value
        value = _integer_if_whole(value)
        return self._from_wire.get((type(value), value), ABSENT) if isinstance(value, str | int) else ABSENT

    def takes(self, *, on_wire: bool = False) -> str:
        """Return what the field takes, as the end of the sentence "It must be …"."""
        row = self.row
        match row.type:
            case "enum":
                values = [self.to_wire(value) if on_wire else value for value in row.enum]
                return f"one of {', '.join(map(str, values))}"
            case "integer":
                return f"a whole number from {self.minimum} to {row.max}"
            case "number":
                return f"a number from {row.min:g} to {row.max:g}"
            case "boolean":
                return "true or false"
            case "image":
                return "a URL, Base64 or a data URI as a string; in a form, it may be a file"
        least = "1 to " if self.is_required else "at most "
        flags = " and without flags such as --rs" if row.refuses_flags else ""
        return f"a text of {least}{self.max_length} characters, without a NUL character{flags}"

    def check(self, value: Any, *, on_wire: bool = False) -> Any:
        """Return the value as it is stored. Raise WrongValue."""
        code = self._wrong(value := _integer_if_whole(value) if self.row.type in ("enum", "integer") else value)
        if code:
            raise WrongValue(f"must be {self.takes(on_wire=on_wire)}", code)
        if self.row.refuses_flags and HAS_FLAG.search(_plain_text(value)):
            raise WrongValue(FLAGS, "invalid")
        if self.row.type == "number":
            return float(value)
        return value.strip() if self.is_image and isinstance(value, str) else value

    def _wrong(self, value: Any) -> str:
        """Return the code of what is wrong with the value; an empty text if nothing is."""
        match self.row.type:
            case "enum":
                known = any(type(value) is type(choice) and value == choice for choice in self.row.enum)
                return "" if known else "invalid_choice"
            case "boolean":
                return "" if type(value) is bool else "invalid"
            case "integer":
                return self._wrong_number(value) if type(value) is int else "invalid"
            case "number":
                is_number = type(value) in (int, float) and math.isfinite(value)
                return self._wrong_number(value) if is_number else "invalid"
            case "image":
                # A file, a view of the body and a stored image are no JSON.
                is_wrong = not value.strip() if isinstance(value, str) else isinstance(value, JSON_TYPES)
                return "invalid" if is_wrong else ""
        return self._wrong_text(value)

    def _wrong_number(self, value: float) -> str:
        least = self.minimum if self.name != SEED or value == RANDOM_SEED else self.row.min
        if least is not None and value < least:
            return "min_value"
        return "max_value" if self.row.max is not None and value > self.row.max else ""

    def _wrong_text(self, value: Any) -> str:
        if not isinstance(value, str):
            return "invalid"
        if len(value) > self.max_length:
            return "max_length"
        if self.is_required and not value:
            return "blank"
        if "\0" in value or not (value.isascii() or _is_unicode(value)):
            return "invalid"
        return ""

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the values that the field takes, null included where it counts as not given."""
        row, schema = self.row, dict[str, Any]()
        match row.type:
            case "enum":
                schema = {"enum": list(row.enum)}
            case "boolean":
                schema = {"type": "boolean"}
            case "integer" | "number":
                schema = {"type": row.type, "minimum": self.minimum, "maximum": row.max}
            case "image":
                schema = {"type": "string", "format": "image", "pattern": r"\S"}
            case _:
                pattern = NO_FLAG_NO_NUL if row.refuses_flags else NO_NUL
                schema = {"type": "string", "pattern": pattern, "maxLength": self.max_length}
                schema |= {"minLength": 1} if self.is_required else {}
        if not self.is_required:
            schema = (
                {"enum": [*schema["enum"], None]} if "enum" in schema else {**schema, "type": [schema["type"], "null"]}
            )
        if row.help:
            schema["description"] = row.help
        if self.default is not None:
            schema["default"] = self.default
        return schema


def _integer_if_whole(value: Any) -> Any:
    """Return 5 for 5.0, as JSON Schema takes 5.0 for an integer. Return all else unchanged."""
    return int(value) if type(value) is float and value.is_integer() else value


def _is_unicode(text: str) -> bool:
    """Return whether the text can be written as UTF-8, which half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_path(body: Mapping[str, Any], path: Sequence[str]) -> Any:
    """Return the value at a path of nested objects; ABSENT if there is none, or null."""
    value: Any = body
    for name in path:
        if not isinstance(value, Mapping) or value.get(name) is None:
            return ABSENT
        value = value[name]
    return value


def write_path(body: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set the value at a path of nested objects, which are made where they are missing."""
    for name in path[:-1]:
        body = body.setdefault(name, {})
    body[path[-1]] = value
