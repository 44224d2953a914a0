"""The panel's pages of models: how each one of the catalogue fares, when it ends, and the actions of operators.

The list is of the catalogue's models, and not of rows: only a model whose state an operator has set has a row. Who sees
the status of the upstream sees the models, and who may act on generations acts on them.
"""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display

from generations.admin import account_entries, model_entries
from generations.admin.model_actions import PAGES, model_of
from generations.catalog import states, video_models
from generations.models import ModelState
from generations.reports import model_statistics
from generations.reports.hourly_statistics import Counts
from tenants import times
from tenants.admin import action_page
from tenants.admin.mixins import ReadOnlyMixin
from tenants.db import clock

State = ModelState.State
NONE = "–"
TASKS = {"i2v": "image to video", "t2v": "text to video", "both": "text or image to video"}
FIELDS: tuple[str, ...] = ("model", "title", "task", "state_in_words", "retires_on", "replaced_by", "last_success")
FIELDS += ("last_day", "price", "route", "generations", "unknown", "source")


@admin.register(ModelState)
class ModelStateAdmin(action_page.ActionPagesMixin, ReadOnlyMixin, ModelAdmin):
    """List the models of the catalogue, show one on a page of its own, and offer the actions on it."""

    fields = FIELDS
    actions_detail = [*PAGES]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may see the upstream's status."""
        return request.user.has_perm("generations.view_pause")

    def has_action_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may act on generations."""
        return request.user.has_perm("generations.change_generation")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Serve the list of the catalogue's models."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "Models"}
        return TemplateResponse(
            request, "generations/models.html", {**context, "entries": model_entries.entries(clock.now())}
        )

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> ModelState | None:
        """Return the state of a model as it is, as a row that may not be stored; None if there is no such model."""
        model = video_models.get(unquote(object_id))
        if model is None:
            return None
        status = states.read(model)
        columns = {"retires_at": status.retires_at, "announced_at": status.announced_at}
        return ModelState(model=model.id, state=status.state, replacement=status.replacement or "", **columns)

    def unavailable_actions(self, row: ModelState) -> set[str]:
        """Return the names of actions that make no sense in the model's present state."""
        if row.state == State.RETIRED:
            return {"hide", "deprecate", "retire"}
        is_plain = row.state == State.ACTIVE and row.retires_at is None
        return {"restore"} if is_plain else {"hide"} if row.state == State.HIDDEN else set()

    @display(description="Title")
    def title(self, row: ModelState) -> str:
        """Return the model's name for people."""
        return model_of(row).row.title

    @display(description="Task")
    def task(self, row: ModelState) -> str:
        """Return what the model makes a video of."""
        return TASKS[model_of(row).row.task]

    @display(description="State")
    def state_in_words(self, row: ModelState) -> str:
        """Return the state, and who set it if an operator did."""
        override = states.overrides().get(row.model)
        if override is None:
            return row.state
        return f"{row.state}, set at {times.readable(override.changed_at)} UTC: {override.reason}"

    @display(description="Retires on (UTC)")
    def retires_on(self, row: ModelState) -> str:
        """Return the first day without the model, and when it was announced."""
        if row.retires_at is None:
            return NONE
        return f"{row.retires_at}" + (f", announced on {row.announced_at}" if row.announced_at else "")

    @display(description="Replacement")
    def replaced_by(self, row: ModelState) -> str:
        """Return the model that callers should use instead."""
        return row.replacement or NONE

    @display(description="Last success (UTC)")
    def last_success(self, row: ModelState) -> str:
        """Return when a live generation of the model last succeeded."""
        at = model_statistics.last_success(row.model)
        return times.readable(at) if at else NONE

    @display(description="Last 24 hours")
    def last_day(self, row: ModelState) -> str:
        """Return how the model's live generations fared."""
        counts = model_statistics.count_last_day(clock.now()).get(row.model, Counts())
        rate, median = counts.success_percent or NONE, counts.median_duration or NONE
        return f"{counts.succeeded} succeeded, {counts.failed} failed; success rate {rate}; median {median} to video"

    @display(description="Price")
    def price(self, row: ModelState) -> str:
        """Return the price, as short as possible."""
        return model_entries.format_price(model_of(row))

    @display(description="Upstream")
    def route(self, row: ModelState) -> str:
        """Return the accounts in their order, with the model's name there, and which one takes its submits now."""
        return "; ".join(
            f"{offer.account}: {offer.target} ({offer.state}{', next submit' if offer.is_next else ''})"
            for offer in account_entries.offers_of(model_of(row))
        )

    @display(description="Generations")
    def generations(self, row: ModelState) -> Any:
        """Return a link to the list of the model's generations."""
        url = model_entries.generations_url(row.model)
        return format_html('<a class="text-link" href="{}">Generations of {}</a>', url, row.model)

    @display(description="Unknown")
    def unknown(self, row: ModelState) -> str:
        """Return what its file says that is not known of the model."""
        return " ".join(model_of(row).row.unknown) or NONE

    @display(description="Source")
    def source(self, row: ModelState) -> str:
        """Return where the facts come from, and when they were checked."""
        facts = model_of(row).row
        checked = f"checked on {facts.checked_at}" if facts.checked_at else ""
        return ", ".join(filter(None, (facts.source, checked))) or NONE

    hide = action_page.button(PAGES["hide"], "visibility_off")
    deprecate = action_page.button(PAGES["deprecate"], "event_busy")
    retire = action_page.button(PAGES["retire"], "block")
    restore = action_page.button(PAGES["restore"], "restart_alt")
