"""The panel's pages of webhook deliveries, and the action that redelivers one."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from generations.admin import destinations, filters
from generations.models import Delivery, DeliveryAttempt
from generations.webhooks import endpoints
from tenants.admin import action_page
from tenants.admin.action_page import ActionPage
from tenants.admin.filters import ChoicesFilter, ModeFilter
from tenants.admin.forms import ActionForm
from tenants.admin.mixins import LongListMixin, ModeMixin, ReadOnlyMixin, TenantLinkMixin

REDELIVER = ActionPage(
    "Redeliver",
    "The same message is sent at once, with the same id. The retry schedule starts again.",
    ActionForm,
    endpoints.redeliver,
)


class AttemptInline(ReadOnlyMixin, TabularInline):
    """The delivery attempts on a delivery's page."""

    model = DeliveryAttempt
    fields = ["at", "outcome", "status_code", "milliseconds"]


@admin.register(Delivery)
class DeliveryAdmin(action_page.ActionPagesMixin, TenantLinkMixin, ModeMixin, LongListMixin, ReadOnlyMixin, ModelAdmin):
    """List webhook deliveries, newest first, and offer to redeliver one."""

    list_display = [
        *("created_at", "tenant", "type", "state", "mode", "short_destination"),
        *("attempts", "due_at", "finished_at"),
    ]
    list_filter = [
        ("status", ChoicesFilter),
        filters.EventTypeFilter,
        ("test", ModeFilter),
        ("tenant", AutocompleteSelectFilter),
    ]
    list_select_related = ["tenant", "endpoint"]
    search_fields = ["=id", "=message_id", "=generation__id", "=endpoint__id"]
    fields = [
        *("id", "message_id", "tenant", "type", "state", "destination", "format", "mode", "generation", "body"),
        *("created_at", "attempts", "due_at", "finished_at"),
    ]
    inlines = [AttemptInline]
    actions_detail = ["redeliver"]

    def get_fields(self, request: HttpRequest, obj: Delivery | None = None) -> Any:
        """Return the fields; a user who may not redeliver sees the destination's host alone."""
        if self.has_action_permission(request):
            return self.fields
        return ["short_destination" if name == "destination" else name for name in self.fields]

    @display(description="Status", ordering="status", label={"delivered": "success", "failed": "danger"})
    def state(self, delivery: Delivery) -> str:
        """Return the status, coloured if the delivery has finished."""
        return delivery.status

    @display(description="Destination")
    def short_destination(self, delivery: Delivery) -> str:
        """Return the URL of the destination, cut behind its host."""
        return destinations.host_of(delivery)

    @display(description="Destination")
    def destination(self, delivery: Delivery) -> str:
        """Return the whole URL of the destination as text: a tenant's address must not be a link in the panel."""
        return destinations.destination_of(delivery)

    redeliver = action_page.button(REDELIVER, "replay")
