"""The panel's pages of webhook endpoints, and the actions on an endpoint."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from unfold import widgets
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from generations.models import WebhookEndpoint
from generations.webhooks import endpoints, outbox, signing_secrets
from tenants import masked_urls, times
from tenants.admin import action_page
from tenants.admin.action_page import ActionPage
from tenants.admin.filters import ModeFilter
from tenants.admin.forms import ActionForm, HoursField, TextLineField
from tenants.admin.guards import StoredValuesForm, check_changes
from tenants.admin.mixins import ModeMixin, ReadOnlyMixin, TenantLinkMixin
from tenants.admin.one_time_secrets import OneTimeSecret
from tenants.audit import Actor
from tenants.models import Tenant

MAX_URL_CHARS = 2000  # as in the API
MAX_DISABLED_REASON_CHARS = 200  # the model's column


class EndpointForm(ActionForm):
    """The fields of an endpoint that an operator may set."""

    url = TextLineField(max_length=MAX_URL_CHARS, label="URL")
    events = forms.MultipleChoiceField(
        required=False,
        choices=[(name, name) for name in outbox.EVENT_TYPES],
        help_text=f"Events that are delivered. None selected: all except {', '.join(outbox.OPT_IN_TYPES)}.",
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget,
    )
    description = TextLineField(required=False, max_length=200)


class ChangeEndpointForm(StoredValuesForm, EndpointForm):
    """Change an endpoint; the form starts with the endpoint's present values."""

    def __init__(self, *args: Any, row: WebhookEndpoint, **options: Any) -> None:
        initial = {name: getattr(row, name) for name in ("url", "events", "description")}
        super().__init__(*args, row=row, initial=initial, **options)

    def clean(self) -> None:
        """Refuse a form that changes nothing, or would overwrite what others changed."""
        self.check_loaded()
        check_changes(self)


class CreateEndpointForm(EndpointForm):
    """Create an endpoint of a tenant."""

    tenant = forms.ModelChoiceField(Tenant.objects.order_by("name"), widget=widgets.UnfoldAdminSelectWidget)
    test = forms.BooleanField(
        required=False,
        label="Test mode",
        help_text="The endpoint receives events of generations that were created with test keys.",
        widget=widgets.UnfoldBooleanWidget,
    )

    field_order = ["tenant", "url", "events", "description", "test"]


class RotateSecretForm(ActionForm):
    """How long the old secret signs beside the new secret."""

    overlap = HoursField(
        label="Overlap in hours",
        initial=signing_secrets.DEFAULT_OVERLAP // timedelta(hours=1),
        min_value=0,
        max_value=signing_secrets.MAX_OVERLAP // timedelta(hours=1),
        help_text="How long both secrets sign.",
    )


def create_endpoint(actor: Actor, tenant: Tenant, url: str, **facts: Any) -> OneTimeSecret:
    """Create an endpoint and return its signing secret, to be shown once."""
    _, secret = endpoints.create(actor, tenant, url, **facts)
    return _one_time(secret)


def rotate_secret(actor: Actor, endpoint: WebhookEndpoint, overlap: timedelta) -> OneTimeSecret:
    """Replace an endpoint's signing secret and return the new secret, to be shown once."""
    secret, old_ends = endpoints.rotate_secret(actor, endpoint, overlap)
    return _one_time(secret, old_ends)


def disable_endpoint(actor: Actor, endpoint: WebhookEndpoint) -> None:
    """Disable an endpoint; the endpoint's page then shows the operator and the reason."""
    endpoints.disable(actor, endpoint, f"By {actor.name}: {actor.reason}"[:MAX_DISABLED_REASON_CHARS])


def redeliver_failed(actor: Actor, endpoint: WebhookEndpoint) -> str:
    """Send all failed deliveries of an endpoint again. Return how many, as a sentence."""
    return f"{endpoints.redeliver_failed(actor, endpoint)} failed deliveries are sent again."


def _one_time(secret: str, old_ends: datetime | None = None) -> OneTimeSecret:
    warning = "This secret is shown only once. Copy it now and give it to the tenant: reloading shows it no more."
    note = f"The old secret also signs until {times.readable(old_ends)} UTC." if old_ends else ""
    return OneTimeSecret("New secret", secret, warning, note)


