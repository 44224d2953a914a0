"""Ops' view of webhooks: who is told, whether it arrives, and each tenant's endpoints by `endpoints`' verbs."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from unfold import widgets
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from generations.admin import filters
from generations.models import Delivery, DeliveryAttempt, WebhookEndpoint
from generations.webhooks import endpoints, outbox
from tenants import times
from tenants.admin import action_page
from tenants.admin.action_page import Once
from tenants.admin.forms import ActForm, Hours, Line, check_changes
from tenants.admin.mixins import Long, ReadOnly
from tenants.audit import Actor
from tenants.models import Tenant

LONGEST_URL = 2000  # characters, as in the API


class EndpointForm(ActForm):
    """What there is to say of an endpoint."""

    url = Line(max_length=LONGEST_URL, label="URL")
    events = forms.MultipleChoiceField(
        required=False,
        choices=[(name, name) for name in outbox.EVENT_TYPES],
        help_text=f"None: all of them but {', '.join(outbox.OPT_IN_TYPES)}.",
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget,
    )
    description = Line(required=False, max_length=200)


class ChangeForm(EndpointForm):
    """Starts from what the endpoint has."""

    def __init__(self, *args: Any, row: WebhookEndpoint, **options: Any) -> None:
        known = {name: getattr(row, name) for name in ("url", "events", "description")}
        super().__init__(*args, row=row, initial=known, **options)

    def clean(self) -> None:
        check_changes(self)


class MakeForm(EndpointForm):
    """A new endpoint of a tenant."""

    tenant = forms.ModelChoiceField(Tenant.objects.order_by("name"), widget=widgets.UnfoldAdminSelectWidget)
    test = forms.BooleanField(
        required=False, help_text="Told of the generations of test keys.", widget=widgets.UnfoldBooleanWidget
    )

    field_order = ["tenant", "url", "events", "description", "test"]


class RotateForm(ActForm):
    """How long the old secret signs beside the new one."""

    overlap = Hours(
        label="Overlap in hours",
        initial=endpoints.DEFAULT_OVERLAP // timedelta(hours=1),
        min_value=0,
        max_value=endpoints.MAX_OVERLAP // timedelta(hours=1),
        help_text="How long both sign.",
    )


def make(actor: Actor, tenant: Tenant, url: str, **facts: Any) -> Once:
    _, secret = endpoints.create(actor, tenant, url, **facts)
    return _shown(secret)


def rotate(actor: Actor, endpoint: WebhookEndpoint, overlap: timedelta) -> Once:
    secret, until = endpoints.rotate_secret(actor, endpoint, overlap)
    return _shown(secret, until)


def disable(actor: Actor, endpoint: WebhookEndpoint) -> None:
    endpoints.disable(actor, endpoint, f"By {actor.name}: {actor.reason}"[:200])


def _shown(secret: str, until: datetime | None = None) -> Once:
    sentence = "It is shown only this once: hand it to the tenant now."
    return Once(
        "The new secret", sentence, secret, f"The old one signs too until {times.readable(until)} UTC." if until else ""
    )


MAKE = action_page.Page(
    "Add a webhook endpoint",
    "The tenant's generations are told of there; its secret is shown this once, on the page that follows.",
    MakeForm,
    make,
)
CHANGE = action_page.Page(
    "Change the endpoint",
    "What is under way to it goes to the new address.",
    ChangeForm,
    endpoints.change,
)
ROTATE = action_page.Page(
    "Rotate the secret",
    "A new secret is shown this once, on the page that follows; both sign for a while.",
    RotateForm,
    rotate,
)
DISABLE = action_page.Page(
    "Disable", "It is told of nothing more; what is under way to it has failed.", ActForm, disable, "danger"
)
ENABLE = action_page.Page(
    "Enable", "It is told again. What failed meanwhile can be sent again, each.", ActForm, endpoints.enable
)
DELETE = action_page.Page(
    "Delete", "It is gone for its tenant; its deliveries stay in the log.", ActForm, endpoints.delete, "danger"
)
REDELIVER = action_page.Page(
    "Redeliver", "The same message with the same id, at once; its schedule begins anew.", ActForm, endpoints.redeliver
)


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(action_page.Acts, ReadOnly, ModelAdmin):
    list_display = ["address", "tenant", "state", "test", "failing_since", "created_at"]
    list_filter = ["test", ("tenant", AutocompleteSelectFilter)]
    list_select_related = ["tenant"]
    search_fields = ["url", "tenant__name", "=id"]
    ordering = ["-created_at"]
    fields = [
        *("id", "tenant", "state", "address", "description", "told_of", "test"),
        *("failing_since", "disabled_at", "disabled_reason", "previous_until", "created_at"),
    ]
    actions_list = ["make"]
    actions_detail = ["change_endpoint", "rotate", "disable", "enable", "remove"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(deleted_at=None)

    def has_make_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("generations.add_webhookendpoint")

    def impossible(self, row: WebhookEndpoint) -> tuple[str]:
        return ("disable",) if row.disabled_at else ("enable",)

    @display(description="URL")
    def address(self, endpoint: WebhookEndpoint) -> str:
        """As text: a tenant's address is nothing to click on."""
        return endpoint.url

    @display(description="Told of")
    def told_of(self, endpoint: WebhookEndpoint) -> str:
        return ", ".join(endpoint.events) or "all"

    @display(description="State", label={"enabled": "success", "failing": "warning", "disabled": "danger"})
    def state(self, endpoint: WebhookEndpoint) -> str:
        if endpoint.disabled_at:
            return "disabled"
        return "failing" if endpoint.failing_since else "enabled"

    @action(description="Add endpoint", icon="add", permissions=["make"], url_path="make")
    def make(self, request: HttpRequest) -> HttpResponse:
        return self.ask(request, None, MAKE)

    change_endpoint = action_page.button(CHANGE, "tune", "Change", path="settings")
    rotate = action_page.button(ROTATE, "autorenew", "Rotate secret")
    disable = action_page.button(DISABLE, "notifications_off")
    enable = action_page.button(ENABLE, "notifications")

    @action(description="Delete", icon="delete", permissions=["act"])
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.run_action(request, object_id, DELETE, back=self.list_address())


class AttemptInline(ReadOnly, TabularInline):
    model = DeliveryAttempt
    fields = ["at", "outcome", "status_code", "milliseconds"]


@admin.register(Delivery)
class DeliveryAdmin(action_page.Acts, Long, ReadOnly, ModelAdmin):
    list_display = ["created_at", "tenant", "type", "state", "receiver", "attempts", "due_at", "finished_at"]
    list_filter = ["status", filters.EventType, "test", ("tenant", AutocompleteSelectFilter)]
    list_select_related = ["tenant", "endpoint"]
    search_fields = ["=id", "=message_id", "=generation__id", "=endpoint__id"]
    fields = [
        *("id", "message_id", "tenant", "type", "state", "receiver", "format", "test", "generation", "body"),
        *("created_at", "attempts", "due_at", "finished_at"),
    ]
    inlines = [AttemptInline]
    actions_detail = ["redeliver"]

    @display(description="Status", ordering="status", label={"delivered": "success", "failed": "danger"})
    def state(self, delivery: Delivery) -> str:
        return delivery.status

    @display(description="Receiver")
    def receiver(self, delivery: Delivery) -> str:
        return delivery.endpoint.url if delivery.endpoint else delivery.url

    redeliver = action_page.button(REDELIVER, "replay")
