"""Validation errors as a flat list: each error of a serializer, however deep, with the path of its field."""

from collections.abc import Iterator
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.settings import api_settings

FieldError = dict[str, str]  # field, detail, code


def from_validation(error: ValidationError) -> list[FieldError]:
    """Return the errors of all fields in the order in which the serializer names them."""
    return list(_flatten(error.get_full_details(), ""))


def field_error(field: str, detail: str, code: str) -> FieldError:
    """Return one error as a caller reads it. `field` is empty for what is wrong with a whole body."""
    return {"field": field, "detail": detail, "code": code}


def join(field_errors: list[FieldError]) -> str:
    """Return all errors as one text, each after the path of its field."""
    return " ".join(
        f"{error['field']}: {error['detail']}" if error["field"] else error["detail"] for error in field_errors
    )


def _flatten(details: Any, path: str) -> Iterator[FieldError]:
    match details:
        case {"message": str(message), "code": str(code)}:  # a field of such a name would hold a list
            yield field_error(path, str(message), str(code))
        case dict():
            for name, within in details.items():
                yield from _flatten(within, _join_path(path, name))
        case list():
            for number, item in enumerate(details):
                is_error = isinstance(item, dict) and isinstance(item.get("message"), str)
                yield from _flatten(item, path if is_error else _join_path(path, number))


def _join_path(path: str, name: Any) -> str:
    """Return the path of a nested field, as `metadata.order` or `urls.0`. An error of a whole body has none."""
    if name == api_settings.NON_FIELD_ERRORS_KEY:
        return path
    return f"{path}.{name}" if path else str(name)
