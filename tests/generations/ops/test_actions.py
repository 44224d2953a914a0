"""What ops do to a generation: each act from where it makes sense, once, with its ledger entry and its audit line."""

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
Verb = Callable[[Actor, Generation], Any]

# From which states each goes, and where to.
ACTS: dict[str, tuple[Verb, set[str], str | None]] = {
    "cancel": (actions.cancel, {"queued"}, "cancelled"),
    "fail and release": (actions.fail, {"queued", "running", "copying"}, "failed"),
    "nudge": (actions.run_now, {"queued", "running", "copying"}, None),
    "retry copy": (actions.retry_copy, {"copying"}, None),
}


def audit() -> list[tuple[str, str, str, str]]:
    rows = AuditEntry.objects.filter(action__startswith="generation").order_by("pk")
    return [(row.actor, row.action, row.target, row.reason) for row in rows]


def kinds(g: Generation) -> list[str]:
    return list(LedgerEntry.objects.filter(generation_id=g.pk).order_by("pk").values_list("kind", flat=True))


@pytest.mark.parametrize("status", REACHABLE_STATUSES)
@pytest.mark.parametrize("action", ACTS)
def test_each_act_goes_from_its_own_states_and_leaves_all_others_alone(alice: Caller, action: str, status: str) -> None:
    verb, sources, target = ACTS[action]
    g, _ = put_in(alice, status)
    before = Generation.objects.filter(pk=g.pk).values().get()
    if status not in sources:
        with pytest.raises(NotPossible):
            verb(OLGA, g)
        assert Generation.objects.filter(pk=g.pk).values().get() == before
        assert audit() == []
        return
    verb(OLGA, g)
    after = Generation.objects.get(pk=g.pk)
    assert after.status == (target or status)
    assert audit() == [("olga", f"generation: {action}", str(g.pk), "the customer called")]
    assert kinds(g) == (["hold", "release"] if target else ["hold"])


@pytest.mark.django_db
@pytest.mark.parametrize("verb", [*(verb for verb, _, _ in ACTS.values()), actions.rerun])
def test_none_goes_without_a_reason(alice: Caller, verb: Verb) -> None:
    g, _ = put_in(alice, "copying")
    with pytest.raises(NotPossible, match="needs a reason"):
        verb(Actor(name="olga", reason=" "), g)
    assert Generation.objects.count() == 1
    assert audit() == []


def test_who_calls_reads_that_operators_did_it_and_not_why(alice: Caller) -> None:
    g, _ = put_in(alice, "running")
    actions.fail(OLGA, g)
    error = alice.http.get(f"/v1/generations/{g.pk}").json()["error"]
    assert error == {"code": "ended_by_operators", "message": actions.ENDED}
    events = alice.http.get(f"/v1/generations/{g.pk}/events").json()["events"]
    assert "customer" not in str(events)


def test_a_nudged_row_is_due_at_once_and_who_has_it_in_hand_loses_its_turn(alice: Caller) -> None:
    g, _ = put_in(alice, "copying")
    Generation.objects.filter(pk=g.pk).update(due_at=timezone.now() + timedelta(hours=1), consecutive_failures=9)
    held = Generation.objects.get(pk=g.pk)
    actions.run_now(OLGA, Generation.objects.get(pk=g.pk))
    assert not lifecycle.renew_lease(held)
    assert not lifecycle.reschedule(held, 3600)
    [claimed] = claim_due(5)
    assert (claimed.pk, claimed.consecutive_failures) == (g.pk, 0)


def test_a_rerun_is_the_same_once_more_on_the_bill_of_the_same_key(alice: Caller, bucket: Any) -> None:
    g, _ = put_in(alice, "succeeded")
    assert g.image is not None
    bucket.put_object(Bucket="seedance-tests", Key=g.image.key, Body=b"abc")
    same = actions.rerun(OLGA, g)
    other = actions.rerun(OLGA, g, seed=-1)
    assert (same.seed, same.image, same.api_key, same.rerun_of) == (g.seed, g.image, alice.key, g.pk)
    assert other.seed_source == "drawn"
    assert kinds(same) == ["hold"]
    lines = AuditEntry.objects.filter(action="generation: rerun").order_by("pk")
    assert [line.changes["made"] for line in lines] == [str(same.pk), str(other.pk)]


@pytest.mark.parametrize("trouble", [TenantSuspended, LimitReached, InputsGone])
def test_a_rerun_that_is_refused_leaves_neither_a_row_nor_a_line(
    alice: Caller, bucket: Any, trouble: type[Refusal]
) -> None:
    g, _ = put_in(alice, "succeeded")
    assert g.image is not None
    if trouble is not InputsGone:
        bucket.put_object(Bucket="seedance-tests", Key=g.image.key, Body=b"abc")
    if trouble is TenantSuspended:
        tenant_actions.suspend(ACTOR, alice.tenant)
    if trouble is LimitReached:
        alice.limit(per_day=1)
    with pytest.raises(trouble):
        actions.rerun(OLGA, Generation.objects.get(pk=g.pk))
    assert Generation.objects.count() == 1
    assert audit() == []


def test_deleted_files_leave_the_bucket_and_the_ledger_stays(alice: Caller, bucket: Any) -> None:
    g, _ = put_in(alice, "failed")
    assert g.image is not None
    bucket.put_object(Bucket="seedance-tests", Key=g.image.key, Body=b"abc")
    assert actions.delete_files(OLGA, g)
    assert "Contents" not in bucket.list_objects_v2(Bucket="seedance-tests")
    assert kinds(g) == ["hold", "release"]
    assert "deleted by the service's operators" in g.events.last().message  # type: ignore[union-attr]
    with pytest.raises(NotPossible, match="deleted before"):
        actions.delete_files(OLGA, g)
    assert len(audit()) == 1
