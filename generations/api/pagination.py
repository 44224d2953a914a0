"""Lists, newest first, by pages. A cursor is a page's last row, signed for its tenant, its world and its list."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.db.models import Model, Q, QuerySet
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from generations.api.fields import Digits, Text, refuse
from tenants.api.base import key_of

PAGE, LONGEST_PAGE = 50, 100  # rows
NEWEST_FIRST = ("created_at", "pk")
Row = TypeVar("Row", bound=Model)


class Cursor(Text):
    told = {**Text.told, "format": "cursor"}


class Query(serializers.Serializer[Any]):
    """A list's parameters. One that is not known, or is given twice, is an error: it would list something else."""

    limit = Digits(default=PAGE, min_value=1, max_value=LONGEST_PAGE, help_text="Rows of a page.")
    cursor = Cursor(required=False, max_length=200, help_text="The `next_cursor` of the page before.")

    def to_internal_value(self, data: Any) -> Any:
        wrong = {name: "This parameter is not known." for name in data if not self.knows(name)}
        wrong |= {name: "It is given twice." for name in data if len(data.getlist(name)) > 1}
        refuse(wrong)
        return super().to_internal_value(data.dict())  # a form's empty value would be one that was not given

    def knows(self, name: str) -> bool:
        return name in self.fields


class Page(NamedTuple, Generic[Row]):
    rows: list[Row]
    next_cursor: str | None  # none: it is the last page
    headers: dict[str, str]


def page(request: Request, rows: QuerySet[Row], order: Sequence[str], limit: int, cursor: str | None) -> Page[Row]:
    """Return up to `limit` rows in the descending order of a time and an id, after the cursor. Raises ValidationError
    for a cursor of another list."""
    rows = rows.order_by(*(f"-{name}" for name in order))
    if cursor is not None:
        rows = rows.filter(_after(order, *_opened(request, cursor)))
    found = list(rows[: limit + 1])
    if len(found) <= limit:
        return Page(found, None, {})
    cursor = cursor_of(request, *(getattr(found[-2], name) for name in order))
    query = {**request.query_params.dict(), "cursor": cursor}
    return Page(found[:-1], cursor, {"Link": f'<{request.path}?{urlencode(query)}>; rel="next"'})


def cursor_of(request: Request, time: datetime, pk: UUID) -> str:
    return _signer(request).sign(f"{time.isoformat()}_{pk.hex}")


def _after(order: Sequence[str], time: datetime, pk: UUID) -> Q:
    """What comes after it in the list. The first condition is for the index, which then begins at the right place."""
    by_time, by_id = order
    return Q(**{f"{by_time}__lte": time}) & (Q(**{f"{by_time}__lt": time}) | Q(**{f"{by_id}__lt": pk}))


def _opened(request: Request, cursor: str) -> tuple[datetime, UUID]:
    try:
        time, _, pk = _signer(request).unsign(cursor).partition("_")
    except BadSignature as error:
        raise ValidationError({"cursor": ["It is none of this list's."]}) from error
    return datetime.fromisoformat(time), UUID(pk)


def _signer(request: Request) -> Signer:
    key = key_of(request)
    return Signer(salt=f"cursor {request.path} {key.tenant_id} {key.test}", sep="~")
