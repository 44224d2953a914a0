"""A form of the panel acts once, and overwrites nothing that others saved after it was opened."""

import html
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from tenants import actions
from tenants.admin import guards
from tenants.models import ApiKey, AuditEntry, LedgerEntry, Tenant
from tests.http_client import Client
from tests.support.factories import ACTOR, Caller
from tests.support.panel import log_in
from tests.tenants.admin.forms import KEY, SCOPES, address, limits_form, tenant_form


def text_of(response: Any) -> str:
    """Return the text of a page, in one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def test_an_adjustment_that_is_sent_twice_is_booked_once(admin_client: Client, alice: Caller) -> None:
    page = address("tenant_adjust", alice.tenant)
    form = {"usd": "2.5", "reason": "by phone", **admin_client.open_form(page)}
    for _ in range(3):
        response = admin_client.post(page, form, follow=True)
        assert response.redirect_chain[0][0] == address("tenant_change", alice.tenant)
    assert "This form was sent before. It acted once" in text_of(response)
    assert [row.amount_micro for row in LedgerEntry.objects.all()] == [2_500_000]


def test_a_form_that_is_opened_again_acts_again(admin_client: Client, alice: Caller) -> None:
    for _ in range(2):
        admin_client.post(address("tenant_adjust", alice.tenant), {"usd": "1", "reason": "by phone"})
    assert LedgerEntry.objects.count() == 2


def test_going_back_to_a_form_that_has_acted_opens_no_new_one(admin_client: Client, alice: Caller) -> None:
    text = admin_client.get(address("tenant_change", alice.tenant)).content.decode()
    [link] = set(re.findall(rf'href="({address("tenant_adjust", alice.tenant)}[^"]*)"', text))
    assert admin_client.open_form(link)["form_token"] == link.partition("?form=")[2]
    assert admin_client.post(link, {"usd": "1", "reason": "by phone"}).status_code == 302
    assert admin_client.post(link, {"usd": "1", "reason": "by phone"}).status_code == 302
    assert LedgerEntry.objects.count() == 1
    back = admin_client.get(link, follow=True)
    assert back.redirect_chain[0][0] == address("tenant_change", alice.tenant)
    assert "This form was sent before" in text_of(back)
    again = admin_client.get(address("tenant_change", alice.tenant)).content.decode()
    assert link not in again  # the page's button opens another form


def test_a_form_that_was_refused_may_be_sent_again(admin_client: Client, alice: Caller) -> None:
    page = address("tenant_adjust", alice.tenant)
    hidden = admin_client.open_form(page)
    assert admin_client.post(page, {"usd": "-1", "reason": "goodwill", **hidden}).status_code == 200
    assert admin_client.post(page, {"usd": "1", "reason": "by phone", **hidden}).status_code == 302
    assert LedgerEntry.objects.count() == 1


@pytest.mark.parametrize("action", ["create_key", "roll"])
def test_a_key_is_created_once_and_shown_once(admin_client: Client, alice: Caller, action: str) -> None:
    page = address("tenant_create_key", alice.tenant) if action == "create_key" else address("apikey_roll", alice.key)
    form = {"label": "", "scopes": SCOPES, "overlap": "1", "reason": "asked for", **limits_form()}
    form |= admin_client.open_form(page)
    shown = admin_client.post(page, form)["Location"]
    assert KEY.search(admin_client.get(shown).content.decode())
    reloaded = admin_client.get(shown, follow=True)
    assert not KEY.search(reloaded.content.decode())
    assert "is shown no more" in text_of(reloaded)
    again = admin_client.post(page, form)
    assert (again.status_code, again["Location"]) == (302, address("tenant_change", alice.tenant))
    assert ApiKey.objects.filter(tenant=alice.tenant).count() == 2


def test_a_tenant_is_created_once(admin_client: Client) -> None:
    form = {**tenant_form(), **admin_client.open_form(address("tenant_add"))}
    admin_client.post(address("tenant_add"), form)
    response = admin_client.post(address("tenant_add"), form, follow=True)
    assert "This form was sent before" in text_of(response)
    assert Tenant.objects.count() == 1


def test_an_old_form_repeats_no_action_that_was_undone_since(admin_client: Client, alice: Caller) -> None:
    page = address("tenant_suspend", alice.tenant)
    form = {"reason": "unpaid", **admin_client.open_form(page)}
    admin_client.post(page, form)
    actions.resume(ACTOR, alice.tenant)
    admin_client.post(page, form)
    assert Tenant.objects.get(pk=alice.tenant.pk).suspended_at is None


@pytest.mark.parametrize("hidden", [{}, {"form_token": ""}, {"form_token": "x" * 23}, {"form_token": "a\x00b"}])
def test_a_form_without_its_token_is_refused(alice: Caller, admin_user: User, hidden: dict[str, str]) -> None:
    http = Client(sends_csrf_token=False)
    http.force_login(admin_user)
    page = address("tenant_adjust", alice.tenant)
    http.get(page)
    token = {"HTTP_X_CSRFTOKEN": http.cookies["csrftoken"].value}
    response = http.post(page, {"usd": "1", "reason": "why", **hidden}, **token)
    assert response.status_code == 200
    assert "errornote" in response.content.decode()
    assert not LedgerEntry.objects.exists()


def test_a_form_without_the_values_that_it_was_opened_with_is_refused(admin_client: Client, alice: Caller) -> None:
    alice.limit(per_day=3)
    for loaded in ("", "{", "[]", "1", "null"):
        form = {**tenant_form(per_day="5"), "loaded": loaded}
        assert admin_client.post(address("tenant_change", alice.tenant), form).status_code == 200, loaded
    assert Tenant.objects.get(pk=alice.tenant.pk).per_day == 3


def test_a_tenants_form_does_not_restore_an_old_limit(admin_client: Client, alice: Caller) -> None:
    alice.limit(per_day=3, per_month=30)
    page = address("tenant_change", alice.tenant)
    opened = admin_client.open_form(page)
    alice.limit(per_day=5)
    form = tenant_form(per_day="3", per_month="40")
    refused = admin_client.post(page, {**form, **opened})
    assert refused.status_code == 200
    assert "Per day: yours is 3, stored is 5." in text_of(refused)
    assert Tenant.objects.get(pk=alice.tenant.pk).limits["per_month"] == 30
    text = refused.content.decode()
    # What was typed stays; a field that was not touched shows what is stored.
    assert re.search(r'name="per_month"[^>]*value="40"|value="40"[^>]*name="per_month"', text)
    assert re.search(r'name="per_day"[^>]*value="5"|value="5"[^>]*name="per_day"', text)
    [loaded] = re.findall(r'name="loaded" value="([^"]*)"', text)
    again = {**tenant_form(per_day="5", per_month="40"), "loaded": html.unescape(loaded)}
    assert admin_client.post(page, {**again, "form_token": opened["form_token"]}).status_code == 302
    tenant = Tenant.objects.get(pk=alice.tenant.pk)
    assert (tenant.per_day, tenant.per_month) == (5, 40)


def test_both_values_of_a_field_are_shown_and_sending_again_saves_ones_own(admin_client: Client, alice: Caller) -> None:
    page = address("tenant_change", alice.tenant)
    opened = admin_client.open_form(page)
    alice.limit(usd_per_month_micro=2_000_000)
    actions.change_tenant(ACTOR, alice.tenant, on_doubt="fail")
    form = tenant_form(usd_per_month="7", name="alice & co")
    refused = admin_client.post(page, {**form, **opened})
    assert "USD per month: yours is 7, stored is 2.000000." in text_of(refused)
    assert "yours is Hold: an operator resolves it, stored is Fail" in text_of(refused)
    [loaded] = re.findall(r'name="loaded" value="([^"]*)"', refused.content.decode())
    form |= {"loaded": html.unescape(loaded), "form_token": opened["form_token"], "on_doubt": "fail"}
    assert admin_client.post(page, form).status_code == 302
    tenant = Tenant.objects.get(pk=alice.tenant.pk)
    assert (tenant.name, tenant.usd_per_month_micro, tenant.on_doubt) == ("alice & co", 7_000_000, "fail")


def test_a_keys_form_overwrites_nothing(admin_client: Client, alice: Caller) -> None:
    page = address("apikey_change_limits", alice.key)
    form = {"label": "shop", "reason": "asked for", **limits_form(), **admin_client.open_form(page)}
    alice.limit_key(per_day=9)
    refused = admin_client.post(page, form)
    assert "Per day: yours is empty, stored is 9." in text_of(refused)
    key = ApiKey.objects.get(pk=alice.key.pk)
    assert (key.label, key.per_day) == ("", 9)


def test_two_who_save_the_same_value_do_not_differ(admin_client: Client, alice: Caller) -> None:
    page = address("tenant_change", alice.tenant)
    opened = admin_client.open_form(page)
    alice.limit(per_day=5)
    assert admin_client.post(page, {**tenant_form(per_day="5", per_month="9"), **opened}).status_code == 302
    assert Tenant.objects.get(pk=alice.tenant.pk).per_month == 9


def test_a_change_that_is_no_field_of_the_form_refuses_nothing(admin_client: Client, alice: Caller) -> None:
    page = address("tenant_change", alice.tenant)
    opened = admin_client.open_form(page)
    actions.suspend(ACTOR, alice.tenant)
    assert admin_client.post(page, {**tenant_form(per_day="5"), **opened}).status_code == 302


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("action", ["tenant_adjust", "tenant_create_key"])
def test_the_same_form_sent_twice_at_once_acts_once(admin_user: User, alice: Caller, action: str) -> None:
    page = address(action, alice.tenant)
    clients = [log_in(admin_user), log_in(admin_user)]
    form = {"usd": "2.5", "reason": "by phone", "scopes": SCOPES, "label": "", **limits_form()}
    form |= clients[0].open_form(page)
    together = threading.Barrier(2)

    def send(http: Client) -> int:
        """Send the form when the other thread does."""
        try:
            together.wait()
            return int(http.post(page, form).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(send, clients))
    assert statuses == [302, 302]
    assert AuditEntry.objects.filter(actor="admin").count() == 1
    assert LedgerEntry.objects.count() == (action == "tenant_adjust")
    assert ApiKey.objects.count() == 1 + (action == "tenant_create_key")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["tenant_change", "apikey_change_limits"])
def test_of_two_forms_sent_at_once_one_is_refused(admin_user: User, alice: Caller, name: str) -> None:
    row: Any = alice.tenant if name == "tenant_change" else alice.key
    page = address(name, row)
    clients = [log_in(admin_user), log_in(admin_user)]
    forms = [
        {"label": "", **tenant_form(per_day=str(number)), **http.open_form(page)}
        for number, http in enumerate(clients, start=5)
    ]
    together = threading.Barrier(2)

    def send(http: Client, form: dict[str, Any]) -> int:
        """Send the form when the other thread does."""
        try:
            together.wait()
            return int(http.post(page, form).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(send, clients, forms))
    assert statuses == [200, 302]
    assert AuditEntry.objects.filter(actor="admin").count() == 1


def test_a_token_is_new_for_each_opened_form(admin_client: Client, alice: Caller) -> None:
    page = address("tenant_adjust", alice.tenant)
    tokens = {admin_client.open_form(page)["form_token"] for _ in range(3)}
    assert len(tokens) == 3
    assert all(guards.checked_token(token) for token in tokens)
