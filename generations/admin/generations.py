"""The panel's pages of generations: a list to search and filter, a page to read, and the actions of operators."""

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import path
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from generations.admin import action_pages, filters, generation_page
from generations.admin.action_pages import PAGES
from generations.admin.search import SearchMixin
from generations.admin.submit_pauses import CancelMatchingMixin
from generations.bucket.signed_urls import Signer
from generations.models import Generation
from tenants import amounts, masked_urls, times
from tenants.admin import action_page
from tenants.admin.exports import ExportMixin
from tenants.admin.filters import ChoicesFilter
from tenants.admin.mixins import (
    LongListMixin,
    ModeMixin,
    ReadOnlyMixin,
    TenantLinkMixin,
    filtered_list_url,
    format_mode,
)
from tenants.db import clock

Status = Generation.Status
NO_BREAK = "\u00a0"  # a space at which a narrow column does not break the line
HOSTS = {"webhook_url": "webhook_host", "image_url": "image_host", "last_image_url": "last_image_host"}
COLOURS = {
    Status.IN_DOUBT: "warning",
    Status.COPYING: "info",
    Status.RUNNING: "info",
    Status.SUCCEEDED: "success",
    Status.FAILED: "danger",
}


class GenerationListAdmin(SearchMixin, TenantLinkMixin, LongListMixin, ModeMixin, ReadOnlyMixin, ModelAdmin):
    """The base of every list of generations."""

    list_select_related = ("tenant",)

    @display(description="Status", label=COLOURS)
    def state(self, generation: Generation) -> tuple[str, str]:
        """Return the status with its label; a generation in doubt is coloured, since an operator must resolve it."""
        return generation.status, generation_page.format_status(generation.status)

    @display(description="Age")
    def age(self, generation: Generation) -> str:
        """Return the time since the generation was created."""
        return generation_page.format_span(clock.now() - generation.created_at).replace(" ", NO_BREAK)


EXPORTED = (
    *(
        "id",
        "tenant",
        "key",
        "external_id",
        "status",
        "error_code",
        "error_message",
        "mode",
        "model",
        "account",
        "seed",
    ),
    *("resolution", "aspect_ratio", "duration", "price_usd", "charged_usd", "created_at", "finished_at"),
)


