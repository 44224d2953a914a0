"""The seed log: every generation by its seed, across tenants, with an export as CSV."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
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
MAX_EXPORTED_ROWS = 100_000  # takes about a minute of one web thread
LISTED_PROMPT_CHARS = 80


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
        audit.record(actor, "export seed log", None, "seeds.csv", {"filters": request.GET.urlencode()})
        values = rows.order_by("-pk").values_list(*COLUMNS)[:MAX_EXPORTED_ROWS].iterator(chunk_size=1000)
        response = StreamingHttpResponse(csv_export.stream(COLUMNS, values), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="seeds.csv"'
        return response
