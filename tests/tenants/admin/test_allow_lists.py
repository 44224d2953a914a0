"""The lists of models and networks are changed on the pages of tenants and keys."""

import re
from typing import Any

import pytest

from tenants import actions
from tenants.known_models import known_models
from tenants.models import ApiKey, AuditEntry, Tenant
from tests.http_client import Client
from tests.support.factories import ACTOR, Caller
from tests.support.panel import log_in_staff
from tests.tenants.admin.forms import KEY, address, create_key, limits_form, tenant_form

LITE, PRO = "seedance-v1-lite-i2v", "seedance-v1-pro-i2v"
LISTS = {"allowed_models": [LITE, PRO], "allowed_networks": ["192.0.2.0/24", "2001:db8::7/128"]}
WRITTEN = {"allowed_models": f"{LITE}, {PRO}", "allowed_networks": "192.0.2.0/24\r\n2001:db8::7\r\n"}

pytestmark = pytest.mark.one_database


@pytest.fixture(autouse=True)
def _models(monkeypatch: Any) -> None:
    """Let the catalogue have two models."""
    monkeypatch.setattr(known_models, "_source", lambda: [LITE, PRO])


def change_key(http: Client, key: ApiKey, **values: Any) -> Any:
    """Post the form that changes a key."""
    form = {"label": "", "reason": "asked for", **limits_form(), **values}
    return http.post(address("apikey_change_limits", key), form)


def test_a_tenants_lists_are_changed_and_emptied(admin_client: Client, alice: Caller) -> None:
    page = address("tenant_change", alice.tenant)
    assert admin_client.post(page, {**tenant_form(), **WRITTEN}).status_code == 302
    assert Tenant.objects.get(pk=alice.tenant.pk).allow_lists == LISTS
    assert AuditEntry.objects.get(actor="admin").changes == {name: [[], items] for name, items in LISTS.items()}
    text = admin_client.get(page).content.decode()
    assert f">{LITE}\n{PRO}</textarea>" in text
    assert "192.0.2.0/24\n2001:db8::7/128</textarea>" in text
    form = {**tenant_form(), "allowed_models": "", "allowed_networks": "192.0.2.0/24,2001:db8::7/128"}
    assert admin_client.post(page, form).status_code == 302
    assert Tenant.objects.get(pk=alice.tenant.pk).allow_lists == {**LISTS, "allowed_models": []}
    assert "No changes." in admin_client.post(page, form).content.decode()


def test_a_tenant_is_created_with_lists(admin_client: Client) -> None:
    assert admin_client.post(address("tenant_add"), {**tenant_form(), **WRITTEN}).status_code == 302
    assert Tenant.objects.get().allow_lists == LISTS


def test_a_key_is_created_and_changed_with_lists(admin_client: Client, alice: Caller) -> None:
    assert KEY.search(create_key(admin_client, alice.tenant, label="new", **WRITTEN).content.decode())
    key = ApiKey.objects.get(label="new")
    assert key.allow_lists == LISTS
    page = admin_client.get(address("tenant_change", alice.tenant)).content.decode()
    assert f"models: {LITE}, {PRO}" in page
    assert "networks: 192.0.2.0/24, 2001:db8::7/128" in page
    assert change_key(admin_client, key, label="new", allowed_models=PRO).status_code == 302
    key.refresh_from_db()
    assert key.allow_lists == {"allowed_models": [PRO], "allowed_networks": []}
    text = admin_client.get(address("apikey_change", key)).content.decode()
    assert PRO in text
    assert "Allowed networks" in text


WRONG = {
    "allowed_models": ("sora", f"The models are: {LITE}, {PRO}."),
    "allowed_networks": ("192.0.2.0/24, 192.0.2.7/24", "Write 192.0.2.0/24 for the network"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("page", ["tenant", "key", "new key"])
def test_a_wrong_item_is_an_error_of_its_field(admin_client: Client, alice: Caller, page: str, name: str) -> None:
    value, words = WRONG[name]
    if page == "tenant":
        response = admin_client.post(address("tenant_change", alice.tenant), {**tenant_form(), name: value})
        form = response.context["adminform"].form
    elif page == "key":
        response = change_key(admin_client, alice.key, **{name: value})
        form = response.context["form"]
    else:
        response = create_key(admin_client, alice.tenant, **{name: value})
        form = response.context["form"]
    assert response.status_code == 200
    assert list(form.errors) == [name]
    assert words in str(form.errors[name])
    assert value.partition(",")[0] in response.content.decode()  # what was entered stays in the field
    assert not AuditEntry.objects.filter(actor="admin").exists()


def test_a_list_that_others_changed_is_not_overwritten(admin_client: Client, alice: Caller) -> None:
    path = address("tenant_change", alice.tenant)
    opened = admin_client.open_form(path)
    actions.change_tenant(ACTOR, alice.tenant, allowed_models=[PRO])
    form = {**tenant_form(), **opened, "allowed_models": LITE}
    response = admin_client.post(path, form)
    assert f"Allowed models: yours is {LITE}, stored is {PRO}." in response.content.decode()
    assert Tenant.objects.get(pk=alice.tenant.pk).allowed_models == [PRO]


def test_a_listed_model_that_left_the_catalogue_stays_on_the_form(
    admin_client: Client, alice: Caller, monkeypatch: Any
) -> None:
    actions.change_tenant(ACTOR, alice.tenant, allowed_models=[PRO])
    actions.change_key(ACTOR, alice.key, allowed_models=[PRO])
    monkeypatch.setattr(known_models, "_source", lambda: [LITE])
    both = f"{PRO}\n{LITE}"
    form = {**tenant_form(), "allowed_models": both}
    assert admin_client.post(address("tenant_change", alice.tenant), form).status_code == 302
    assert change_key(admin_client, alice.key, allowed_models=both).status_code == 302
    assert ApiKey.objects.select_related("tenant").get().tenant.allowed_models == [PRO, LITE]
    assert ApiKey.objects.get().allowed_models == [PRO, LITE]


def test_a_user_who_may_only_view_reads_the_lists(alice: Caller) -> None:
    actions.change_tenant(ACTOR, alice.tenant, allowed_networks=["192.0.2.0/24", "::1"])
    page = log_in_staff("view_tenant", "view_apikey").get(address("tenant_change", alice.tenant)).content.decode()
    shown = re.findall(r'<div class="readonly[^>]*>\s*(.*?)\s*</div>', page)
    assert {"all", "192.0.2.0/24<br>::1/128"} <= set(shown)
    assert "<textarea" not in page