@admin.register(Generation)
class GenerationAdmin(CancelMatchingMixin, ExportMixin, action_page.ActionPagesMixin, GenerationListAdmin):
    """List generations, show one on a page of its own, and offer the actions on a generation."""

    export_file, export_audited_as = "generations.csv", "export generations"
    export_columns = {
        **{name: name for name in EXPORTED},
        "tenant": "tenant__name",
        "key": "api_key__prefix",
        "mode": "test",
        "price_usd": "price_micro",
        "charged_usd": "charged_micro",
    }

    list_display = "poster id tenant state error_code age size seed charge upstream mode".split()
    list_display_links = ("id",)
    list_filter = (
        filters.LiveModeFilter,
        filters.AttentionFilter,
        ("status", ChoicesFilter),
        filters.ErrorCodeFilter,
        ("tenant", AutocompleteSelectFilter),
        filters.ModelFilter,
        filters.AccountFilter,
        filters.ResolutionFilter,
        filters.CreatedFilter,
        ("created_at", filters.CreatedDaysFilter),
    )
    list_filter_submit = True  # for the days
    actions_list = ("cancel_matching", "export")
    actions_detail = [*PAGES]
    actions = ("run_selected_now", "retry_selected_copies", "cancel_selected", "fail_selected")
    change_form_template = "generations/generation.html"

    def unavailable_actions(self, row: Generation) -> set[str]:
        """Return the names of actions that make no sense in the generation's present status."""
        return set(PAGES) - set(action_pages.available_actions(row))

    def get_urls(self) -> list[Any]:
        """Add the address of the video, which a generation's page plays."""
        video = path(
            "<path:object_id>/video/", self.admin_site.admin_view(self.video), name="generations_generation_video"
        )
        return [video, *super().get_urls()]

    def video(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Redirect to a fresh signed URL of the video, however long the page has been open.

        Raise Http404 if there is no video or the user may not view generations. Return 503 if no URL can be signed.
        """
        if not self.has_view_permission(request):
            raise Http404
        generation = self.get_object(request, object_id)
        if generation is None or not (generation.has_video or generation.has_mismatched_file):
            raise Http404
        url = generation_page.sign(Signer.video_url, generation)
        return HttpResponseRedirect(url) if url else HttpResponse("No URL can be signed for the video.", status=503)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the rows joined with the tables that the list and the page read."""
        return super().get_queryset(request).select_related("tenant", "api_key", "image", "last_image")

    def get_fields(self, request: HttpRequest, obj: Generation | None = None) -> Any:
        """Return all fields, the status first, with words in the place of some columns."""
        words = self._shown_in_place_of_columns(request)
        fields = dict.fromkeys(words.get(name, name) for name in super().get_fields(request, obj))
        return sorted(fields, key=lambda name: name != "status_in_words")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Declare the fields that are no columns."""
        return tuple(self._shown_in_place_of_columns(request).values())

    def _shown_in_place_of_columns(self, request: HttpRequest) -> dict[str, str]:
        """Return by column what is shown instead. A URL may hold a token, which only those see who may act on it."""
        words = {"status": "status_in_words", "test": "mode", "charged_micro": "charge"}
        return words if self.has_action_permission(request) else words | HOSTS

    def get_fieldsets(self, request: HttpRequest, obj: Generation | None = None) -> Any:
        """Return all fields in one folded fieldset, below the cards of the page."""
        return [
            ("All fields", {**options, "classes": ["collapse"]}) for _, options in super().get_fieldsets(request, obj)
        ]

    def render_change_form(
        self, request: HttpRequest, context: Any, *, obj: Any = None, **options: Any
    ) -> HttpResponse:
        """Render the generation's page."""
        context.update(generation_page.page_context(request, obj), colour=COLOURS.get(obj.status, ""))
        context["tenant"] = getattr(self, self._tenant_field(request))(obj)
        context["audit_url"] = filtered_list_url("auditentry", target__exact=obj.pk)
        return super().render_change_form(request, context, obj=obj, **options)

    @display(description="Webhook URL")
    def webhook_host(self, generation: Generation) -> str:
        """Return the URL of the own webhook, cut behind its host."""
        return masked_urls.mask_urls(generation.webhook_url)

    @display(description="Image URL")
    def image_host(self, generation: Generation) -> str:
        """Return the URL of the image, cut behind its host."""
        return masked_urls.mask_urls(generation.image_url)

    @display(description="Last image URL")
    def last_image_host(self, generation: Generation) -> str:
        """Return the URL of the last image, cut behind its host."""
        return masked_urls.mask_urls(generation.last_image_url)

    @display(description="Status")
    def status_in_words(self, generation: Generation) -> str:
        """Return the status in sentence case."""
        return generation_page.format_status(generation.status)

    @display(description="Poster")
    def poster(self, generation: Generation) -> str:
        """Return the first frame of the video as an image, or an empty frame."""
        url = generation_page.sign(Signer.poster_url, generation) if generation.has_video else ""
        return render_to_string("generations/poster.html", {"url": url})

    @display(description="Size")
    def size(self, generation: Generation) -> str:
        """Return resolution, aspect ratio and duration; without what the model does not have."""
        known = [text for text in (generation.resolution, generation.aspect_ratio) if text]
        return " ".join([*known, f"{generation.duration}{NO_BREAK}s"])

    @display(description="Account")
    def upstream(self, generation: Generation) -> str:
        """Return the upstream account that the last attempt went to."""
        return generation_page.format_account(generation)

    @display(description="Charge")
    def charge(self, generation: Generation) -> str:
        """Return what the generation cost so far: what is charged, or still held."""
        return generation_page.format_charge(generation)

    def export_row(self, columns: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a row of the file: times by RFC 3339, the mode as a word, and what was charged in USD."""
        row = dict(zip(self.export_columns, columns, strict=True))
        charged = row["price_usd"] if row["charged_usd"] is None else row["charged_usd"]
        is_charged = row["status"] == Status.SUCCEEDED and not row["mode"]
        return tuple(
            {
                **row,
                "mode": format_mode(test=row["mode"]),
                "price_usd": amounts.format_usd(row["price_usd"]),
                "charged_usd": amounts.format_usd(charged if is_charged else 0),
                "created_at": times.rfc3339(row["created_at"]),
                "finished_at": times.rfc3339(row["finished_at"]),
            }.values()
        )

    attach = action_page.button(PAGES["attach"], "link")
    resubmit = action_page.button(PAGES["resubmit"], "send")
    release = action_page.button(PAGES["release"], "undo")
    give_up = action_page.button(PAGES["give_up"], "money_off", path="give-up")
    cancel = action_page.button(PAGES["cancel"], "cancel")
    run_now = action_page.button(PAGES["run_now"], "bolt", path="nudge")
    retry_copy = action_page.button(PAGES["retry_copy"], "cloud_download", path="retry-copy")
    fail = action_page.button(PAGES["fail"], "money_off")
    rerun = action_page.button(PAGES["rerun"], "replay")
    delete_files = action_page.button(PAGES["delete_files"], "delete", path="delete-files")

    run_selected_now = action_page.list_action(PAGES["run_now"])
    retry_selected_copies = action_page.list_action(PAGES["retry_copy"])
    cancel_selected = action_page.list_action(action_pages.page_to_cancel_many())
    fail_selected = action_page.list_action(PAGES["fail"])
