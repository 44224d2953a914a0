"""Pauses of submits in the panel, and cancelling the queue of a tenant, of a key, or of a list's filter."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from generations.models import Generation, ManualPause
from generations.ops import submit_pauses
from tenants.models import AuditEntry, Tenant
from tests.generations.admin.rows import LIST
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.support.panel import log_in_staff
from tests.tenants.admin.forms import address
from tests.tenants.admin.test_guards import text_of

REASON = {"reason": "a runaway tenant"}
PAUSES = reverse("admin:generations_manualpause_changelist")
PAUSE = reverse("admin:generations_manualpause_pause")
CANCEL = reverse("admin:generations_generation_cancel_matching")
MODEL = "seedance-v1-lite-i2v"


def entries() -> list[tuple[str, str, str]]:
    """Return action, target and reason of what the panel's user did, oldest first."""
    rows = AuditEntry.objects.filter(actor="admin").order_by("pk")
    return [(row.action, row.target, row.reason) for row in rows]


def count(status: str, caller: Caller) -> int:
    return Generation.objects.filter(status=status, tenant=caller.tenant).count()


def resume_page() -> str:
    return reverse("admin:generations_manualpause_resume", args=[ManualPause.objects.get().pk])


@pytest.mark.parametrize(
    ("what", "stored", "name", "shown"),
    [
        ({"what": "all"}, ("all", ""), "all", "All submits"),
        ({"what": "account live"}, ("account", "live"), "account live", "All live accounts"),
        ({"what": "account ark"}, ("account", "ark"), "account ark", "Account ark"),
        ({"what": "account sandbox"}, ("account", "sandbox"), "account sandbox", "Account sandbox"),
        ({"what": "model", "model": MODEL}, ("model", MODEL), f"model {MODEL}", f"Model {MODEL}"),
    ],
)
def test_submits_are_paused_and_resumed(
    admin_client: Client, alice: Caller, what: dict[str, str], stored: tuple[str, str], name: str, shown: str
) -> None:
    make_generation(alice)
    held = int(stored[1] not in ("sandbox", "ark"))  # the model is Novita's alone
    paused = admin_client.post(PAUSE, {**REASON, **what}, follow=True)
    assert f"Submits are paused: {held} queued generations are held, 0 are being submitted." in text_of(paused)
    pause = ManualPause.objects.get()
    assert ((pause.scope, pause.target), pause.actor, pause.reason) == (stored, "admin", REASON["reason"])
    assert shown in text_of(admin_client.get(PAUSES))
    dashboard = admin_client.get("/admin/").content.decode()
    assert f"Paused: {shown}" in dashboard
    assert "admin: a runaway tenant" in dashboard
    resumed = admin_client.post(resume_page(), REASON, follow=True)
    assert "Submits go on: 0 generations waited." in text_of(resumed)  # no worker has put one off yet
    assert not ManualPause.objects.exists()
    assert "Paused: " not in admin_client.get("/admin/").content.decode()
    assert entries() == [("submits: pause", name, REASON["reason"]), ("submits: resume", name, REASON["reason"])]


def test_a_pause_of_one_tenant_names_the_tenant(admin_client: Client, alice: Caller, bob: Caller) -> None:
    admin_client.post(PAUSE, {**REASON, "what": "tenant", "tenant": bob.tenant.pk})
    assert "Tenant bob" in text_of(admin_client.get(PAUSES))
    assert AuditEntry.objects.get(actor="admin").tenant == bob.tenant
    page = admin_client.get(reverse("admin:generations_manualpause_history", args=[ManualPause.objects.get().pk]))
    assert page["Location"].endswith("target__exact=tenant+bob")


@pytest.mark.parametrize(
    "wrong",
    [
        {"what": "tenant"},
        {"what": "model"},
        {"what": "model", "model": "no-such-model"},
        {"what": "nothing"},
        {},
        {"what": "all", "model": MODEL},  # which of the two is meant?
        {"what": "all", "reason": ""},
    ],
)
def test_a_pause_that_is_not_clear_is_refused(admin_client: Client, alice: Caller, wrong: dict[str, str]) -> None:
    response = admin_client.post(PAUSE, {**REASON, **wrong})
    assert response.status_code == 200
    assert "errornote" in response.content.decode()
    assert not ManualPause.objects.exists()
    assert entries() == []


def test_a_pause_that_exists_is_refused_and_a_form_that_is_sent_again_does_nothing(
    admin_client: Client, alice: Caller
) -> None:
    form = {**REASON, "what": "all", **admin_client.open_form(PAUSE)}
    admin_client.post(PAUSE, form)
    assert "This form was sent before" in text_of(admin_client.post(PAUSE, form, follow=True))
    assert "paused already" in text_of(admin_client.post(PAUSE, {**REASON, "what": "all"}))
    page = resume_page()
    form = {**REASON, **admin_client.open_form(page)}
    admin_client.post(page, form)
    again = admin_client.post(page, form, follow=True)  # the row is gone
    assert "This form was sent before" in text_of(again)
    assert [action for action, _, _ in entries()] == ["submits: pause", "submits: resume"]


