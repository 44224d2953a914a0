"""Serializer fields of the API. Types are strict: a number in quotes, or `true` for 1, is refused.

`json_schema` of a field adds to the OpenAPI document what drf-spectacular can not see, and is exactly what is checked.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from mmap import mmap
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from generations import single_line
from generations.outbound import addresses
from generations.outbound.errors import FetchRefused
from tenants import times

NO_NUL = r"^[^\x00]*$"  # PostgreSQL stores no text with a NUL
MAX_METADATA_NAMES, MAX_METADATA_NAME_CHARS, MAX_METADATA_VALUE_CHARS = 16, 64, 512
MAX_REFUSED_NAMES, MAX_REFUSED_NAME_CHARS = 20, 50  # that one refusal repeats
METADATA_HELP = f"At most {MAX_METADATA_NAMES} names of {MAX_METADATA_NAME_CHARS} characters, "
METADATA_HELP += f"each with a string of at most {MAX_METADATA_VALUE_CHARS}."


def refuse(messages: Mapping[str, str]) -> None:
    """Raise ValidationError with a message on each name, if there are any.

    Names come from the caller, and a refusal is no echo: only the first names are repeated, cut short.
    """
    if messages:
        repeated = list(messages.items())[:MAX_REFUSED_NAMES]
        raise serializers.ValidationError({name[:MAX_REFUSED_NAME_CHARS]: [message] for name, message in repeated})


def validate(kind: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    """Return the checked values of a body or of a query's parameters. Raise ValidationError."""
    return dict(_form(kind).run_validation(data))


@cache
def _form(kind: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """Return the one form of all requests: a form checks without a state, and copies all of its fields when made."""
    return kind()


class Text(serializers.CharField):
    """A JSON string, taken as it is: numbers are not converted, and spaces are not trimmed."""

    json_schema: ClassVar[dict[str, Any]] = {"pattern": NO_NUL}

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("This must be a string.", code="invalid")
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)  # at once: the validators look at each character
        return str(super().to_internal_value(data))


class SingleLine(Text):
    """A string of one line."""

    json_schema = {"pattern": single_line.PATTERN}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not single_line.matches(text):
            raise serializers.ValidationError("Use printable characters on a single line.", code="invalid")
        return text


@extend_schema_field({"type": "string", "format": "image", "minLength": 1})
class ImageText(serializers.Field[Any, Any, Any, Any]):
    """An image: a URL, Base64, a data URI, a file of a form, or a view of Base64 within the body.

    CharField checks each character, which takes seconds for 40 MB. This field does not.
    """

    def to_internal_value(self, data: Any) -> str | memoryview | mmap:
        if isinstance(data, mmap | memoryview):
            return data
        if not isinstance(data, str) or not data.strip():
            raise serializers.ValidationError(
                "This must be a URL, Base64 or a data URI as a string; in a form, it may be a file.", code="invalid"
            )
        return data.strip()

    def to_representation(self, value: Any) -> Any:
        return value


