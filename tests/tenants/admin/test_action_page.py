"""Action pages: an action needs a permission, a reason and a POST, and a caller's text stays text."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from tenants import actions, audit
from tenants.models import ApiKey, AuditEntry, LedgerEntry, Tenant
from tests.http_client import Client
from tests.support.factories import Caller
from tests.support.panel import log_in_staff
from tests.tenants.admin.forms import (
    ALL_ACTIONS,
    PAGES,
    SCOPES,
    SCRIPT,
    address,
    audit_entries,
    tenant_form,
)

ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"


@pytest.mark.parametrize("action", ALL_ACTIONS)
def test_an_action_needs_a_reason_and_a_post(admin_client: Client, alice: Caller, action: str) -> None:
    model = "tenant" if action in PAGES["tenant"] else "apikey"
    row: Any = alice.tenant if model == "tenant" else alice.key
    form = {**tenant_form(per_day="1"), "scopes": SCOPES, "overlap": "1", "usd": "1", "label": "new", "reason": ""}
    before = [*Tenant.objects.values(), *ApiKey.objects.values()]
    assert admin_client.get(address(f"{model}_{action}", row)).status_code == 200
    assert "This field is required." in admin_client.post(address(f"{model}_{action}", row), form).content.decode()
    assert [*Tenant.objects.values(), *ApiKey.objects.values()] == before
    assert audit_entries(alice.tenant) == []
    assert not LedgerEntry.objects.exists()


@pytest.mark.parametrize("action", ALL_ACTIONS)
def test_a_viewer_performs_no_action(alice: Caller, action: str) -> None:
    model = "tenant" if action in PAGES["tenant"] else "apikey"
    row: Any = alice.tenant if model == "tenant" else alice.key
    viewer = log_in_staff("view_tenant", "view_apikey", "view_auditentry", "view_ledgerentry")
    path = address(f"{model}_{action}", row)
    assert viewer.get(path).status_code == (200 if action == "change" else 403)
    assert viewer.post(path, {"reason": "why"}).status_code == 403
    assert Client().post(path, {"reason": "why"})["Location"].startswith(reverse("admin:login"))
    assert AuditEntry.objects.filter(actor="viewer").count() == 0


def test_a_viewer_sees_the_tenant_without_actions(alice: Caller) -> None:
    alice.limit(usd_per_month_micro=2_000_000)
    page = log_in_staff("view_tenant", "view_apikey").get(address("tenant_change", alice.tenant)).content.decode()
    assert "2.000000" in page
    assert alice.key.prefix in page
    assert 'name="reason"' not in page
    urls = [address(f"tenant_{action}", alice.tenant) for action in ("create_key", "adjust", "suspend")]
    assert not [url for url in [*urls, address("apikey_roll", alice.key)] if url in page]


def test_every_action_requires_the_csrf_token_of_its_form(alice: Caller, admin_user: User) -> None:
    http = Client(sends_csrf_token=False)
    http.force_login(admin_user)
    for action in ("suspend", "adjust", "create_key", "change"):
        assert http.post(address(f"tenant_{action}", alice.tenant), {"reason": "why"}).status_code == 403
    assert http.post(address("apikey_revoke", alice.key), {"reason": "why"}).status_code == 403
    page = http.get(address("apikey_revoke", alice.key)).content.decode()
    [token] = re.findall(
        r'<form method="post" id="action_form".*?name="csrfmiddlewaretoken" value="(.*?)"', page, re.DOTALL
    )
    form = {"reason": "why", "csrfmiddlewaretoken": token, **http.open_form(address("apikey_revoke", alice.key))}
    assert http.post(address("apikey_revoke", alice.key), form).status_code == 302


@pytest.mark.parametrize("object_id", ["0", "x", "9" * 30])
def test_the_page_of_a_missing_row_is_not_found(admin_client: Client, object_id: str) -> None:
    for name in ("tenant_suspend", "apikey_revoke"):
        assert admin_client.get(reverse(f"admin:tenants_{name}", args=[object_id])).status_code == 404
    for name in ("tenant_change", "apikey_change"):
        assert admin_client.get(reverse(f"admin:tenants_{name}", args=[object_id])).status_code == 302


def test_a_hostile_name_is_text_everywhere(admin_client: Client) -> None:
    mallory = Caller(SCRIPT, label=SCRIPT)
    mallory.limit(per_day=1)
    actions.adjust(audit.Actor(name=SCRIPT, reason=SCRIPT), mallory.tenant, 1)
    lists = ["tenant_changelist", "auditentry_changelist", "apikey_changelist", "ledgerentry_changelist"]
    rows = ["tenant_change", *(f"tenant_{action}" for action in PAGES["tenant"])]
    pages = [*(address(name) for name in lists), *(address(name, mallory.tenant) for name in rows)]
    pages += [address(f"apikey_{action}", mallory.key) for action in ["change", *PAGES["apikey"]]]
    pages += [address("auditentry_change", AuditEntry.objects.latest("pk"))]
    for path in pages:
        page = admin_client.get(path).content.decode()
        assert SCRIPT not in page, path
        assert ESCAPED in page or "alert(1)" not in page, path
    response = admin_client.post(address("tenant_suspend", mallory.tenant), {"reason": SCRIPT}, follow=True)
    assert SCRIPT not in response.content.decode()
    assert f"done for {ESCAPED}" in response.content.decode()


def test_no_template_needs_an_inline_style_or_script() -> None:
    templates = [path.read_text() for path in Path("tenants/templates").rglob("*.html")]
    assert len(templates) > 3
    assert not [match for text in templates for match in re.findall(r"<script|<style|style=|\son\w+=|x-\w+=", text)]


def test_a_browser_may_send_the_panels_own_forms(client: Client) -> None:
    """A browser sends `Origin: null` under the policy no-referrer, and the CSRF check refuses that."""
    assert client.get("/admin/login/")["Referrer-Policy"] == "same-origin"


def test_a_login_without_a_target_leads_to_the_panel(client: Client, admin_user: Any) -> None:
    response = client.post("/admin/login/", {"username": "admin", "password": "password"})
    assert response["Location"] == "/admin/"
