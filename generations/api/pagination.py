"""Lists in pages, newest first. A cursor is the last row of a page, signed for its tenant, its mode and its list."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.db.models import Model, Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from generations.api.fields import Parameters, QueryInteger, Text
from tenants import times
from tenants.api.base import key_of

DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS = 50, 100
NEWEST_FIRST = ("created_at", "pk")
Position = tuple[datetime, UUID]  # of a row in a list: the time and the id
Row = TypeVar("Row", bound=Model)


class Cursor(Text):
    """A cursor, as a page before gave it."""

    json_schema = {**Text.json_schema, "format": "cursor"}


class Query(Parameters):
    """The parameters of a list in pages."""

    limit = QueryInteger(default=DEFAULT_PAGE_ROWS, min_value=1, max_value=MAX_PAGE_ROWS, help_text="Rows of a page.")
    cursor = Cursor(required=False, max_length=200, help_text="The `next_cursor` of the page before.")


class Page(NamedTuple, Generic[Row]):
    """The rows of one page, with the cursor of the next."""

    rows: list[Row]
    next_cursor: str | None  # None: this is the last page
    headers: dict[str, str]


def load_page(
    request: Request, read: Callable[[int, Position | None], list[Row]], limit: int, cursor: str | None
) -> Page[Row]:
    """Return up to `limit` rows after the cursor. `read` returns up to so many rows from behind a position on.

    Raise ValidationError for a cursor of another list.
    """
    rows = read(limit + 1, None if cursor is None else _read_cursor(request, cursor))
    if len(rows) <= limit:
        return Page(rows, None, {})
    last: Any = rows[-2]
    cursor = cursor_of(request, last.created_at, last.pk)
    query = urlencode({**dict(request.query_params.lists()), "cursor": cursor}, doseq=True)
    return Page(rows[:-1], cursor, {"Link": f'<{request.path}?{query}>; rel="next"'})


def read_newest(rows: QuerySet[Row], limit: int, position: Position | None) -> list[Row]:
    """Return up to `limit` of the rows, the newest first, from behind the position on."""
    if position is not None:
        rows = rows.filter(after(NEWEST_FIRST, *position))
    return list(rows.order_by(*(f"-{name}" for name in NEWEST_FIRST))[:limit])


def cursor_of(request: Request, time: datetime, pk: UUID) -> str:
    """Return the cursor of the page that begins after the row with this time and id.

    It has no character that a URL would have to escape, and above all no `+`, which a query turns into a blank.
    """
    return _signer(request).sign(f"{times.rfc3339(time)}_{pk.hex}")


def after(order: Sequence[str], time: datetime, pk: UUID) -> Q:
    """Return the condition on rows that come later in the descending order of two columns, a time and an id.

    The condition on the time alone is for the index: a scan then begins at the right place.
    """
    by_time, by_id = order
    return Q(**{f"{by_time}__lte": time}) & (Q(**{f"{by_time}__lt": time}) | Q(**{f"{by_id}__lt": pk}))


def _read_cursor(request: Request, cursor: str) -> Position:
    """Return the position in the cursor. Raise ValidationError if its signature is not this list's."""
    try:
        # Cursors of earlier releases have a `+`.
        time, _, pk = _signer(request).unsign(cursor.replace(" ", "+")).partition("_")
    except BadSignature as error:
        raise ValidationError({"cursor": ["This is no cursor of this list."]}) from error
    return datetime.fromisoformat(time), UUID(pk)


def _signer(request: Request) -> Signer:
    """Return the signer of cursors. The salt is what binds a cursor to path, tenant and mode."""
    key = key_of(request)
    return Signer(salt=f"cursor {request.path} {key.tenant_id} {key.test}", sep="~")
