"""The seed log: every generation by its seed, across tenants, and as a sheet."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from generations.admin import filters
from generations.admin.generations import GenerationList
from generations.models import SeedRecord
from tenants import csv_export

COLUMNS = (
    *("seed", "seed_source", "upstream_seed", "id", "tenant__name", "external_id", "created_at", "status", "model"),
    *("resolution", "aspect_ratio", "duration", "camera_fixed", "prompt", "image__sha256", "last_image__sha256"),
    *("rerun_of", "video_sha256"),
)
MOST_ROWS = 100_000  # of one sheet: a minute or so of one web thread


@admin.register(SeedRecord)
class SeedLogAdmin(GenerationList):
    list_display = (
        "seed",
        "seed_source",
        "upstream_seed",
        "generation",
        "tenant",
        "state",
        "created_at",
        "prompt_start",
    )
    list_display_links = ("generation",)
    list_filter = (filters.Mode, ("tenant", AutocompleteSelectFilter), "seed_source", filters.Created)
    actions_list = ["export"]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The sheet is of what the list shows."""
        answer = super().changelist_view(request, extra_context)
        for one in getattr(answer, "context_data", {}).get("actions_list", []):
            one["path"] = f"{one['path']}?{request.GET.urlencode()}"
        return answer

    @display(description="Generation")
    def generation(self, record: SeedRecord) -> str:
        return str(record.pk)

    @display(description="Prompt")
    def prompt_start(self, record: SeedRecord) -> str:
        return record.prompt[:80]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **options: Any) -> HttpResponse:
        """A record's page is its generation's."""
        return HttpResponseRedirect(reverse("admin:generations_generation_change", args=[object_id]))

    @action(description="Export CSV", icon="download", permissions=["view"])
    def export(self, request: HttpRequest) -> HttpResponseBase:
        """What the list shows under the same search and filters, newest first, MOST_ROWS at most."""
        rows = self.get_changelist_instance(request).get_queryset(request)
        found = rows.order_by("-pk").values_list(*COLUMNS)[:MOST_ROWS].iterator(chunk_size=1000)
        answer = StreamingHttpResponse(csv_export.stream(COLUMNS, found), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="seeds.csv"'
        return answer
