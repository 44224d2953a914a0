"""Rows link to their tenant, in lists and on pages, for those who may view tenants. The tenant's page links back."""

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from generations.models import Delivery, LimitWarning
from tenants.models import AuditEntry, LedgerEntry, Tenant
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.support.panel import log_in_staff
from tests.support.webhooks import make_endpoint

LISTS = ("generations_generation", "generations_seedrecord", "generations_webhookendpoint", "generations_delivery")
LISTS += ("generations_limitwarning", "tenants_apikey", "tenants_ledgerentry", "tenants_auditentry")
VIEWS = [f"view_{name.partition('_')[2]}" for name in LISTS]


@pytest.fixture
def rows(alice: Caller) -> dict[str, Any]:
    """Return a row of Alice's for each list, by the prefix of the names of its pages."""
    g, endpoint = make_generation(alice), make_endpoint(alice)
    columns = {"tenant": alice.tenant, "test": False, "type": "generation.succeeded", "due_at": timezone.now()}
    now = timezone.now()
    limit = {"kind": "per_day", "starts_at": now, "ends_at": now, "percent": 50, "used": 1, "limit": 2}
    return {
        "generations_generation": g,
        "generations_seedrecord": g,
        "generations_webhookendpoint": endpoint,
        "generations_delivery": Delivery.objects.create(endpoint=endpoint, message_id="evt_1", **columns),
        "generations_limitwarning": LimitWarning.objects.create(tenant=alice.tenant, **limit),
        "tenants_apikey": alice.key,
        "tenants_ledgerentry": LedgerEntry.objects.get(generation_id=g.pk),
        "tenants_auditentry": AuditEntry.objects.filter(tenant=alice.tenant).first(),
    }


def link_to(tenant: Tenant) -> str:
    return f'<a class="text-link" href="{reverse("admin:tenants_tenant_change", args=[tenant.pk])}">alice</a>'


def text(http: Client, name: str, *args: Any) -> str:
    answer = http.get(reverse(f"admin:{name}", args=args), follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


@pytest.mark.parametrize("name", LISTS)
def test_a_row_links_to_its_tenant_in_the_list_and_on_its_page(
    admin_client: Client, rows: dict[str, Any], alice: Caller, name: str
) -> None:
    for page in (text(admin_client, f"{name}_changelist"), text(admin_client, f"{name}_change", rows[name].pk)):
        assert link_to(alice.tenant) in page


@pytest.mark.parametrize("name", [name for name in LISTS if name != "generations_limitwarning"])
def test_who_may_not_view_tenants_sees_the_name_alone(rows: dict[str, Any], alice: Caller, name: str) -> None:
    http = log_in_staff(*VIEWS)
    for page in (text(http, f"{name}_changelist"), text(http, f"{name}_change", rows[name].pk)):
        assert "alice" in page
        assert reverse("admin:tenants_tenant_change", args=[alice.tenant.pk]) not in page


def test_an_entry_of_no_tenant_has_no_link(admin_client: Client, db: None) -> None:
    entry = AuditEntry.objects.create(actor="shell:root", action="prune", target="all tenants")
    for page in (
        text(admin_client, "tenants_auditentry_changelist"),
        text(admin_client, "tenants_auditentry_change", entry.pk),
    ):
        assert "/admin/tenants/tenant/None/" not in page


@pytest.mark.parametrize("name", [*LISTS, "tenants_refusalcount"])
def test_a_tenants_page_leads_to_its_rows_of_each_kind(admin_client: Client, alice: Caller, name: str) -> None:
    page = admin_client.get(reverse("admin:tenants_tenant_change", args=[alice.tenant.pk]))
    address = reverse(f"admin:{name}_changelist", query={"tenant__id__exact": alice.tenant.pk})
    assert address in [link for _, link in page.context["links"]]
    assert admin_client.get(address).status_code == 200
