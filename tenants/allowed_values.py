"""The values that a tenant and a key may have. Each function raises NotPossible for another value."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError

from tenants.errors import NotPossible
from tenants.models import Tenant, check_time_zone

MAX_NAME_CHARS = MAX_LABEL_CHARS = 100  # as the columns have it
MAX_SUBMIT_DEADLINE_SECONDS = 7 * 86400
MAX_RETENTION_DAYS = 36_500  # a century


def check_name(name: str) -> None:
    """Raise NotPossible for a name that no tenant may have."""
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable() or name != name.strip():
        raise NotPossible(reason=f"A tenant's name has 1 to {MAX_NAME_CHARS} printable characters.")


def check_generation_policy(values: Mapping[str, Any]) -> None:
    """Raise NotPossible for a value that a field of the generation policy cannot have."""
    if values.get("on_doubt", Tenant.OnDoubt.HOLD) not in Tenant.OnDoubt.values:
        raise NotPossible(reason=f"on_doubt is one of {', '.join(Tenant.OnDoubt.values)}.")
    seconds = values.get("submit_deadline")
    if seconds is not None and not 0 < seconds <= MAX_SUBMIT_DEADLINE_SECONDS:
        raise NotPossible(reason=f"A submit deadline has 1 to {MAX_SUBMIT_DEADLINE_SECONDS} seconds.")
    for name in ("video_days", "input_days"):
        days = values.get(name)
        if days is not None and not 0 <= days <= MAX_RETENTION_DAYS:
            raise NotPossible(reason=f"Files are stored for 1 to {MAX_RETENTION_DAYS} days; 0 means for ever.")


@contextmanager
def unique_name(name: str) -> Iterator[None]:
    """Raise NotPossible where the schema refuses a tenant's name. A query before could miss a name just chosen."""
    try:
        yield
    except IntegrityError as error:
        if not Tenant.objects.filter(name=name).exists():
            raise
        raise NotPossible(reason=f"There is a tenant named {name!r} already.") from error


def check_label(label: str) -> None:
    """Raise NotPossible for a label that no key may have."""
    if len(label) > MAX_LABEL_CHARS or not label.isprintable():
        raise NotPossible(reason=f"A label has at most {MAX_LABEL_CHARS} printable characters.")


def checked_time_zone(name: str) -> str:
    """Return the name of a time zone. Raise NotPossible for any other text."""
    try:
        check_time_zone(name)
    except ValidationError as error:
        raise NotPossible(reason=error.message) from error
    return name
