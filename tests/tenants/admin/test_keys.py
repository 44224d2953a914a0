"""The panel's pages of keys: a key is shown once, and each action leaves an audit entry."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from tenants.models import ApiKey, AuditEntry
from tests.http_client import Client, with_key
from tests.support.factories import Caller
from tests.support.panel import log_in_staff
from tests.tenants.admin.forms import KEY, SCOPES, SCRIPT, address, audit_entries, create_key, limits_form


def test_a_new_key_works_and_appears_on_one_page_only(
    admin_client: Client, alice: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    response = create_key(admin_client, alice.tenant, label="batch", per_day="7", usd_per_month="0.5")
    page = response.content.decode()
    [text] = KEY.findall(page)
    assert "no-store" in response["Cache-Control"]
    assert with_key(text).get("/v1/generations").status_code == 200
    key = ApiKey.objects.get(label="batch")
    assert (key.per_day, key.usd_per_month_micro, key.scopes) == (7, 500_000, SCOPES)
    assert audit_entries(alice.tenant) == [("mint key", key.prefix, "asked for")]
    stored = str([session.get_decoded() for session in Session.objects.all()]) + str(AuditEntry.objects.values())
    paths = [
        address("tenant_create_key", alice.tenant),
        address("tenant_change", alice.tenant),
        address("apikey_changelist"),
    ]
    pages = "".join(admin_client.get(path).content.decode() for path in paths)
    assert text not in stored + pages + caplog.text


def test_a_new_key_has_the_selected_scopes_and_the_expiry(admin_client: Client, alice: Caller) -> None:
    expires_at = timezone.now().replace(second=0, microsecond=0) + timedelta(days=2)
    page = create_key(
        admin_client, alice.tenant, label="r", scopes=SCOPES[2:], expires_at=f"{expires_at:%Y-%m-%dT%H:%M}"
    )
    [text] = KEY.findall(page.content.decode())
    assert with_key(text).get("/v1/generations").status_code == 403
    assert ApiKey.objects.get(label="r").expires_at == expires_at


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": ""},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"expires_at": "2020-01-01T00:00"},
        {"usd_per_month": "0.1234567"},
        {"label": "x" * 101},
        {"label": "zero\u200bwidth"},
    ],
)
def test_a_wrong_form_creates_no_key(admin_client: Client, alice: Caller, wrong: dict[str, Any]) -> None:
    response = create_key(admin_client, alice.tenant, **wrong)
    assert response.status_code == 200
    assert not KEY.search(response.content.decode())
    assert alice.tenant.keys.count() == 1
    assert audit_entries(alice.tenant) == []


def test_a_test_key_needs_a_sandbox(admin_client: Client, alice: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = ""
    assert "Test keys need a sandbox" in create_key(admin_client, alice.tenant, test="on").content.decode()
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    assert KEY.search(create_key(admin_client, alice.tenant, test="on").content.decode())
    assert alice.tenant.keys.filter(test=True).count() == 1


def test_a_rolled_key_has_a_successor_and_an_end(admin_client: Client, alice: Caller) -> None:
    response = admin_client.post(address("apikey_roll", alice.key), {"overlap": "2", "reason": "leaver"}, follow=True)
    [text] = KEY.findall(response.content.decode())
    assert "no-store" in response["Cache-Control"]
    assert with_key(text).get("/v1/generations").status_code == 200
    expires_at = ApiKey.objects.get(pk=alice.key.pk).expires_at
    assert expires_at
    assert abs(expires_at - timezone.now() - timedelta(hours=2)) < timedelta(minutes=1)
    new = alice.tenant.keys.exclude(pk=alice.key.pk).get()
    # The action changes two keys: the old key gets an end, and the new key begins.
    assert audit_entries(alice.tenant) == [("mint key", new.prefix, "leaver"), ("roll key", alice.key.prefix, "leaver")]


@pytest.mark.parametrize("overlap", ["", "-1", "721", "soon"])
def test_an_overlap_is_a_month_at_most(admin_client: Client, alice: Caller, overlap: str) -> None:
    admin_client.post(address("apikey_roll", alice.key), {"overlap": overlap, "reason": "why"})
    assert alice.tenant.keys.count() == 1


def test_a_revoked_key_is_refused_and_neither_revoked_again_nor_rolled(admin_client: Client, alice: Caller) -> None:
    admin_client.post(address("apikey_revoke", alice.key), {"reason": "leaked"})
    assert alice.http.get("/v1/generations").status_code == 401
    again = admin_client.post(address("apikey_revoke", alice.key), {"reason": "again"})
    rolled = admin_client.post(address("apikey_roll", alice.key), {"reason": "again", "overlap": "1"})
    assert "revoked before" in again.content.decode()
    assert "is revoked" in rolled.content.decode()
    assert audit_entries(alice.tenant) == [("revoke key", alice.key.prefix, "leaked")]


def test_a_keys_label_and_limits_are_changed(admin_client: Client, alice: Caller) -> None:
    alice.limit_key(per_day=5, per_month=6)
    page = address("apikey_change_limits", alice.key)
    admin_client.post(page, {"label": "night", "reason": "budget", **limits_form(per_month="6", usd_per_month="1")})
    key = ApiKey.objects.get(pk=alice.key.pk)
    assert (key.label, key.per_day, key.per_month, key.usd_per_month_micro) == ("night", None, 6, 1_000_000)
    assert audit_entries(alice.tenant) == [("change key", alice.key.prefix, "budget")]
    assert (
        "No changes."
        in admin_client.post(
            page, {"label": "night", "reason": "x", **limits_form(per_month="6", usd_per_month="1.0")}
        ).content.decode()
    )


def test_the_tenants_page_lists_its_keys_and_not_anothers(admin_client: Client, alice: Caller, bob: Caller) -> None:
    capped = alice.with_key(label=SCRIPT, limits={"usd_per_month_micro": 1_500_000})
    page = admin_client.get(address("tenant_change", alice.tenant)).content.decode()
    assert alice.key.prefix in page
    assert capped.key.prefix in page
    assert "USD per month: 1.500000" in page
    assert bob.key.prefix not in page
    assert SCRIPT not in page
    assert address("apikey_roll", alice.key) in page


def test_a_user_who_may_not_create_keys_rolls_none(alice: Caller) -> None:
    http = log_in_staff("change_apikey", "change_tenant", "view_tenant")
    assert http.post(address("apikey_roll", alice.key), {"reason": "why", "overlap": "1"}).status_code == 403
    assert http.post(address("tenant_create_key", alice.tenant), {"reason": "why"}).status_code == 403
    assert http.post(address("apikey_revoke", alice.key), {"reason": "why"}).status_code == 302


def test_the_history_of_a_missing_key_is_not_found(admin_client: Client) -> None:
    assert admin_client.get("/admin/tenants/apikey/abc/history/").status_code == 404
