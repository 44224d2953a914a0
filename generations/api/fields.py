"""What one field may hold. Types are strict: a number in quotes or `true` for 1 is a caller's mistake.

`told` is what the OpenAPI document says of a field beyond what drf-spectacular sees: each is exactly what is checked.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime
from mmap import mmap
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from generations import single_line
from generations.outbound import addresses
from generations.outbound.errors import FetchRefused

ANY_TEXT = r"^[^\x00]*$"  # no NUL, which PostgreSQL keeps in no text
MOST_NAMES, LONGEST_NAME, LONGEST_VALUE = 16, 64, 512  # of metadata
MOST_WRONG, MOST_OF_A_NAME = 20, 50  # names that a refusal repeats, and characters of each
METADATA = f"At most {MOST_NAMES} names of {LONGEST_NAME} characters, each with a string of at most {LONGEST_VALUE}."


def refuse(wrong: Mapping[str, str]) -> None:
    """Raise ValidationError with a sentence on each name that is wrong, if any: some of them, cut short, since names
    are the caller's own and a refusal is no echo."""
    if wrong:
        named = list(wrong.items())[:MOST_WRONG]
        raise serializers.ValidationError({name[:MOST_OF_A_NAME]: [sentence] for name, sentence in named})


def validated(kind: type[serializers.Serializer[Any]], data: Any, **context: Any) -> dict[str, Any]:
    """Return the checked values of a body or of a query's parameters. Raise ValidationError."""
    form = kind(data=data, context=context)
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


class Text(serializers.CharField):
    """A JSON string as it is, and nothing that merely can be written as one."""

    told: ClassVar[dict[str, Any]] = {"pattern": ANY_TEXT}

    def __init__(self, **facts: Any) -> None:
        super().__init__(trim_whitespace=False, **facts)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("A string is wanted.", code="invalid")
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)  # at once: the validators look at each character
        return str(super().to_internal_value(data))


class Name(Text):
    """A string of one line."""

    told = {"pattern": single_line.PATTERN}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not single_line.matches(text):
            raise serializers.ValidationError("Printable characters of one line are wanted.", code="invalid")
        return text


@extend_schema_field({"type": "string", "format": "picture", "minLength": 1})
class ImageText(serializers.Field[Any, Any, Any, Any]):
    """As Text, without CharField's checks of each character: 40 MB of them take seconds. Or a form's file, or Base64
    where it lies in the body."""

    def to_internal_value(self, data: Any) -> str | memoryview | mmap:
        if isinstance(data, mmap | memoryview):
            return data
        if not isinstance(data, str) or not data.strip():
            raise serializers.ValidationError("A URL or Base64 in a string is wanted.", code="invalid")
        return data.strip()

    def to_representation(self, value: Any) -> Any:
        return value


class Url(Text):
    """Where we are asked to send something: as guarded as what we are asked to read."""

    @property
    def told(self) -> dict[str, Any]:  # type: ignore[override]
        return {"pattern": f"^({addresses.PUBLIC_URL})?$" if self.allow_blank else f"^{addresses.PUBLIC_URL}$"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            addresses.check_url(text)
        except FetchRefused as error:
            raise serializers.ValidationError(f"It can not be called: {error}.", code="url_refused") from error
        return text


def as_json_counts(data: Any) -> Any:
    """JSON has one kind of number: 5.0 is 5, and JSON Schema's integer."""
    return int(data) if type(data) is float and data.is_integer() else data


class Whole(serializers.IntegerField):
    """A JSON integer: 5, not 5.5, "5" or true."""

    def to_internal_value(self, data: Any) -> int:
        data = as_json_counts(data)
        if type(data) is not int:
            raise serializers.ValidationError("A whole number is wanted.", code="invalid")
        return int(super().to_internal_value(data))


class Digits(serializers.IntegerField):
    """A whole number in a query: 5, not " 5", "5.0" or "1_0"."""

    def to_internal_value(self, data: Any) -> int:
        if not re.fullmatch(r"-?[0-9]{1,19}", data):
            raise serializers.ValidationError("A whole number is wanted.", code="invalid")
        return int(super().to_internal_value(data))


class Day(serializers.DateField):
    """2026-11-02, and no other way to write a day; in a year that every time zone can tell."""

    told: ClassVar[dict[str, Any]] = {"pattern": r"^2[0-9]{3}-[0-9]{2}-[0-9]{2}$"}

    def to_internal_value(self, value: Any) -> date:
        if not re.fullmatch(self.told["pattern"], str(value)):
            self.fail("invalid", format="YYYY-MM-DD")
        return super().to_internal_value(value)


class Moment(serializers.DateTimeField):
    """RFC 3339, from 2000 to 2999; UTC where it has no offset."""

    told: ClassVar[dict[str, Any]] = {"pattern": "^2[0-9]{3}-[0-9]{2}-[0-9]{2}T"}

    def to_internal_value(self, value: Any) -> datetime:
        if not re.match(self.told["pattern"], str(value)):
            self.fail("invalid", format="YYYY-MM-DDThh:mm:ss[.uuuuuu][+HH:MM|-HH:MM|Z]")
        return super().to_internal_value(value)


class Flag(serializers.BooleanField):
    """JSON's true or false."""

    def to_internal_value(self, data: Any) -> bool:
        if type(data) is not bool:
            raise serializers.ValidationError("true or false is wanted.", code="invalid")
        return data


class OneOf(serializers.ChoiceField):
    """One of a few values, compared with its type: "5" is not 5."""

    def to_internal_value(self, data: Any) -> Any:
        data = as_json_counts(data)
        if type(data) not in {type(choice) for choice in self.choices} or data not in self.choices:
            allowed = ", ".join(str(choice) for choice in self.choices)
            raise serializers.ValidationError(f"One of {allowed} is wanted.", code="invalid_choice")
        return data


class Metadata(serializers.DictField):
    """The caller's own names and values."""

    child = Text(max_length=LONGEST_VALUE, allow_blank=True)
    told: ClassVar[dict[str, Any]] = {
        "maxProperties": MOST_NAMES,
        "propertyNames": {"minLength": 1, "maxLength": LONGEST_NAME, "pattern": single_line.PATTERN},
    }

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("An object of strings is wanted.", code="invalid")
        if len(data) > MOST_NAMES:
            raise serializers.ValidationError(f"It has at most {MOST_NAMES} names.", code="invalid")
        if not all(0 < len(name) <= LONGEST_NAME and single_line.matches(name) for name in data):
            sentence = f"A name has 1 to {LONGEST_NAME} printable characters."
            raise serializers.ValidationError(sentence, code="invalid")
        return dict(super().to_internal_value(data))
