"""Addresses, forms and audit entries for the tests of the panel of tenants."""

import re
from typing import Any

from django.urls import reverse

from tenants.models import ApiKey, AuditEntry, Tenant
from tests.http_client import Client

KEY = re.compile(r"sds_(?:live|test)_\w{12}_\w{49}")
SCRIPT = "<script>alert(1)</script>"
SCOPES = list(ApiKey.Scope.values)
PAGES = {
    "tenant": ["create_key", "adjust", "suspend", "resume", "change"],
    "apikey": ["change_limits", "roll", "revoke"],
}
ALL_ACTIONS = [*PAGES["tenant"], *PAGES["apikey"]]


def address(name: str, row: Any = None) -> str:
    """Return the address of a page of the panel, for example `tenant_change` of a tenant."""
    return reverse(f"admin:tenants_{name}", args=[row.pk] if row else [])


def limits_form(**values: Any) -> dict[str, Any]:
    """Return the form's fields of all limits, empty except for the values."""
    names = ["requests_per_minute", "in_flight", "per_day", "per_month", "seconds_per_month", "usd_per_month"]
    return {**dict.fromkeys(names, ""), **values}


def tenant_form(**values: Any) -> dict[str, Any]:
    """Return the form of a tenant named alice, with other values where they are given."""
    common = {"name": "alice", "time_zone": "UTC", "on_doubt": "hold", "submit_deadline": "", "reason": "asked for"}
    return {**common, **limits_form(**values)}


def create_key(http: Client, tenant: Tenant, **values: Any) -> Any:
    """Post the form that creates a key."""
    form = {"label": "", "scopes": SCOPES, "expires_at": "", "reason": "asked for", **limits_form(), **values}
    return http.post(address("tenant_create_key", tenant), form, follow=True)


def audit_entries(tenant: Tenant) -> list[tuple[str, str, str]]:
    """Return action, target and reason of what the panel's user did to the tenant, newest first."""
    rows = AuditEntry.objects.filter(tenant=tenant, actor="admin").order_by("-pk")
    return [(row.action, row.target, row.reason) for row in rows]