class Url(Text):
    """A URL that the service will call. The rules are those for URLs that the service reads."""

    @property
    def json_schema(self) -> dict[str, Any]:  # type: ignore[override]
        return {"pattern": f"^({addresses.PUBLIC_URL})?$" if self.allow_blank else f"^{addresses.PUBLIC_URL}$"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            addresses.check_url(text)
        except FetchRefused as error:
            raise serializers.ValidationError(f"This URL can not be called: {error}.", code="url_refused") from error
        return text


def integer_if_whole(data: Any) -> Any:
    """Return 5 for 5.0, as JSON Schema takes 5.0 for an integer. Return all else unchanged."""
    return int(data) if type(data) is float and data.is_integer() else data


class JsonInteger(serializers.IntegerField):
    """A JSON integer: 5, not 5.5, "5" or true."""

    def to_internal_value(self, data: Any) -> int:
        data = integer_if_whole(data)
        if type(data) is not int:
            raise serializers.ValidationError("This must be a whole number.", code="invalid")
        return int(super().to_internal_value(data))


class QueryInteger(serializers.IntegerField):
    """A whole number in a query: 5, not " 5", "5.0" or "1_0"."""

    def to_internal_value(self, data: Any) -> int:
        if not re.fullmatch(r"-?[0-9]{1,19}", data):
            raise serializers.ValidationError("This must be a whole number.", code="invalid")
        return int(super().to_internal_value(data))


class Day(serializers.DateField):
    """A day as 2026-11-02 and in no other form, in a year for which every time zone has an offset."""

    json_schema: ClassVar[dict[str, Any]] = {"pattern": r"^2[0-9]{3}-[0-9]{2}-[0-9]{2}$"}

    def to_internal_value(self, value: Any) -> date:
        if not re.fullmatch(self.json_schema["pattern"], str(value)):
            self.fail("invalid", format="YYYY-MM-DD")
        return super().to_internal_value(value)


class Timestamp(serializers.DateTimeField):
    """A time by RFC 3339, from 2000 to 2999. A time without an offset is UTC."""

    json_schema: ClassVar[dict[str, Any]] = {"pattern": "^2[0-9]{3}-[0-9]{2}-[0-9]{2}[Tt ]"}

    def to_internal_value(self, value: Any) -> datetime:
        try:
            return times.parse_rfc3339(str(value))
        except ValueError:
            self.fail("invalid", format="YYYY-MM-DDThh:mm:ss[.ffffff][+HH:MM|-HH:MM|Z]")


class JsonBoolean(serializers.BooleanField):
    """JSON's true or false, and no other value that might mean one of them."""

    def to_internal_value(self, data: Any) -> bool:
        if type(data) is not bool:
            raise serializers.ValidationError("This must be true or false.", code="invalid")
        return data


class Choice(serializers.ChoiceField):
    """A choice of a few values, which are compared with their type: "5" is not 5."""

    def to_internal_value(self, data: Any) -> Any:
        data = integer_if_whole(data)
        if type(data) not in {type(choice) for choice in self.choices} or data not in self.choices:
            choices = ", ".join(str(choice) for choice in self.choices)
            raise serializers.ValidationError(f"This must be one of {choices}.", code="invalid_choice")
        return data


@extend_schema_field({"$ref": "#/components/schemas/Metadata"})
class Metadata(serializers.DictField):
    """Names and values of the caller's own."""

    OBJECT: ClassVar[dict[str, Any]] = {
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": MAX_METADATA_VALUE_CHARS, **Text.json_schema},
        "maxProperties": MAX_METADATA_NAMES,
        "propertyNames": {"minLength": 1, "maxLength": MAX_METADATA_NAME_CHARS, "pattern": single_line.PATTERN},
    }
    child = Text(max_length=MAX_METADATA_VALUE_CHARS, allow_blank=True)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("This must be an object of strings.", code="invalid")
        if len(data) > MAX_METADATA_NAMES:
            raise serializers.ValidationError(f"This may have at most {MAX_METADATA_NAMES} names.", code="invalid")
        if not all(0 < len(name) <= MAX_METADATA_NAME_CHARS and single_line.matches(name) for name in data):
            message = f"A name has 1 to {MAX_METADATA_NAME_CHARS} printable characters."
            raise serializers.ValidationError(message, code="invalid")
        return dict(super().to_internal_value(data))


class Strict(serializers.Serializer[Any]):
    """A body in which an unknown field is an error."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = set(data) - set(self.fields) if isinstance(data, Mapping) else set()
        refuse(dict.fromkeys(sorted(unknown), "This field is unknown."))
        return super().to_internal_value(data)


class Parameters(serializers.Serializer[Any]):
    """The parameters of a list.

    An unknown parameter is an error, and so is one that comes twice: the list would be another than the caller meant.
    """

    REPEATABLE: ClassVar[frozenset[str]] = frozenset()  # names of parameters that may come more than once

    def to_internal_value(self, data: Any) -> Any:
        messages = {name: "This parameter is unknown." for name in data if not self.is_known(name)}
        repeated = [name for name in data if len(data.getlist(name)) > 1 and name not in self.REPEATABLE]
        refuse(messages | dict.fromkeys(repeated, "This parameter is given twice."))
        return super().to_internal_value(data.dict())  # of a QueryDict, REST framework would take "" as not given

    def is_known(self, name: str) -> bool:
        return name in self.fields
