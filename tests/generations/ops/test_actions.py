"""Operators' actions: each is possible in its own statuses only, once, with a ledger entry and an audit entry."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from generations import lifecycle
from generations.errors import InputsGone
from generations.models import Generation
from generations.ops import actions
from tenants import actions as tenant_actions
from tenants.audit import Actor
from tenants.errors import LimitReached, NotPossible, Refusal, TenantSuspended
from tenants.models import AuditEntry, LedgerEntry
from tests.generations.test_lifecycle import REACHABLE_STATUSES, put_in
from tests.support.factories import ACTOR, Caller
from tests.support.worker import claim_due

OLGA = Actor(name="olga", reason="the customer called")
Action = Callable[[Actor, Generation], Any]

# The statuses in which an action is possible, and the new status. None: the status stays.
ACTIONS: dict[str, tuple[Action, set[str], str | None]] = {
    "cancel": (actions.cancel, {"queued"}, "cancelled"),
    "fail and release": (actions.fail, {"queued", "running", "copying"}, "failed"),
    "nudge": (actions.run_now, {"queued", "running", "copying"}, None),
    "retry copy": (actions.retry_copy, {"copying"}, None),
}


def audit_entries() -> list[tuple[str, str, str, str]]:
    """Return actor, action, target and reason of each audit entry about generations."""
    rows = AuditEntry.objects.filter(action__startswith="generation").order_by("pk")
    return [(row.actor, row.action, row.target, row.reason) for row in rows]


def ledger_kinds(generation: Generation) -> list[str]:
    """Return the kinds of the generation's ledger entries, oldest first."""
    return list(LedgerEntry.objects.filter(generation_id=generation.pk).order_by("pk").values_list("kind", flat=True))


@pytest.mark.parametrize("status", REACHABLE_STATUSES)
@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_possible_in_its_own_statuses_and_changes_nothing_in_others(
    alice: Caller, action: str, status: str
) -> None:
    run_action, sources, target = ACTIONS[action]
    g, _ = put_in(alice, status)
    before = Generation.objects.filter(pk=g.pk).values().get()
    if status not in sources:
        with pytest.raises(NotPossible):
            run_action(OLGA, g)
        assert Generation.objects.filter(pk=g.pk).values().get() == before
        assert audit_entries() == []
        return
    run_action(OLGA, g)
    after = Generation.objects.get(pk=g.pk)
    assert after.status == (target or status)
    assert audit_entries() == [("olga", f"generation: {action}", str(g.pk), "the customer called")]
    assert ledger_kinds(g) == (["hold", "release"] if target else ["hold"])


@pytest.mark.django_db
@pytest.mark.parametrize("run_action", [*(run_action for run_action, _, _ in ACTIONS.values()), actions.rerun])
def test_no_action_is_possible_without_a_reason(alice: Caller, run_action: Action) -> None:
    g, _ = put_in(alice, "copying")
    with pytest.raises(NotPossible, match="needs a reason"):
        run_action(Actor(name="olga", reason=" "), g)
    assert Generation.objects.count() == 1
    assert audit_entries() == []


def test_callers_read_that_operators_acted_and_not_the_reason(alice: Caller) -> None:
    g, _ = put_in(alice, "running")
    actions.fail(OLGA, g)
    error = alice.http.get(f"/v1/generations/{g.pk}").json()["error"]
    assert error == {"code": "ended_by_operators", "message": actions.ENDED_BY_OPERATORS}
    events = alice.http.get(f"/v1/generations/{g.pk}/events").json()["events"]
    assert "customer" not in str(events)


def test_run_now_makes_the_row_due_and_the_worker_that_has_claimed_it_loses_the_claim(alice: Caller) -> None:
    g, _ = put_in(alice, "copying")
    Generation.objects.filter(pk=g.pk).update(due_at=timezone.now() + timedelta(hours=1), consecutive_failures=9)
    claimed_before = Generation.objects.get(pk=g.pk)
    actions.run_now(OLGA, Generation.objects.get(pk=g.pk))
    assert not lifecycle.renew_lease(claimed_before)
    assert not lifecycle.reschedule(claimed_before, 3600)
    [claimed] = claim_due(5)
    assert (claimed.pk, claimed.consecutive_failures) == (g.pk, 0)


def test_a_rerun_has_the_same_inputs_and_is_charged_to_the_same_key(alice: Caller, bucket: Any) -> None:
    g, _ = put_in(alice, "succeeded")
    assert g.image is not None
    bucket.put_object(Bucket="seedance-tests", Key=g.image.key, Body=b"abc")
    same = actions.rerun(OLGA, g)
    other = actions.rerun(OLGA, g, seed=-1)
    assert (same.seed, same.image, same.api_key, same.rerun_of) == (g.seed, g.image, alice.key, g.pk)
    assert other.seed_source == "drawn"
    assert ledger_kinds(same) == ["hold"]
    entries = AuditEntry.objects.filter(action="generation: rerun").order_by("pk")
    assert [entry.changes["made"] for entry in entries] == [str(same.pk), str(other.pk)]


@pytest.mark.parametrize("error", [TenantSuspended, LimitReached, InputsGone])
def test_a_refused_rerun_leaves_neither_a_row_nor_an_audit_entry(
    alice: Caller, bucket: Any, error: type[Refusal]
) -> None:
    g, _ = put_in(alice, "succeeded")
    assert g.image is not None
    if error is not InputsGone:
        bucket.put_object(Bucket="seedance-tests", Key=g.image.key, Body=b"abc")
    if error is TenantSuspended:
        tenant_actions.suspend(ACTOR, alice.tenant)
    if error is LimitReached:
        alice.limit(per_day=1)
    with pytest.raises(error):
        actions.rerun(OLGA, Generation.objects.get(pk=g.pk))
    assert Generation.objects.count() == 1
    assert audit_entries() == []


def test_delete_files_empties_the_bucket_and_keeps_the_ledger(alice: Caller, bucket: Any) -> None:
    g, _ = put_in(alice, "failed")
    assert g.image is not None
    bucket.put_object(Bucket="seedance-tests", Key=g.image.key, Body=b"abc")
    assert actions.delete_files(OLGA, g)
    assert "Contents" not in bucket.list_objects_v2(Bucket="seedance-tests")
    assert ledger_kinds(g) == ["hold", "release"]
    assert "deleted by the service's operators" in g.events.last().message  # type: ignore[union-attr]
    with pytest.raises(NotPossible, match="deleted before"):
        actions.delete_files(OLGA, g)
    assert len(audit_entries()) == 1
