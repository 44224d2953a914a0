"""Operators' actions on tenants and keys take effect once, and write an audit entry."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from generations import lifecycle
from tenants import actions as tenant_actions
from tenants import locks
from tenants.audit import Actor
from tenants.errors import NotPossible, TenantSuspended
from tenants.limits import counters
from tenants.models import ApiKey, AuditEntry, LedgerEntry, Tenant, Window
from tenants.money import reconcile
from tests.generations.test_lifecycle import VIDEO, put_in
from tests.support import attempts
from tests.support.factories import ACTOR, Caller, make_generation

OPS = Actor(name="olivia", reason="ticket 7")


def last_entry() -> AuditEntry:
    """Return the newest audit entry."""
    entry = AuditEntry.objects.order_by("-pk").first()
    assert entry is not None
    return entry


def test_each_action_records_actor_time_changes_and_reason(alice: Caller) -> None:
    tenant_actions.change_tenant(OPS, alice.tenant, per_day=5)
    entry = last_entry()
    assert (entry.actor, entry.reason, entry.action, entry.target) == ("olivia", "ticket 7", "change tenant", "alice")
    assert entry.changes == {"per_day": [None, 5]}
    assert timezone.now() - entry.at < timedelta(minutes=1)


def test_an_action_that_changes_nothing_leaves_no_entry(alice: Caller) -> None:
    before = AuditEntry.objects.count()
    tenant_actions.change_tenant(OPS, alice.tenant, per_day=None)
    assert AuditEntry.objects.count() == before


def test_the_new_keys_text_is_in_no_row(alice: Caller) -> None:
    new = tenant_actions.create_key(OPS, alice.tenant, label="ci")
    assert last_entry().target == new.prefix
    assert new.text.rpartition("_")[2] not in str(list(AuditEntry.objects.values()))


def test_a_suspended_tenant_creates_nothing_more_and_running_generations_finish(alice: Caller) -> None:
    running, _ = put_in(alice, "running")
    tenant_actions.suspend(OPS, alice.tenant)
    with pytest.raises(TenantSuspended):
        make_generation(alice)
    assert attempts.start_copying(running, None)
    assert lifecycle.mark_succeeded(running, VIDEO)
    tenant_actions.resume(OPS, alice.tenant)
    assert make_generation(alice).status == "queued"
    actions = list(AuditEntry.objects.filter(actor="olivia").order_by("pk").values_list("action", flat=True))
    assert actions == ["suspend", "resume"]


def test_a_suspension_begins_under_the_lock_of_submits(alice: Caller, monkeypatch: Any) -> None:
    """An attempt that was recorded while the suspension waited for the lock is not younger than the suspension."""
    locked_at = []
    hold_submits = locks.hold_submits
    monkeypatch.setattr(locks, "hold_submits", lambda: (hold_submits(), locked_at.append(timezone.now())))
    tenant_actions.suspend(ACTOR, alice.tenant)
    alice.tenant.refresh_from_db()
    assert alice.tenant.suspended_at
    assert alice.tenant.suspended_at >= locked_at[0]


def test_a_suspended_tenant_is_refused_with_the_code_of_each_api(
    alice: Caller, bucket: Any, body: dict[str, Any]
) -> None:
    tenant_actions.suspend(OPS, alice.tenant)
    native = alice.http.post("/v1/generations", body, format="json")
    novita = alice.http.post("/v3/async/seedance-v1-lite-i2v", body, format="json")
    assert (native.status_code, native.json()["code"]) == (403, "tenant_suspended")
    assert (novita.status_code, novita.json()["reason"]) == (403, "API_NOT_ALLOWED")
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
def test_a_credit_above_what_was_spent_or_without_a_reason_is_refused(alice: Caller, amount: int, actor: Actor) -> None:
    put_in(alice, "succeeded")
    with pytest.raises(NotPossible):
        tenant_actions.adjust(actor, alice.tenant, amount)
    assert not LedgerEntry.objects.filter(kind="adjust").exists()


@pytest.mark.parametrize(
    "values", [{"name": "bob"}, {"name": ""}, {"name": " x"}, {"time_zone": "Mars/Olympus"}, {"time_zone": "../etc"}]
)
def test_a_forbidden_value_is_refused_and_changes_nothing(alice: Caller, bob: Caller, values: dict[str, str]) -> None:
    before = Tenant.objects.values().get(pk=alice.tenant.pk)
    with pytest.raises(NotPossible):
        tenant_actions.change_tenant(OPS, alice.tenant, **values)
    assert Tenant.objects.values().get(pk=alice.tenant.pk) == before


def test_a_changed_label_is_checked_like_a_new_one(alice: Caller) -> None:
    with pytest.raises(NotPossible):
        tenant_actions.change_key(OPS, alice.key, label="a\nb")


def test_a_credit_does_not_use_up_open_holds(alice: Caller) -> None:
    """A release has to find in the counter what the hold charged."""
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


def test_a_rolled_key_expires_no_later_and_has_no_second_limit(alice: Caller) -> None:
    ends = timezone.now() + timedelta(days=1)
    old = alice.with_key(expires_at=ends, limits={"per_day": 2, "in_flight": 5})
    make_generation(old)
    new, _ = tenant_actions.roll_key(OPS, old.key, timedelta(hours=24))
    successor = ApiKey.objects.select_related("tenant").get(prefix=new.prefix)
    assert successor.expires_at == ends
    remaining = {
        usage.kind.value: usage.remaining
        for usage in counters.usage_for_key(successor, timezone.now())
        if usage.is_of_key
    }
    assert (remaining["per_day"], remaining["in_flight"]) == (1, 5)
    assert reconcile.check(alice.tenant.pk) == []


@pytest.mark.parametrize("values", [{"scopes": ["everything"]}, {"label": "x" * 101}, {"label": "a\nb"}])
def test_a_key_with_forbidden_values_is_refused(alice: Caller, values: dict[str, Any]) -> None:
    with pytest.raises(NotPossible):
        tenant_actions.create_key(OPS, alice.tenant, **values)


def test_the_ledger_and_the_audit_are_append_only(alice: Caller) -> None:
    make_generation(alice)
    for model in (LedgerEntry, AuditEntry):
        row, rows = model.objects.order_by("pk")[0], model.objects.all()
        for change in (row.save, row.delete, rows.delete, partial(rows.update, reason="x")):
            with pytest.raises(TypeError, match="append-only"):
                change()
