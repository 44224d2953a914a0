"""A tenant's generation policy is changed on the tenant's page, with a reason and an audit entry."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse

from tenants.models import AuditEntry, Tenant
from tests.http_client import Client
from tests.support.factories import Caller

pytestmark = pytest.mark.one_database


def policy_form(tenant: Tenant, **values: str) -> dict[str, str]:
    """Return the form of a tenant with only a generation policy."""
    common = {"on_doubt": tenant.on_doubt, "submit_deadline": "", "reason": "asked for"}
    return {"name": tenant.name, "time_zone": "UTC", **common, **values}


@pytest.fixture
def change(admin_client: Client, alice: Caller) -> Callable[..., Any]:
    """Return a function that posts Alice's form with the given values and returns the response."""
    path = reverse("admin:tenants_tenant_change", args=[alice.tenant.pk])
    return lambda **values: admin_client.post(path, policy_form(alice.tenant, **values))


def test_a_tenants_policy_is_changed_and_audited(change: Any, alice: Caller) -> None:
    assert change(on_doubt="resubmit", submit_deadline="5400").status_code == 302
    tenant = Tenant.objects.get(pk=alice.tenant.pk)
    assert (tenant.on_doubt, tenant.submit_deadline) == ("resubmit", 5400)
    entry = AuditEntry.objects.latest("pk")
    assert (entry.actor, entry.action, entry.reason) == ("admin", "change tenant", "asked for")
    assert entry.changes == {"on_doubt": ["hold", "resubmit"], "submit_deadline": [None, 5400]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"submit_deadline": "0"},
        {"submit_deadline": "-1"},
        {"submit_deadline": "soon"},
        {"submit_deadline": "604801"},
        {"submit_deadline": str(10**9)},
        {"submit_deadline": str(10**30)},
        {"on_doubt": "shrug"},
        {"on_doubt": ""},
    ],
)
def test_a_wrong_policy_is_an_error_of_its_field(change: Any, alice: Caller, wrong: dict[str, str]) -> None:
    response = change(**wrong)
    assert response.status_code == 200
    assert set(response.context["adminform"].form.errors) == set(wrong)
    assert Tenant.objects.get(pk=alice.tenant.pk).submit_deadline is None
    assert not AuditEntry.objects.filter(actor="admin").exists()


def test_the_policy_that_may_cost_says_so(admin_client: Client, alice: Caller) -> None:
    page = admin_client.get(reverse("admin:tenants_tenant_change", args=[alice.tenant.pk])).content.decode()
    assert re.search(r'<option value="resubmit">[^<]*may pay twice', page)
