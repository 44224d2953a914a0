"""The seed log: every generation by its seed, across tenants, with an export as CSV."""

from collections.abc import Iterator
from typing import Any

import structlog
from django.contrib import admin
from django.db import InterfaceError, OperationalError, connection
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from generations.admin import filters
from generations.admin.generations import GenerationListAdmin
from generations.models import SeedRecord
from tenants import audit, csv_export
from tenants.admin.filters import ChoicesFilter
from tenants.audit import Actor

COLUMNS = (
    *("seed", "seed_source", "upstream_seed", "id", "tenant__name", "external_id", "created_at", "status", "model"),
    *("resolution", "aspect_ratio", "duration", "camera_fixed", "prompt", "image__sha256", "last_image__sha256"),
    *("rerun_of", "video_sha256"),
)
MAX_EXPORTED_ROWS = 100_000  # about 40 MB, and ten seconds of one web thread
PAGE_ROWS = 1000  # read at once
LISTED_PROMPT_CHARS = 80
BROKE_OFF = "The export broke off, since the database does not answer. No file was made. Try again."

log = structlog.stdlib.get_logger(__name__)


@admin.register(SeedRecord)
class SeedLogAdmin(GenerationListAdmin):
    """List generations by seed; a row leads to the generation's page."""

    list_display = (
        "seed",
        "seed_source",
        "upstream_seed",
        "generation",
        "tenant",
        "state",
        "mode",
        "created_at",
        "prompt_start",
    )
    list_display_links = ("generation",)
    list_filter = (
        filters.LiveModeFilter,
        ("tenant", AutocompleteSelectFilter),
        ("seed_source", ChoicesFilter),
        filters.CreatedFilter,
    )
    actions_list = ["export"]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Serve the list, with an export button that exports the listed rows."""
        response = super().changelist_view(request, extra_context)
        for button in getattr(response, "context_data", {}).get("actions_list", []):
            button["path"] = f"{button['path']}?{request.GET.urlencode()}"
        return response

    @display(description="Generation")
    def generation(self, record: SeedRecord) -> str:
        """Return the generation's id."""
        return str(record.pk)

    @display(description="Prompt")
    def prompt_start(self, record: SeedRecord) -> str:
        """Return the beginning of the prompt."""
        return record.prompt[:LISTED_PROMPT_CHARS]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **options: Any) -> HttpResponse:
        """Redirect to the generation's page."""
        return HttpResponseRedirect(reverse("admin:generations_generation_change", args=[object_id]))

    @action(description="Export CSV", icon="download", permissions=["view"])
    def export(self, request: HttpRequest) -> HttpResponseBase:
        """Export the rows of the list under the same search and filters, newest first, MAX_EXPORTED_ROWS at most."""
        rows = self.get_changelist_instance(request).get_queryset(request)
        actor = Actor(name=request.user.get_username())
        try:
            audit.record(actor, "export seed log", None, "seeds.csv", {"filters": request.GET.urlencode()})
            return csv_export.respond("seeds.csv", COLUMNS, _newest_first(rows))
        except (OperationalError, InterfaceError):
            log.exception("an export broke off")
            connection.close()  # it may be broken, and what follows the view needs a whole one
            return HttpResponse(BROKE_OFF, status=503, content_type="text/plain", headers={"Retry-After": "5"})


def _newest_first(rows: QuerySet[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield COLUMNS of up to MAX_EXPORTED_ROWS rows, a page at a time.

    Each page is one statement of its own. A cursor of the server's is lost behind a pooler that shares connections by
    transaction, and a cursor of the driver's would hold all rows in memory.
    """
    rows, left = rows.order_by("-pk").values_list("pk", *COLUMNS), MAX_EXPORTED_ROWS
    page = list(rows[: min(left, PAGE_ROWS)])
    while page:
        for pk, *columns in page:
            last = pk
            yield tuple(columns)
        left -= len(page)
        page = list(rows.filter(pk__lt=last)[: min(left, PAGE_ROWS)]) if len(page) == PAGE_ROWS and left else []
