"""Ops' view of generations: found in seconds, read on one page, and acted on only by the verbs of the lifecycle."""

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import path
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from generations.admin import action_pages, filters, generation_page
from generations.admin.search import Search
from generations.bucket import links
from generations.models import Generation
from tenants import amounts
from tenants.admin import action_page
from tenants.admin.mixins import Long, ReadOnly

Status = Generation.Status
COLOURS = {
    Status.IN_DOUBT: "warning",
    Status.COPYING: "info",
    Status.RUNNING: "info",
    Status.SUCCEEDED: "success",
    Status.FAILED: "danger",
}


class GenerationList(Search, Long, ReadOnly, ModelAdmin):
    """What the lists over generations share."""

    list_select_related = ("tenant",)

    @display(description="Status", label=COLOURS)
    def state(self, generation: Generation) -> tuple[str, str]:
        """A doubt stands out: it waits for a person."""
        return generation.status, generation.get_status_display()

    @display(description="Age")
    def age(self, generation: Generation) -> str:
        return generation_page.span(timezone.now() - generation.created_at)


@admin.register(Generation)
class GenerationAdmin(action_page.Acts, GenerationList):
    list_display = ("poster", "id", "tenant", "state", "size", "seed", "price", "age")
    list_display_links = ("id",)
    list_filter = (
        filters.Mode,
        filters.Attention,
        "status",
        ("tenant", AutocompleteSelectFilter),
        filters.Resolution,
        filters.Created,
    )
    actions_detail = [*action_pages.PAGES]
    actions = ("nudge_chosen", "retry_chosen", "cancel_chosen", "fail_chosen")
    change_form_template = "generations/generation.html"

    def impossible(self, row: Generation) -> set[str]:
        return set(action_pages.PAGES) - set(action_pages.possible(row))

    def get_urls(self) -> list[Any]:
        video = path(
            "<path:object_id>/video/", self.admin_site.admin_view(self.video), name="generations_generation_video"
        )
        return [video, *super().get_urls()]

    def video(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A fresh signed URL, however long the page has been open."""
        if not self.has_view_permission(request):
            raise Http404
        generation = self.get_object(request, object_id)
        if generation is None or not links.has_video(generation):
            raise Http404
        url = generation_page.signed(links.video_url, generation)
        return HttpResponseRedirect(url) if url else HttpResponse("S3 can not be asked.", status=503)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("tenant", "api_key", "image", "last_image")

    def get_fields(self, request: HttpRequest, obj: Generation | None = None) -> Any:
        """Where it stands comes first."""
        return sorted(super().get_fields(request, obj), key=lambda name: name != "status")

    def get_fieldsets(self, request: HttpRequest, obj: Generation | None = None) -> Any:
        """All columns are folded, below what the page tells."""
        known = super().get_fieldsets(request, obj)
        return [("All that is known", {**options, "classes": ["collapse"]}) for _, options in known]

    def render_change_form(
        self, request: HttpRequest, context: Any, *, obj: Any = None, **options: Any
    ) -> HttpResponse:
        context.update(generation_page.told(request, obj), colour=COLOURS.get(obj.status, ""))
        context["audit_url"] = action_page.listed("auditentry", target__exact=obj.pk)
        return super().render_change_form(request, context, obj=obj, **options)

    @display(description="Poster")
    def poster(self, generation: Generation) -> str:
        url = generation_page.signed(links.poster_url, generation) if links.has_video(generation) else ""
        return render_to_string("generations/poster.html", {"url": url})

    @display(description="Size")
    def size(self, generation: Generation) -> str:
        return f"{generation.resolution} {generation.aspect_ratio} {generation.duration} s"

    @display(description="USD")
    def price(self, generation: Generation) -> str:
        return "test" if generation.test else amounts.format_usd(generation.price_micro)

    attach = action_page.button(action_pages.PAGES["attach"], "link")
    resubmit = action_page.button(action_pages.PAGES["resubmit"], "send")
    release = action_page.button(action_pages.PAGES["release"], "undo")
    give_up = action_page.button(action_pages.PAGES["give_up"], "money_off", path="give-up")
    cancel = action_page.button(action_pages.PAGES["cancel"], "cancel")
    nudge = action_page.button(action_pages.PAGES["nudge"], "bolt")
    retry_copy = action_page.button(action_pages.PAGES["retry_copy"], "cloud_download", path="retry-copy")
    fail = action_page.button(action_pages.PAGES["fail"], "money_off")
    rerun = action_page.button(action_pages.PAGES["rerun"], "replay")
    delete_files = action_page.button(action_pages.PAGES["delete_files"], "delete", path="delete-files")

    nudge_chosen = action_page.list_action(action_pages.PAGES["nudge"])
    retry_chosen = action_page.list_action(action_pages.PAGES["retry_copy"])
    cancel_chosen = action_page.list_action(action_pages.PAGES["cancel"])
    fail_chosen = action_page.list_action(action_pages.PAGES["fail"])
