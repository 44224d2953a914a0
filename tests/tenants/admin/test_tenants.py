"""The panel for tenants: each act does what it says, with a reason, and leaves its line in the audit log."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tenants import actions, audit
from tenants.models import ApiKey, AuditEntry, LedgerEntry, Tenant
from tests.http_client import Client, with_key
from tests.support.factories import ACTOR, Caller, make_generation

KEY = re.compile(r"sds_(?:live|test)_\w{12}_\w{49}")
SCRIPT = "<script>alert(1)</script>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"
SCOPES = list(ApiKey.Scope.values)
PAGES = {
    "tenant": ["create_key", "adjust", "suspend", "resume", "change"],
    "apikey": ["change_limits", "roll", "revoke"],
}


def address(name: str, row: Any = None) -> str:
    return reverse(f"admin:tenants_{name}", args=[row.pk] if row else [])


def limits(**given: Any) -> dict[str, Any]:
    names = ["requests_per_minute", "in_flight", "per_day", "per_month", "seconds_per_month", "usd_per_month"]
    return {**dict.fromkeys(names, ""), **given}


def tenant_form(**given: Any) -> dict[str, Any]:
    known = {"name": "alice", "time_zone": "UTC", "on_doubt": "hold", "submit_deadline": "", "reason": "asked for"}
    return {**known, **limits(**given)}


def mint(http: Client, tenant: Tenant, **given: Any) -> Any:
    asked = {"label": "", "scopes": SCOPES, "expires_at": "", "reason": "asked for", **limits(), **given}
    return http.post(address("tenant_create_key", tenant), asked)


def staff(*codenames: str) -> Client:
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    http = Client()
    http.force_login(user)
    return http


def lines_of(tenant: Tenant) -> list[tuple[str, str, str]]:
    """What the panel's user did, newest first."""
    rows = AuditEntry.objects.filter(tenant=tenant, actor="admin").order_by("-pk")
    return [(row.action, row.target, row.reason) for row in rows]


def bar(page: str, name: str) -> dict[str, str]:
    """The attributes of a limit's bar, and its width."""
    [drawn] = [found for found in re.findall(r"<svg.*?</svg>", page, re.DOTALL) if f'aria-label="{name}"' in found]
    return {**dict(re.findall(r'(aria-\w+)="(.*?)"', drawn)), "width": re.findall(r'<rect width="(.*?)"', drawn)[1]}


# Tenants


def test_a_tenant_is_made_with_its_limits(admin_client: Client) -> None:
    asked = tenant_form(time_zone="Europe/Berlin", in_flight="4", usd_per_month="12.345678")
    answer = admin_client.post(address("tenant_add"), asked)
    made = Tenant.objects.get(name="alice")
    assert answer["Location"] == address("tenant_change", made)
    assert (made.time_zone, made.in_flight, made.per_day) == ("Europe/Berlin", 4, None)
    assert made.usd_per_month_micro == 12_345_678
    assert lines_of(made) == [("create tenant", "alice", "asked for")]
    assert not LogEntry.objects.exists()


def test_a_tenant_is_changed_and_an_emptied_limit_is_none(admin_client: Client, alice: Caller) -> None:
    alice.limit(per_day=3, per_month=9)
    admin_client.post(address("tenant_change", alice.tenant), tenant_form(name="alice & co", per_month="10"))
    alice.tenant.refresh_from_db()
    assert (alice.tenant.name, alice.tenant.per_day, alice.tenant.per_month) == ("alice & co", None, 10)
    assert lines_of(alice.tenant) == [("change tenant", "alice", "asked for")]
    changes = AuditEntry.objects.get(actor="admin").changes
    assert changes == {"name": ["alice", "alice & co"], "per_day": [3, None], "per_month": [9, 10]}


