"""The seed log: every generation by its seed, across tenants, with an export as CSV."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from generations.admin import filters
from generations.admin.generations import GenerationListAdmin
from generations.models import SeedRecord
from tenants.admin.exports import ExportMixin
from tenants.admin.filters import ChoicesFilter

COLUMNS = (
    *("seed", "seed_source", "upstream_seed", "id", "tenant__name", "external_id", "created_at", "status", "model"),
    *("resolution", "aspect_ratio", "duration", "camera_fixed", "prompt", "image__sha256", "last_image__sha256"),
    *("rerun_of", "video_sha256"),
)
LISTED_PROMPT_CHARS = 80


@admin.register(SeedRecord)
class SeedLogAdmin(ExportMixin, GenerationListAdmin):
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
    export_file, export_audited_as = "seeds.csv", "export seed log"
    export_columns = {name: name for name in COLUMNS}

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