CREATE = ActionPage(
    "Add webhook endpoint",
    "The endpoint receives the events of the tenant's generations. The next page shows the secret, only once.",
    CreateEndpointForm,
    create_endpoint,
)
CHANGE = ActionPage(
    "Change endpoint",
    "Pending deliveries go to the new URL.",
    ChangeEndpointForm,
    endpoints.change,
    lock=endpoints.lock,
)
ROTATE = ActionPage(
    "Rotate secret",
    "The next page shows a new secret, only once. Both secrets sign during the overlap.",
    RotateSecretForm,
    rotate_secret,
)
DISABLE = ActionPage(
    "Disable endpoint",
    "No new events are delivered to the endpoint. Pending deliveries fail.",
    ActionForm,
    disable_endpoint,
    "danger",
)
ENABLE = ActionPage(
    "Enable endpoint",
    "New events are delivered to the endpoint again. Failed deliveries can then be sent again, one by one or all.",
    ActionForm,
    endpoints.enable,
)
REDELIVER = ActionPage(
    "Redeliver failed",
    "All failed deliveries of the endpoint are sent again, each with the same id. Their retry schedules start again.",
    ActionForm,
    redeliver_failed,
)
DELETE = ActionPage(
    "Delete endpoint",
    "The tenant can no longer use the endpoint. The endpoint's deliveries stay in the log.",
    ActionForm,
    endpoints.delete,
    "danger",
)


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(action_page.ActionPagesMixin, TenantLinkMixin, ModeMixin, ReadOnlyMixin, ModelAdmin):
    """List the webhook endpoints of all tenants and offer the actions on an endpoint."""

    list_display = ["short_url", "tenant", "state", "mode", "failing_since", "created_at"]
    list_filter = [("test", ModeFilter), ("tenant", AutocompleteSelectFilter)]
    list_select_related = ["tenant"]
    search_fields = ["url", "tenant__name", "=id"]
    ordering = ["-created_at"]
    fields = [
        *("id", "tenant", "state", "whole_url", "description", "event_types", "mode"),
        *("failing_since", "disabled_at", "disabled_reason", "old_secret_until", "created_at"),
    ]
    actions_list = ["make"]
    actions_detail = ["change_endpoint", "rotate", "redeliver_failed", "disable", "enable", "remove"]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the endpoints that are not deleted."""
        return super().get_queryset(request).filter(deleted_at=None)

    def get_fields(self, request: HttpRequest, obj: WebhookEndpoint | None = None) -> Any:
        """Return the fields; a user who may not change the endpoint sees the host of its URL alone."""
        if self.has_action_permission(request):
            return self.fields
        return ["short_url" if name == "whole_url" else name for name in self.fields]

    def get_search_fields(self, request: HttpRequest) -> Any:
        """Return what is searched: a user who may not see a URL may not guess it by searching."""
        return [name for name in self.search_fields if name != "url" or self.has_action_permission(request)]

    def has_make_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may create endpoints."""
        return request.user.has_perm("generations.add_webhookendpoint")

    def unavailable_actions(self, row: WebhookEndpoint) -> tuple[str, ...]:
        """Return the actions that would change nothing, or are refused."""
        return ("disable", "redeliver_failed") if row.disabled_at else ("enable",)

    @display(description="URL")
    def short_url(self, endpoint: WebhookEndpoint) -> str:
        """Return the URL, cut behind its host."""
        return masked_urls.mask_urls(endpoint.url)

    @display(description="URL")
    def whole_url(self, endpoint: WebhookEndpoint) -> str:
        """Return the whole URL as text: a tenant's address must not be a link in the panel."""
        return endpoint.url

    @display(description="Events")
    def event_types(self, endpoint: WebhookEndpoint) -> str:
        """Return the types of the events that are delivered, or the default in words."""
        return ", ".join(endpoint.events) or f"all except {', '.join(outbox.OPT_IN_TYPES)}"

    @display(description="Old secret signs until")
    def old_secret_until(self, endpoint: WebhookEndpoint) -> datetime | None:
        """Return until when the secret before the last rotation signs too, or None if there is no such secret."""
        return endpoint.previous_until

    @display(description="State", label={"enabled": "success", "failing": "warning", "disabled": "danger"})
    def state(self, endpoint: WebhookEndpoint) -> str:
        """Return "enabled", "failing" or "disabled"."""
        if endpoint.disabled_at:
            return "disabled"
        return "failing" if endpoint.failing_since else "enabled"

    @action(description="Add endpoint", icon="add", permissions=["make"], url_path="make")
    def make(self, request: HttpRequest) -> HttpResponse:
        """Serve the page that creates an endpoint."""
        return self.serve_page(request, None, CREATE)

    change_endpoint = action_page.button(CHANGE, "tune", "Change", path="settings")
    rotate = action_page.button(ROTATE, "autorenew")
    redeliver_failed = action_page.button(REDELIVER, "replay", path="redeliver-failed")
    disable = action_page.button(DISABLE, "notifications_off", "Disable")
    enable = action_page.button(ENABLE, "notifications", "Enable")

    @action(description="Delete", icon="delete", permissions=["action"])
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Serve the page that deletes an endpoint, and return to the list afterwards."""
        return self.serve_action(request, object_id, DELETE, next_url=self.list_url())