def test_the_form_shows_money_in_usd_and_saves_it_as_it_was(admin_client: Client, alice: Caller) -> None:
    alice.limit(usd_per_month_micro=1_234_567)
    page = admin_client.get(address("tenant_change", alice.tenant)).content.decode()
    assert 'value="1.234567"' in page
    admin_client.post(address("tenant_change", alice.tenant), tenant_form(usd_per_month="1.234567", per_day="1"))
    assert AuditEntry.objects.get(actor="admin").changes == {"per_day": [None, 1]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": ""},
        {"reason": "  "},
        {"usd_per_month": "1.1234567"},
        {"usd_per_month": "-1"},
        {"usd_per_month": "NaN"},
        {"per_day": "-1"},
        {"per_day": str(2**31)},
        {"time_zone": "Mars/Olympus"},
        {"name": "bob"},
        {"name": "zero\u200bwidth"},  # which administration alone refuses
        {},  # nothing but a reason
    ],
)
def test_what_is_wrong_is_an_error_of_the_form(
    admin_client: Client, alice: Caller, bob: Caller, wrong: dict[str, str]
) -> None:
    answer = admin_client.post(address("tenant_change", alice.tenant), {**tenant_form(), **wrong})
    assert answer.status_code == 200
    assert "errornote" in answer.content.decode()
    assert lines_of(alice.tenant) == []
    assert Tenant.objects.get(pk=alice.tenant.pk).limits == alice.tenant.limits


def test_a_taken_name_and_a_missing_reason_make_no_tenant(admin_client: Client, alice: Caller) -> None:
    for wrong in ({}, {"name": "carol", "reason": ""}, {"name": "zero\u200bwidth"}):
        answer = admin_client.post(address("tenant_add"), {**tenant_form(), **wrong})
        assert answer.status_code == 200
    assert [tenant.name for tenant in Tenant.objects.all()] == ["alice"]


def test_what_administration_refuses_is_said_on_the_form(admin_client: Client, alice: Caller) -> None:
    answer = admin_client.post(address("tenant_change", alice.tenant), tenant_form(name="zero\u200bwidth"))
    assert "1 to 100 printable characters" in answer.content.decode()


def test_a_suspension_is_not_edited_but_acted(admin_client: Client, alice: Caller) -> None:
    forged = {**tenant_form(per_day="1"), "suspended_at_0": "2026-01-01", "suspended_at": "2026-01-01"}
    admin_client.post(address("tenant_change", alice.tenant), forged)
    assert Tenant.objects.get(pk=alice.tenant.pk).suspended_at is None


def test_a_tenant_is_suspended_and_resumed(admin_client: Client, alice: Caller) -> None:
    page = address("tenant_suspend", alice.tenant)
    assert admin_client.post(page, {"reason": "unpaid"})["Location"] == address("tenant_change", alice.tenant)
    assert Tenant.objects.get(pk=alice.tenant.pk).suspended_at
    assert "suspended already" in admin_client.post(page, {"reason": "again"}).content.decode()
    admin_client.post(address("tenant_resume", alice.tenant), {"reason": "paid"})
    assert not Tenant.objects.get(pk=alice.tenant.pk).suspended_at
    assert lines_of(alice.tenant) == [("resume", "alice", "paid"), ("suspend", "alice", "unpaid")]


def test_no_tenant_is_deleted(admin_client: Client, alice: Caller) -> None:
    assert admin_client.post(address("tenant_delete", alice.tenant), {"post": "yes"}).status_code == 403


def test_a_bill_is_adjusted(admin_client: Client, alice: Caller) -> None:
    admin_client.post(address("tenant_adjust", alice.tenant), {"usd": "2.5", "reason": "by phone"})
    admin_client.post(address("tenant_adjust", alice.tenant), {"usd": "-1.000001", "reason": "goodwill"})
    assert sum(row.amount_micro for row in LedgerEntry.objects.filter(tenant=alice.tenant)) == 1_499_999
    assert lines_of(alice.tenant) == [("adjust", "alice", "goodwill"), ("adjust", "alice", "by phone")]


