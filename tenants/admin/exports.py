"""The export of a list of the panel as CSV: its rows under the same search and filters."""

from collections.abc import Iterator, Sequence
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from unfold.decorators import action

from tenants import audit, csv_export
from tenants.admin.mixins import ListButtonsMixin
from tenants.audit import Actor

MAX_EXPORTED_ROWS = 100_000  # about 40 MB, and ten seconds of one web thread
PAGE_ROWS = 1000  # read at once
BROKE_OFF = "The export broke off, since the database does not answer. No file was made. Try again."

log = structlog.stdlib.get_logger(__name__)


class ExportMixin(ListButtonsMixin):
    """Add a button to a list that exports its rows, newest first, MAX_EXPORTED_ROWS at most."""

    actions_list: Sequence[str] = ("export",)
    export_file: str  # the file's name, for example seeds.csv
    export_audited_as: str  # the action of the audit entry, for example "export seed log"
    export_columns: dict[str, str]  # the lookup of each column, by the column's name in the file

    @action(description="Export CSV", icon="download", permissions=["view"])
    def export(self, request: HttpRequest) -> HttpResponseBase:
        """Export the rows of the list under the same search and filters."""
        rows = self.get_changelist_instance(request).get_queryset(request)  # type: ignore[attr-defined]  # ModelAdmin's
        actor = Actor(name=request.user.get_username())
        try:
            audit.record(actor, self.export_audited_as, None, self.export_file, {"filters": request.GET.urlencode()})
            table = _newest_first(rows, list(self.export_columns.values()))
            return csv_export.respond(self.export_file, [*self.export_columns], map(self.export_row, table))
        except (OperationalError, InterfaceError):
            log.exception("an export broke off")
            connection.close()  # it may be broken, and what follows the view needs a whole one
            return HttpResponse(BROKE_OFF, status=503, content_type="text/plain", headers={"Retry-After": "5"})

    def export_row(self, columns: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a row of the file, whose columns were read from the database."""
        return columns


def _newest_first(rows: QuerySet[Any], lookups: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the columns of up to MAX_EXPORTED_ROWS rows, a page at a time.

    Each page is one statement of its own. A cursor of the server's is lost behind a pooler that shares connections by
    transaction, and a cursor of the driver's would hold all rows in memory.
    """
    rows, left = rows.order_by("-pk").values_list("pk", *lookups), MAX_EXPORTED_ROWS
    page = list(rows[: min(left, PAGE_ROWS)])
    while page:
        for pk, *columns in page:
            last = pk
            yield tuple(columns)
        left -= len(page)
        page = list(rows.filter(pk__lt=last)[: min(left, PAGE_ROWS)]) if len(page) == PAGE_ROWS and left else []
