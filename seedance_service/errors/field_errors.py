"""What a serializer found wrong, however deep, as a flat list: each fault under the path of its field."""

from collections.abc import Iterator
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.settings import api_settings

Fault = dict[str, str]  # field, detail, code


def of(error: ValidationError) -> list[Fault]:
    return list(_flat(error.get_full_details(), ""))


def fault(field: str, detail: str, code: str) -> Fault:
    return {"field": field, "detail": detail, "code": code}


def sentence(faults: list[Fault]) -> str:
    return " ".join(f"{one['field']}: {one['detail']}" if one["field"] else one["detail"] for one in faults)


def _flat(found: Any, path: str) -> Iterator[Fault]:
    match found:
        case {"message": str(message), "code": str(code)}:  # a field of such a name would hold a list
            yield fault(path, str(message), str(code))
        case dict():
            for name, within in found.items():
                yield from _flat(within, _joined(path, name))
        case list():
            for number, one in enumerate(found):
                is_fault = isinstance(one, dict) and isinstance(one.get("message"), str)
                yield from _flat(one, path if is_fault else _joined(path, number))


def _joined(path: str, name: Any) -> str:
    """`metadata.order`, `urls.0`; what is wrong with the whole is under the whole's own path, empty for a body's."""
    if name == api_settings.NON_FIELD_ERRORS_KEY:
        return path
    return f"{path}.{name}" if path else str(name)