@pytest.mark.parametrize("usd", ["", "0", "-1", "1.1234567", "1e30", "ten"])
def test_an_adjustment_that_is_none_is_an_error_of_the_form(admin_client: Client, alice: Caller, usd: str) -> None:
    answer = admin_client.post(address("tenant_adjust", alice.tenant), {"usd": usd, "reason": "why"})
    assert answer.status_code == 200
    assert "errornote" in answer.content.decode()
    assert not LedgerEntry.objects.exists()
    assert lines_of(alice.tenant) == []


# Keys


def test_a_minted_key_works_and_is_shown_once(
    admin_client: Client, alice: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    answer = mint(admin_client, alice.tenant, label="batch", per_day="7", usd_per_month="0.5")
    page = answer.content.decode()
    [text] = KEY.findall(page)
    assert "no-store" in answer["Cache-Control"]
    assert with_key(text).get("/v1/generations").status_code == 200
    made = ApiKey.objects.get(label="batch")
    assert (made.per_day, made.usd_per_month_micro, made.scopes) == (7, 500_000, SCOPES)
    assert lines_of(alice.tenant) == [("mint key", made.prefix, "asked for")]
    kept = str([session.get_decoded() for session in Session.objects.all()]) + str(AuditEntry.objects.values())
    shown = [
        address("tenant_create_key", alice.tenant),
        address("tenant_change", alice.tenant),
        address("apikey_changelist"),
    ]
    again = "".join(admin_client.get(path).content.decode() for path in shown)
    assert text not in kept + again + caplog.text


def test_a_key_may_do_only_what_was_ticked_and_ends_when_told(admin_client: Client, alice: Caller) -> None:
    ends = timezone.now().replace(second=0, microsecond=0) + timedelta(days=2)
    page = mint(admin_client, alice.tenant, label="r", scopes=SCOPES[2:], expires_at=f"{ends:%Y-%m-%dT%H:%M}")
    [text] = KEY.findall(page.content.decode())
    assert with_key(text).get("/v1/generations").status_code == 403
    assert ApiKey.objects.get(label="r").expires_at == ends


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
def test_a_wrong_form_mints_nothing(admin_client: Client, alice: Caller, wrong: dict[str, Any]) -> None:
    answer = mint(admin_client, alice.tenant, **wrong)
    assert answer.status_code == 200
    assert not KEY.search(answer.content.decode())
    assert alice.tenant.keys.count() == 1
    assert lines_of(alice.tenant) == []


def test_a_test_key_needs_a_sandbox(admin_client: Client, alice: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = ""
    assert "Test keys need a sandbox" in mint(admin_client, alice.tenant, test="on").content.decode()
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    assert KEY.search(mint(admin_client, alice.tenant, test="on").content.decode())
    assert alice.tenant.keys.filter(test=True).count() == 1


def test_a_rolled_key_has_a_successor_and_an_end(admin_client: Client, alice: Caller) -> None:
    answer = admin_client.post(address("apikey_roll", alice.key), {"overlap": "2", "reason": "leaver"})
    [text] = KEY.findall(answer.content.decode())
    assert "no-store" in answer["Cache-Control"]
    assert with_key(text).get("/v1/generations").status_code == 200
    ends = ApiKey.objects.get(pk=alice.key.pk).expires_at
    assert ends
    assert abs(ends - timezone.now() - timedelta(hours=2)) < timedelta(minutes=1)
    new = alice.tenant.keys.exclude(pk=alice.key.pk).get()
    # An act on two keys: the end of the one and the beginning of the other.
    assert lines_of(alice.tenant) == [("mint key", new.prefix, "leaver"), ("roll key", alice.key.prefix, "leaver")]


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
    assert lines_of(alice.tenant) == [("revoke key", alice.key.prefix, "leaked")]


def test_a_keys_label_and_limits_are_changed(admin_client: Client, alice: Caller) -> None:
    alice.limit_key(per_day=5, per_month=6)
    page = address("apikey_change_limits", alice.key)
    admin_client.post(page, {"label": "night", "reason": "budget", **limits(per_month="6", usd_per_month="1")})
    key = ApiKey.objects.get(pk=alice.key.pk)
    assert (key.label, key.per_day, key.per_month, key.usd_per_month_micro) == ("night", None, 6, 1_000_000)
    assert lines_of(alice.tenant) == [("change key", alice.key.prefix, "budget")]
    assert (
        "No changes."
        in admin_client.post(
            page, {"label": "night", "reason": "x", **limits(per_month="6", usd_per_month="1.0")}
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


# Every act


@pytest.mark.parametrize("action", [*PAGES["tenant"], *PAGES["apikey"]])
def test_no_act_without_a_reason_and_none_by_looking(admin_client: Client, alice: Caller, action: str) -> None:
    model = "tenant" if action in PAGES["tenant"] else "apikey"
    row: Any = alice.tenant if model == "tenant" else alice.key
    asked = {**tenant_form(per_day="1"), "scopes": SCOPES, "overlap": "1", "usd": "1", "label": "new", "reason": ""}
    before = [*Tenant.objects.values(), *ApiKey.objects.values()]
    assert admin_client.get(address(f"{model}_{action}", row)).status_code == 200
    assert "This field is required." in admin_client.post(address(f"{model}_{action}", row), asked).content.decode()
    assert [*Tenant.objects.values(), *ApiKey.objects.values()] == before
    assert lines_of(alice.tenant) == []
    assert not LedgerEntry.objects.exists()


@pytest.mark.parametrize("action", [*PAGES["tenant"], *PAGES["apikey"]])
def test_who_may_only_look_may_not_act(alice: Caller, action: str) -> None:
    model = "tenant" if action in PAGES["tenant"] else "apikey"
    row: Any = alice.tenant if model == "tenant" else alice.key
    viewer = staff("view_tenant", "view_apikey", "view_auditentry", "view_ledgerentry")
    path = address(f"{model}_{action}", row)
    assert viewer.get(path).status_code == (200 if action == "change" else 403)
    assert viewer.post(path, {"reason": "why"}).status_code == 403
    assert Client().post(path, {"reason": "why"})["Location"].startswith(reverse("admin:login"))
    assert AuditEntry.objects.exclude(actor="tests").count() == 0


def test_who_may_not_mint_gets_no_key_by_rolling_one(alice: Caller) -> None:
    http = staff("change_apikey", "change_tenant", "view_tenant")
    assert http.post(address("apikey_roll", alice.key), {"reason": "why", "overlap": "1"}).status_code == 403
    assert http.post(address("tenant_create_key", alice.tenant), {"reason": "why"}).status_code == 403
    assert http.post(address("apikey_revoke", alice.key), {"reason": "why"}).status_code == 302


def test_a_viewer_sees_the_tenant_and_no_way_to_act(alice: Caller) -> None:
    alice.limit(usd_per_month_micro=2_000_000)
    page = staff("view_tenant", "view_apikey").get(address("tenant_change", alice.tenant)).content.decode()
    assert "2.000000" in page
    assert alice.key.prefix in page
    assert 'name="reason"' not in page
    ways = [address(f"tenant_{action}", alice.tenant) for action in ("create_key", "adjust", "suspend")]
    assert not [way for way in [*ways, address("apikey_roll", alice.key)] if way in page]


def test_every_act_wants_the_token_of_its_form(alice: Caller, admin_user: User) -> None:
    http = Client(sends_csrf_token=False)
    http.force_login(admin_user)
    for action in ("suspend", "adjust", "create_key", "change"):
        assert http.post(address(f"tenant_{action}", alice.tenant), {"reason": "why"}).status_code == 403
    assert http.post(address("apikey_revoke", alice.key), {"reason": "why"}).status_code == 403
    form = http.get(address("apikey_revoke", alice.key)).content.decode()
    [token] = re.findall(
        r'<form method="post" id="action_form".*?name="csrfmiddlewaretoken" value="(.*?)"', form, re.DOTALL
    )
    given = {"reason": "why", "csrfmiddlewaretoken": token}
    assert http.post(address("apikey_revoke", alice.key), given).status_code == 302


@pytest.mark.parametrize("object_id", ["0", "x", "9" * 30])
def test_what_is_not_there_is_no_accident(admin_client: Client, object_id: str) -> None:
    for name in ("tenant_suspend", "apikey_revoke"):
        assert admin_client.get(reverse(f"admin:tenants_{name}", args=[object_id])).status_code == 404
    for name in ("tenant_change", "apikey_change"):
        assert admin_client.get(reverse(f"admin:tenants_{name}", args=[object_id])).status_code == 302


# What is shown


def test_bars_show_what_is_used(admin_client: Client, alice: Caller) -> None:
    alice.limit(in_flight=2, per_day=8, usd_per_month_micro=1_000_000)
    price = sum(make_generation(alice).price_micro for _ in range(2))
    page = admin_client.get(address("tenant_change", alice.tenant)).content.decode()
    drawn = bar(page, "In flight")
    assert (drawn["aria-valuenow"], drawn["aria-valuemax"], drawn["width"]) == ("2", "2", "100%")
    assert bar(page, "Per day")["width"] == "25%"
    assert "6 remaining" in page
    money = bar(page, "USD per month")
    assert (money["aria-valuenow"], money["aria-valuemax"]) == (f"0.{price:06d}", "1.000000")
    unlimited = bar(page, "Per month")
    assert (unlimited["aria-valuetext"], unlimited["width"]) == ("2 / no limit", "0%")
    assert "aria-valuemax" not in unlimited


def test_no_template_needs_an_inline_style_or_script() -> None:
    templates = [path.read_text() for path in Path("tenants/templates").rglob("*.html")]
    assert len(templates) > 3
    assert not [found for text in templates for found in re.findall(r"<script|<style|style=|\son\w+=|x-\w+=", text)]


def test_a_lowered_limit_and_a_limit_of_nothing_are_full(admin_client: Client, alice: Caller) -> None:
    make_generation(alice)
    make_generation(alice)
    alice.limit(in_flight=1, per_day=0)
    page = admin_client.get(address("tenant_change", alice.tenant)).content.decode()
    assert (bar(page, "In flight")["width"], bar(page, "Per day")["width"]) == ("100%", "100%")


def test_a_window_resets_by_the_tenants_clock(admin_client: Client, alice: Caller) -> None:
    actions.change_tenant(ACTOR, alice.tenant, time_zone="Asia/Tokyo")
    page = admin_client.get(address("tenant_change", alice.tenant)).content.decode()
    assert re.search(r"resets \d{4}-\d\d-01 00:00 JST", page)


def test_the_list_shows_what_each_has_used(admin_client: Client, alice: Caller, bob: Caller) -> None:
    alice.limit(in_flight=5, usd_per_month_micro=1_000_000)
    price = make_generation(alice).price_micro
    actions.suspend(ACTOR, bob.tenant)
    page = admin_client.get(address("tenant_changelist")).content.decode()
    assert "1 / 5" in page
    assert "1 / no limit" in page
    assert f"0.{price:06d} / 1.000000" in page
    assert page.count("suspended") >= 1


def test_what_a_test_key_used_is_not_its_tenants(admin_client: Client, alice: Caller, settings: Any) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    alice.limit(in_flight=5)
    make_generation(alice.with_key(test=True))
    assert "0 / 5" in admin_client.get(address("tenant_changelist")).content.decode()
    assert "0 / 5" in admin_client.get(address("tenant_change", alice.tenant)).content.decode()


def test_the_list_asks_as_often_for_many_tenants_as_for_few(admin_client: Client, alice: Caller, bob: Caller) -> None:
    make_generation(alice)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert admin_client.get(address("tenant_changelist")).status_code == 200
        return len(asked)

    queries()  # the first one writes down that the session is used
    of_two = queries()
    for number in range(18):
        actions.create_tenant(ACTOR, f"tenant {number}", time_zone="Asia/Tokyo" if number % 2 else "UTC")
    assert queries() == of_two


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
    done = admin_client.post(address("tenant_suspend", mallory.tenant), {"reason": SCRIPT}, follow=True)
    assert SCRIPT not in done.content.decode()
    assert f"done for {ESCAPED}" in done.content.decode()


def test_the_audit_log_is_newest_first_searchable_and_read_only(
    admin_client: Client, alice: Caller, bob: Caller
) -> None:
    actions.suspend(audit.Actor(name="carol", reason="unpaid since May"), bob.tenant)
    page = address("auditentry_changelist")
    first = admin_client.get(page).context["cl"].result_list[0]
    assert (first.actor, first.action) == ("carol", "suspend")

    def found(**wanted: Any) -> list[str]:
        return [row.action for row in admin_client.get(page, wanted).context["cl"].result_list]

    assert found(q="since May") == ["suspend"]
    assert found(action="mint key") == ["mint key", "mint key"]
    assert admin_client.post(address("auditentry_change", first), {"reason": "x"}).status_code == 403
    assert admin_client.get(address("auditentry_add")).status_code == 403
    assert admin_client.post(address("auditentry_delete", first), {"post": "yes"}).status_code == 403


def test_a_page_links_to_its_own_lines_of_the_audit_log(admin_client: Client, alice: Caller, bob: Caller) -> None:
    link = f"{address('auditentry_changelist')}?tenant__id__exact={alice.tenant.pk}"
    assert link in admin_client.get(address("tenant_change", alice.tenant)).content.decode()
    assert {row.tenant for row in admin_client.get(link).context["cl"].result_list} == {alice.tenant}
    assert admin_client.get(address("tenant_history", alice.tenant))["Location"] == link
    of_key = admin_client.get(address("apikey_history", alice.key), follow=True).context["cl"].result_list
    assert [row.target for row in of_key] == [alice.key.prefix]


def test_keys_and_the_ledger_are_lists_to_read(admin_client: Client, alice: Caller) -> None:
    make_generation(alice)
    entry = LedgerEntry.objects.get()
    page = admin_client.get(address("ledgerentry_changelist")).content.decode()
    assert f"0.{entry.amount_micro:06d}" in page
    assert alice.key.prefix in page
    assert alice.key.prefix in admin_client.get(address("apikey_changelist"), {"test__exact": "0"}).content.decode()
    assert alice.key.digest not in admin_client.get(address("apikey_change", alice.key)).content.decode()
    for model, row in (("apikey", alice.key), ("ledgerentry", entry)):
        assert admin_client.get(address(f"{model}_change", row)).status_code == 200
        assert admin_client.post(address(f"{model}_change", row), {}).status_code == 403
        assert admin_client.get(address(f"{model}_add")).status_code == 403
        assert admin_client.post(address(f"{model}_delete", row), {"post": "yes"}).status_code == 403


def test_the_history_of_no_key_is_not_found(admin_client: Client) -> None:
    assert admin_client.get("/admin/tenants/apikey/abc/history/").status_code == 404


def test_a_browser_may_send_the_panels_own_forms(client: Client) -> None:
    """With no-referrer it would send `Origin: null`, which the CSRF check refuses."""
    assert client.get("/admin/login/")["Referrer-Policy"] == "same-origin"


def test_a_login_without_a_page_in_mind_ends_at_the_panel(client: Client, admin_user: Any) -> None:
    answer = client.post("/admin/login/", {"username": "admin", "password": "password"})
    assert answer["Location"] == "/admin/"
