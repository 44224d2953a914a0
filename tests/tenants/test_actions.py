"""What ops do to tenants and keys: each act does what it says, once, and leaves its line in the audit log."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from generations import lifecycle
from tenants import actions as tenant_actions
from tenants.audit import Actor
from tenants.errors import NotPossible, TenantSuspended
from tenants.limits import counters
from tenants.models import ApiKey, AuditEntry, LedgerEntry, Tenant, Window
from tenants.money import reconcile
from tests.generations.test_lifecycle import VIDEO, put_in
from tests.support.factories import Caller, make_generation

OPS = Actor(name="olivia", reason="ticket 7")


def last() -> AuditEntry:
    entry = AuditEntry.objects.order_by("-pk").first()
    assert entry is not None
    return entry


def test_each_act_says_who_when_what_and_why(alice: Caller) -> None:
    tenant_actions.change_tenant(OPS, alice.tenant, per_day=5)
    entry = last()
    assert (entry.actor, entry.reason, entry.action, entry.target) == ("olivia", "ticket 7", "change tenant", "alice")
    assert entry.changes == {"per_day": [None, 5]}
    assert timezone.now() - entry.at < timedelta(minutes=1)


def test_an_act_that_changes_nothing_leaves_no_line(alice: Caller) -> None:
    before = AuditEntry.objects.count()
    tenant_actions.change_tenant(OPS, alice.tenant, per_day=None)
    assert AuditEntry.objects.count() == before


def test_the_new_keys_text_is_in_no_row(alice: Caller) -> None:
    new = tenant_actions.create_key(OPS, alice.tenant, label="ci")
    assert last().target == new.prefix
    assert new.text.rpartition("_")[2] not in str(list(AuditEntry.objects.values()))


def test_a_suspended_tenant_creates_nothing_more_and_what_runs_goes_on(alice: Caller) -> None:
    running, _ = put_in(alice, "running")
    tenant_actions.suspend(OPS, alice.tenant)
    with pytest.raises(TenantSuspended):
        make_generation(alice)
    assert lifecycle.start_copying(running, None)
    assert lifecycle.mark_succeeded(running, VIDEO)
    tenant_actions.resume(OPS, alice.tenant)
    assert make_generation(alice).status == "queued"
    actions = list(AuditEntry.objects.filter(actor="olivia").order_by("pk").values_list("action", flat=True))
    assert actions == ["suspend", "resume"]


def test_a_suspension_answers_with_its_code(alice: Caller, bucket: Any, body: dict[str, Any]) -> None:
    tenant_actions.suspend(OPS, alice.tenant)
    native = alice.http.post("/v1/generations", body, format="json")
    wire = alice.http.post("/v3/async/seedance-v1-lite-i2v", body, format="json")
    assert (native.status_code, native.json()["code"]) == (403, "tenant_suspended")
    assert (wire.status_code, wire.json()["reason"]) == (403, "API_NOT_ALLOWED")
    assert alice.http.get("/v1/generations").status_code == 200
    assert alice.http.get("/v1/limits").json()["suspended"] is True


def test_a_credit_gives_budget_back_and_is_in_the_ledger(alice: Caller) -> None:
    put_in(alice, "succeeded")
    tenant_actions.adjust(OPS, alice.tenant, -80_000)
    [entry] = LedgerEntry.objects.filter(kind="adjust")
    assert (entry.amount_micro, entry.reason) == (-80_000, "ticket 7")
    assert Window.objects.get(kind="usd_per_month", api_key=None).used == 8_209
    assert reconcile.check(alice.tenant.pk) == []


@pytest.mark.parametrize(("amount", "actor"), [(-90_000, OPS), (0, OPS), (5, Actor(name="olivia"))])
def test_a_credit_over_what_was_used_or_without_a_reason_is_refused(alice: Caller, amount: int, actor: Actor) -> None:
    put_in(alice, "succeeded")
    with pytest.raises(NotPossible):
        tenant_actions.adjust(actor, alice.tenant, amount)
    assert not LedgerEntry.objects.filter(kind="adjust").exists()


@pytest.mark.parametrize(
    "wanted", [{"name": "bob"}, {"name": ""}, {"name": " x"}, {"time_zone": "Mars/Olympus"}, {"time_zone": "../etc"}]
)
def test_what_can_not_be_is_refused_and_changes_nothing(alice: Caller, bob: Caller, wanted: dict[str, str]) -> None:
    before = Tenant.objects.values().get(pk=alice.tenant.pk)
    with pytest.raises(NotPossible):
        tenant_actions.change_tenant(OPS, alice.tenant, **wanted)
    assert Tenant.objects.values().get(pk=alice.tenant.pk) == before


def test_a_changed_label_is_checked_like_a_new_one(alice: Caller) -> None:
    with pytest.raises(NotPossible):
        tenant_actions.change_key(OPS, alice.key, label="a\nb")


def test_a_credit_does_not_eat_what_is_only_held(alice: Caller) -> None:
    """It may still go back, and must then find what it took."""
    put_in(alice, "succeeded")
    held = make_generation(alice)
    with pytest.raises(NotPossible):
        tenant_actions.adjust(OPS, alice.tenant, -2 * held.price_micro)
    tenant_actions.adjust(OPS, alice.tenant, -held.price_micro)
    assert lifecycle.fail(held, "code", "Why.")
    assert Window.objects.get(kind="usd_per_month", api_key=None).used == 0


def test_an_adjustment_that_no_counter_could_hold_is_refused(alice: Caller) -> None:
    with pytest.raises(NotPossible):
        tenant_actions.adjust(OPS, alice.tenant, 2**62)


def test_a_rolled_key_lives_no_longer_and_has_no_second_cap(alice: Caller) -> None:
    ends = timezone.now() + timedelta(days=1)
    old = alice.with_key(expires_at=ends, limits={"per_day": 2, "in_flight": 5})
    make_generation(old)
    new, _ = tenant_actions.roll_key(OPS, old.key, timedelta(hours=24))
    successor = ApiKey.objects.select_related("tenant").get(prefix=new.prefix)
    assert successor.expires_at == ends
    left = {one.kind.value: one.remaining for one in counters.usage_for_key(successor, timezone.now()) if one.is_of_key}
    assert (left["per_day"], left["in_flight"]) == (1, 5)
    assert reconcile.check(alice.tenant.pk) == []


@pytest.mark.parametrize("wanted", [{"scopes": ["everything"]}, {"label": "x" * 101}, {"label": "a\nb"}])
def test_a_key_that_can_not_be_is_refused(alice: Caller, wanted: dict[str, Any]) -> None:
    with pytest.raises(NotPossible):
        tenant_actions.create_key(OPS, alice.tenant, **wanted)


def test_the_ledger_and_the_audit_are_append_only(alice: Caller) -> None:
    make_generation(alice)
    for model in (LedgerEntry, AuditEntry):
        row, rows = model.objects.order_by("pk")[0], model.objects.all()
        for actor in (row.save, row.delete, rows.delete, partial(rows.update, reason="x")):
            with pytest.raises(TypeError, match="append-only"):
                actor()