def test_a_viewer_sees_pauses_and_orders_none(alice: Caller) -> None:
    ManualPause.objects.create(scope="all", actor="olga", reason="no balance")
    make_generation(alice)
    viewer = log_in_staff("view_pause", "view_generation")
    page = text_of(viewer.get(PAUSES))
    assert "no balance" in page
    assert "Paused submits" in page  # in the sidebar
    for path in (PAUSE, resume_page(), CANCEL):
        assert (viewer.get(path).status_code, viewer.post(path, REASON).status_code) == (403, 403)
    assert ManualPause.objects.exists()
    assert count("queued", alice) == 1


@pytest.mark.parametrize("cancels", [False, True])
def test_a_tenant_is_suspended_with_or_without_its_queue(
    admin_client: Client, alice: Caller, bob: Caller, cancels: bool
) -> None:
    for caller in (alice, alice, bob):
        make_generation(caller)
    form = {**REASON, **({"cancel_queued": "on"} if cancels else {})}
    page = admin_client.post(address("tenant_suspend", alice.tenant), form, follow=True)
    assert Tenant.objects.get(pk=alice.tenant.pk).suspended_at
    assert ("2 queued generations were cancelled." in text_of(page)) == cancels
    assert (count("queued", alice), count("cancelled", alice), count("queued", bob)) == (
        (0, 2, 1) if cancels else (2, 0, 1)
    )
    assert [action for action, _, _ in entries()] == ["suspend", *(["cancel queued"] if cancels else [])]


@pytest.mark.parametrize("cancels", [False, True])
def test_a_key_is_revoked_with_or_without_its_queue(admin_client: Client, alice: Caller, cancels: bool) -> None:
    other = alice.with_key()
    for caller in (alice, other):
        make_generation(caller)
    form = {**REASON, **({"cancel_queued": "on"} if cancels else {})}
    page = admin_client.post(address("apikey_revoke", other.key), form, follow=True)
    assert ("1 queued generations were cancelled." in text_of(page)) == cancels
    assert (count("queued", alice), count("cancelled", alice)) == ((1, 1) if cancels else (2, 0))


def test_what_a_filter_matches_is_counted_and_then_cancelled(admin_client: Client, alice: Caller, bob: Caller) -> None:
    mine = [make_generation(alice), make_generation(alice)]
    make_generation(bob)
    query = f"?tenant__id__exact={alice.tenant.pk}"
    assert f'{CANCEL}{query}"' in admin_client.get(LIST + query).content.decode()
    page = CANCEL + query
    assert f"2 queued generations match (tenant__id__exact={alice.tenant.pk})" in text_of(admin_client.get(page))
    assert "This field is required" in text_of(admin_client.post(page, {"reason": "", **hidden(admin_client, page)}))
    assert count("queued", alice) == 2
    done = admin_client.post(page, {**REASON, **hidden(admin_client, page)}, follow=True)
    assert "2 queued generations were cancelled, and their holds released." in text_of(done)
    assert done.redirect_chain[-1][0] == LIST + query
    assert (count("cancelled", alice), count("queued", bob)) == (2, 1)
    entry = AuditEntry.objects.get(action="cancel queued")
    assert (entry.tenant, entry.reason, entry.changes["matched"]) == (alice.tenant, REASON["reason"], 2)
    assert entry.changes["filters"] == f"tenant__id__exact={alice.tenant.pk}"
    assert {event.message for row in mine for event in row.events.filter(status="cancelled")} == {
        "cancelled by the service's operators"
    }


def test_what_is_created_after_the_page_was_opened_is_not_cancelled(admin_client: Client, alice: Caller) -> None:
    make_generation(alice)
    form = {**REASON, **hidden(admin_client, CANCEL), **admin_client.open_form(CANCEL)}
    late = make_generation(alice)
    admin_client.post(CANCEL, form)
    admin_client.post(CANCEL, form)
    assert list(Generation.objects.filter(status="queued")) == [late]
    assert [action for action, _, _ in entries()] == ["cancel queued"]


@pytest.mark.parametrize("until", ["", "2999-01-01 00:00:00", "x"])
def test_a_time_that_no_page_had_cancels_nothing(admin_client: Client, alice: Caller, until: str) -> None:
    make_generation(alice)
    assert admin_client.post(CANCEL, {**REASON, "until": until}).status_code == 200
    assert count("queued", alice) == 1


def test_a_search_and_the_mode_are_parts_of_the_filter(
    admin_client: Client, alice: Caller, bob: Caller, settings: Any
) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    live, test = make_generation(alice, external_id="order-7"), make_generation(alice.with_key(test=True))
    make_generation(bob)
    page = f"{CANCEL}?q=order-7"
    admin_client.post(page, {**REASON, **hidden(admin_client, page)})
    assert list(Generation.objects.filter(status="cancelled")) == [live]
    page = f"{CANCEL}?mode=test"
    admin_client.post(page, {**REASON, **hidden(admin_client, page)})
    assert set(Generation.objects.filter(status="cancelled")) == {live, test}


def test_the_names_of_pauses_are_those_of_the_audit_log(db: None, admin_user: User) -> None:
    assert submit_pauses.name_of(ManualPause(scope="all")) == "all"
    assert submit_pauses.name_of(ManualPause(scope="account", target="live")) == "account live"


def hidden(http: Client, page: str) -> dict[str, str]:
    """Return when the page was opened, as its form says."""
    text = http.get(page).content.decode()
    return {"until": text.partition('name="until" value="')[2].partition('"')[0]}
