"""The panel's pages of API keys, and the actions that create, change, roll and revoke a key."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.forms import BooleanField
from django.http import HttpRequest
from django.urls import reverse
from unfold import widgets
from unfold.admin import ModelAdmin
from unfold.decorators import display

from tenants import actions, locks, name_lists, times
from tenants.admin import action_page, forms
from tenants.admin.action_page import ActionPage
from tenants.admin.filters import ModeFilter
from tenants.admin.mixins import AllowListsMixin, ModeMixin, ReadOnlyMixin, TenantLinkMixin, UsdLimitMixin
from tenants.admin.one_time_secrets import OneTimeSecret
from tenants.audit import Actor
from tenants.errors import NotPossible
from tenants.keys.key_format import NewKey
from tenants.models import ApiKey, Tenant

MAX_SHOWN_NAMES = 3  # of a list, in the list of keys
SHOWN_ONCE = "This key is shown only once. Copy it now: reloading this page shows it no more."


class CancelQueuedForm(forms.ActionForm):
    """Ask whether to cancel what is queued as well."""

    cancel_queued = BooleanField(
        required=False,
        label="Cancel its queue",
        help_text="Queued generations end now, and their holds are released. Nothing was paid for them.",
        widget=widgets.UnfoldBooleanWidget,
    )


def create_key(actor: Actor, tenant: Tenant, **facts: Any) -> OneTimeSecret:
    """Create a key of the tenant and return the key's text, to be shown once."""
    return _one_time(actions.create_key(actor, tenant, **facts))


def roll_key(actor: Actor, key: ApiKey, overlap: timedelta) -> OneTimeSecret:
    """Replace a key and return the new key's text, to be shown once."""
    return _one_time(*actions.roll_key(actor, key, overlap))


def revoke_key(actor: Actor, key: ApiKey, cancel_queued: bool) -> str:
    """Revoke a key. Return what was done, as a sentence. Raise NotPossible if the key was revoked before."""
    count = actions.revoke_key(actor, key, cancel_queued=cancel_queued)
    if count is None:
        raise NotPossible(reason="The key was revoked before.")
    return f"Revoke key: done for {key}." + describe_cancelled(cancel_queued, count)


def describe_cancelled(cancel_queued: bool, count: int) -> str:
    """Return how many queued generations were cancelled, as a sentence that follows another, if they were to be."""
    return f" {count} queued generations were cancelled." if cancel_queued else ""


def lists_of(key: ApiKey) -> list[tuple[str, str]]:
    """Return the lists of a key that are not empty, each with its name and the first items."""
    lists = {"models": key.allowed_models, "networks": key.allowed_networks}
    return [(name, name_lists.describe(items, MAX_SHOWN_NAMES)) for name, items in lists.items() if items]


def _one_time(new: NewKey, old_ends: datetime | None = None) -> OneTimeSecret:
    note = f"The old key stays valid until {times.readable(old_ends)} UTC." if old_ends else ""
    return OneTimeSecret("New key", new.text, SHOWN_ONCE, note)


CREATE = ActionPage(
    "Create key",
    "The next page shows the key, only once. The limits and lists apply to this key alone. Empty: no limit.",
    forms.CreateKeyForm,
    create_key,
)
CHANGE = ActionPage(
    "Change key",
    "The limits and lists apply to this key alone, within the tenant's own. Empty: no limit.",
    forms.ChangeKeyForm,
    actions.change_key,
    lock=lambda key: locks.lock_key(key.pk),
)
ROLL = ActionPage(
    "Roll key",
    "The next page shows a new key with the same permissions, only once. The old key expires after the overlap.",
    forms.RollForm,
    roll_key,
)
REVOKE = ActionPage(
    "Revoke key",
    "Requests with this key are refused from now on. This cannot be undone. What it has queued goes on, unless you "
    "cancel it as well.",
    CancelQueuedForm,
    revoke_key,
    "danger",
)


class CreateKeyPermissionMixin:
    """The permission to create keys, as a method of a ModelAdmin.

    unfold looks up permission names in the database, which may not be migrated yet.
    """

    def has_create_key_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may create keys."""
        return request.user.has_perm("tenants.add_apikey")


@admin.register(ApiKey)
class ApiKeyAdmin(
    action_page.ActionPagesMixin,
    CreateKeyPermissionMixin,
    AllowListsMixin,
    UsdLimitMixin,
    TenantLinkMixin,
    ModeMixin,
    ReadOnlyMixin,
    ModelAdmin,
):
    """List the API keys of all tenants and offer the actions on a key."""

    list_display = ["prefix", "tenant", "label", "mode", "scope_names", "last_used_at", "expires_at", "revoked_at"]
    list_select_related = ["tenant"]
    list_filter = [("test", ModeFilter)]
    search_fields = ["prefix", "label", "tenant__name"]
    fieldsets = [
        (None, {"fields": ["tenant", "prefix", "label", "mode", "scope_names"]}),
        ("Key limits", {"fields": [*forms.LIMIT_FIELDS, *AllowListsMixin.LIST_COLUMNS]}),
        ("Times (UTC)", {"fields": ["created_at", "last_used_at", "expires_at", "revoked_at"]}),
    ]
    actions_detail = ["change_limits", "roll", "revoke"]

    @display(description="Scopes")
    def scope_names(self, key: ApiKey) -> str:
        """Return the key's scopes, separated by commas."""
        return ", ".join(key.scopes)

    def row_url(self, row: ApiKey) -> str:
        """Return the address of the tenant's page, which shows the outcome of all actions on the tenant's keys."""
        return reverse("admin:tenants_tenant_change", args=[row.tenant_id])

    def unavailable_actions(self, row: ApiKey) -> list[str]:
        """Return all actions for a revoked key."""
        return self.actions_detail if row.revoked_at else []

    def audit_filter(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """Filter the audit log by the key's prefix, by which audit entries name a key."""
        return {"target__exact": self.get_row(request, object_id).prefix}

    change_limits = action_page.button(CHANGE, "tune", "Change", path="limits")
    # Rolling creates a key as well: a user without the permission to create keys must not obtain a key by rolling.
    roll = action_page.button(ROLL, "autorenew", "Roll", permissions=["action", "create_key"])
    revoke = action_page.button(REVOKE, "key_off", "Revoke")
