"""Generations in doubt: the tenant's policies, and the operators' actions, each with a reason and an audit entry."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations import leases, lifecycle
from generations.models import Generation
from generations.ops import in_doubt
from generations.upstream import circuit_breaker
from generations.worker import steps
from tenants import actions, audit
from tenants.audit import Actor
from tenants.errors import NotPossible
from tenants.models import AuditEntry, LedgerEntry
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.upstream import Upstream, as_json, refusal, task
from tests.support.worker import claim_due

OLGA = Actor(name="olga", reason="the upstream's support confirmed it")


def run_steps() -> None:
    """Take the next step of every due generation, whatever the circuit breaker says."""
    circuit_breaker.resume(test=False)
    for generation in claim_due(100):
        steps.advance(generation)


MakeInDoubt = Callable[..., Generation]


@pytest.fixture
def make_in_doubt(alice: Caller, bucket: Any, upstream: Upstream) -> MakeInDoubt:
    """Return a function that loses the answer to a submit, and then lets the worker apply the tenant's policy."""

    def make(on_doubt: str = "hold") -> Generation:
        actions.change_tenant(ACTOR, alice.tenant, on_doubt=on_doubt)
        generation = make_generation(alice, seed=7)
        assert generation.image is not None
        bucket.put_object(Bucket="seedance-tests", Key=generation.image.key, Body=b"abc")
        answer, upstream.on_submit = upstream.on_submit, lambda handler: None
        run_steps()
        upstream.on_submit = answer
        assert status(generation) == "in_doubt"
        run_steps()
        generation.refresh_from_db()
        return generation

    return make


def status(generation: Generation) -> str:
    """Return the present status of the generation."""
    return Generation.objects.get(pk=generation.pk).status


def ledger_kinds(generation: Generation) -> list[str]:
    """Return the kinds of the generation's ledger entries, oldest first."""
    return list(LedgerEntry.objects.filter(generation_id=generation.pk).order_by("id").values_list("kind", flat=True))


def rendered(seed: Any) -> Any:
    """Return the upstream's answer for a finished task that was made from that seed."""
    return task("TASK_STATUS_SUCCEED", seed=seed, url="http://127.0.0.1:1/video.mp4")


def test_the_policy_hold_keeps_the_hold_for_a_day(make_in_doubt: MakeInDoubt, upstream: Upstream) -> None:
    g = make_in_doubt()
    assert (g.status, ledger_kinds(g)) == ("in_doubt", ["hold"])
    with time_machine.travel(timezone.now() + timedelta(hours=23), tick=False):
        run_steps()
        assert status(g) == "in_doubt"
    with time_machine.travel(timezone.now() + timedelta(hours=24), tick=False):
        run_steps()
    g.refresh_from_db()
    assert (g.status, g.error_code, ledger_kinds(g)) == ("failed", "submit_unconfirmed", ["hold", "release"])
    assert len(upstream.submits) == 1


def test_the_policy_fail_fails_at_once_and_releases_the_hold(make_in_doubt: MakeInDoubt, upstream: Upstream) -> None:
    g = make_in_doubt("fail")
    assert (g.status, g.error_code, ledger_kinds(g)) == ("failed", "submit_unconfirmed", ["hold", "release"])
    assert len(upstream.submits) == 1


def test_the_policy_resubmit_submits_a_second_time_and_not_a_third(
    make_in_doubt: MakeInDoubt, upstream: Upstream
) -> None:
    g = make_in_doubt("resubmit")
    assert (g.status, ledger_kinds(g)) == ("queued", ["hold"])
    assert "may pay twice" in g.events.last().message
    upstream.on_submit = lambda handler: None
    run_steps()
    run_steps()
    assert status(g) == "in_doubt"
    assert len(upstream.submits) == 2
    with time_machine.travel(timezone.now() + timedelta(hours=24), tick=False):
        run_steps()
    assert status(g) == "failed"
    assert len(upstream.submits) == 2


def test_the_policy_applies_to_a_submit_whose_worker_was_killed(
    alice: Caller, upstream: Upstream, make_in_doubt: MakeInDoubt, bucket: Any
) -> None:
    actions.change_tenant(ACTOR, alice.tenant, on_doubt="resubmit")
    g = make_generation(alice)
    [claimed] = claim_due(1)
    assert lifecycle.start_submitting(claimed)
    with time_machine.travel(timezone.now() + leases.SUBMIT_LEASE, tick=False):
        run_steps()
        run_steps()
        assert status(g) == "queued"


def test_a_resubmitted_generation_has_the_whole_submit_deadline_again(
    make_in_doubt: MakeInDoubt, upstream: Upstream
) -> None:
    g = make_in_doubt()
    upstream.on_submit = refusal(403, "NOT_ENOUGH_BALANCE")
    with time_machine.travel(timezone.now() + timedelta(hours=3), tick=False) as clock:
        in_doubt.resubmit(OLGA, g)
        run_steps()
        assert status(g) == "queued"
        clock.shift(3600)
        run_steps()
        assert Generation.objects.get(pk=g.pk).error_code == "upstream_unavailable"


def test_a_tenant_may_have_its_own_submit_deadline(
    make_in_doubt: MakeInDoubt, alice: Caller, upstream: Upstream
) -> None:
    actions.change_tenant(ACTOR, alice.tenant, submit_deadline=7200)
    g = make_in_doubt()
    in_doubt.resubmit(OLGA, g)
    upstream.on_submit = refusal(429, "RATE_LIMIT_EXCEEDED")
    start = timezone.now()
    with time_machine.travel(start + timedelta(seconds=7000), tick=False):
        run_steps()
        assert status(g) == "queued"
    actions.change_tenant(ACTOR, alice.tenant, submit_deadline=7050)
    with time_machine.travel(start + timedelta(seconds=7100), tick=False):
        run_steps()
    assert status(g) == "failed"


def test_attach_continues_with_the_upstreams_task(make_in_doubt: MakeInDoubt, upstream: Upstream) -> None:
    g = make_in_doubt()
    upstream.on_poll = rendered("7")
    in_doubt.attach(OLGA, g, " found-1 ")
    g.refresh_from_db()
    assert (g.status, g.upstream_id, ledger_kinds(g)) == ("running", "found-1", ["hold"])
    assert upstream.polls == ["found-1"]
    run_steps()
    assert status(g) == "copying"
    assert len(upstream.submits) == 1
    entry = AuditEntry.objects.latest("pk")
    assert (entry.actor, entry.action, entry.target) == ("olga", "doubt: attach", str(g.pk))
    assert (entry.reason, entry.changes["upstream_id"]) == (OLGA.reason, "found-1")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (rendered("8"), "from seed 8, this generation from 7"),
        (task("TASK_STATUS_PROCESSING", progress=40), "still rendering"),
        (task("TASK_STATUS_FAILED", reason="too dark"), "too dark"),
        (refusal(404, "TASK_NOT_FOUND"), "does not show that task"),
        (as_json({"task": {"status": "TASK_STATUS_UNKNOWN"}}), "does not show that task"),
        ((502, {}, b"bad gateway"), "does not show that task"),
    ],
)
def test_a_task_that_may_be_another_generations_is_not_attached(
    make_in_doubt: MakeInDoubt, upstream: Upstream, answer: Any, sentence: str
) -> None:
    g = make_in_doubt()
    upstream.on_poll = answer
    with pytest.raises(NotPossible, match=sentence):
        in_doubt.attach(OLGA, g, "found-1")
    g.refresh_from_db()
    assert (g.status, g.upstream_id) == ("in_doubt", None)


def test_the_task_of_another_generation_is_not_attached(
    make_in_doubt: MakeInDoubt, alice: Caller, upstream: Upstream
) -> None:
    g = make_in_doubt()
    other = make_generation(alice)
    Generation.objects.filter(pk=other.pk).update(status="running", upstream_id="theirs")
    upstream.on_poll = rendered("7")
    with pytest.raises(NotPossible, match="another generation"):
        in_doubt.attach(OLGA, g, "theirs")


def test_a_finished_task_without_a_seed_is_attached(make_in_doubt: MakeInDoubt, upstream: Upstream) -> None:
    g = make_in_doubt()
    upstream.on_poll = rendered(None)
    in_doubt.attach(OLGA, g, "found-1")
    assert status(g) == "running"


def test_resubmit_submits_a_second_time(make_in_doubt: MakeInDoubt, upstream: Upstream) -> None:
    g = make_in_doubt()
    in_doubt.resubmit(OLGA, g)
    run_steps()
    g.refresh_from_db()
    assert (g.status, ledger_kinds(g)) == ("running", ["hold"])
    assert [a.outcome for a in g.attempts.order_by("number")] == ["in_doubt", "created"]


@pytest.mark.parametrize(
    ("act", "code", "action"),
    [
        (in_doubt.release, "not_submitted", "doubt: release"),
        (in_doubt.give_up, "submit_unconfirmed", "doubt: give up"),
    ],
)
def test_release_and_give_up_fail_the_generation_and_release_the_hold_once(
    make_in_doubt: MakeInDoubt, act: Any, code: str, action: str
) -> None:
    g = make_in_doubt()
    act(OLGA, g)
    g.refresh_from_db()
    assert (g.status, g.error_code, ledger_kinds(g)) == ("failed", code, ["hold", "release"])
    with pytest.raises(NotPossible, match="no longer in doubt"):
        act(OLGA, g)
    [entry] = AuditEntry.objects.filter(target=str(g.pk))
    assert (entry.action, entry.reason, entry.changes) == (action, OLGA.reason, {"usd_at_risk": "0.088209"})


@pytest.mark.parametrize("act", [in_doubt.resubmit, in_doubt.release, in_doubt.give_up])
def test_no_action_is_possible_without_a_reason_or_unless_in_doubt(
    make_in_doubt: MakeInDoubt, alice: Caller, act: Any
) -> None:
    g = make_in_doubt()
    with pytest.raises(NotPossible, match="reason"):
        act(Actor(name="olga", reason=" "), g)
    assert status(g) == "in_doubt"
    waiting = make_generation(alice)
    with pytest.raises(NotPossible, match="no longer in doubt"):
        act(OLGA, waiting)
    assert not AuditEntry.objects.filter(action__startswith="doubt").exists()


def test_an_action_without_an_audit_entry_is_rolled_back(make_in_doubt: MakeInDoubt, monkeypatch: Any) -> None:
    g = make_in_doubt()

    def broken(*args: Any) -> None:
        raise RuntimeError("no audit")

    monkeypatch.setattr(audit, "record", broken)
    with pytest.raises(RuntimeError):
        in_doubt.release(OLGA, g)
    g.refresh_from_db()
    assert (g.status, ledger_kinds(g)) == ("in_doubt", ["hold"])


def test_a_generation_that_was_resolved_since_the_claim_is_not_failed(
    make_in_doubt: MakeInDoubt, upstream: Upstream
) -> None:
    """A worker has claimed the generation to fail it, and an operator is faster."""
    for resolve in (lambda g: in_doubt.attach(OLGA, g, f"found-{g.pk}"), lambda g: in_doubt.resubmit(OLGA, g)):
        g = make_in_doubt()
        upstream.on_poll = rendered("7")
        with time_machine.travel(timezone.now() + timedelta(hours=24), tick=False):
            [claimed] = claim_due(1)
            assert claimed.pk == g.pk
            resolve(g)
            steps.advance(claimed)
        assert status(g) in ("running", "queued")
        assert ledger_kinds(g) == ["hold"]
        lifecycle.fail(Generation.objects.get(pk=g.pk), "over", "For the next round.")


def test_an_action_about_one_attempt_is_refused_after_the_next(make_in_doubt: MakeInDoubt, upstream: Upstream) -> None:
    g = make_in_doubt()
    examined = in_doubt.count_attempts(g)
    in_doubt.resubmit(OLGA, g, attempt=examined)
    answer, upstream.on_submit = upstream.on_submit, lambda handler: None
    run_steps()
    upstream.on_submit = answer
    g.refresh_from_db()
    assert g.status == "in_doubt"
    for act in (in_doubt.resubmit, in_doubt.release, in_doubt.give_up):
        with pytest.raises(NotPossible, match="Another attempt"):
            act(OLGA, g, attempt=examined)
    in_doubt.release(OLGA, g, attempt=examined + 1)
    assert status(g) == "failed"


def test_a_task_that_is_attached_late_has_the_whole_time_for_the_copy(
    make_in_doubt: MakeInDoubt, upstream: Upstream
) -> None:
    g = make_in_doubt()
    upstream.on_poll = rendered("7")
    upstream.on_video = 500, {}, b"not now"
    with time_machine.travel(timezone.now() + timedelta(hours=23, minutes=59), tick=False) as clock:
        in_doubt.attach(OLGA, g, "found-1")
        clock.shift(120)
        run_steps()
        clock.shift(120)
        run_steps()
    assert status(g) == "copying"


def test_a_tenants_policies_are_validated(alice: Caller) -> None:
    for wrong in ({"on_doubt": "shrug"}, {"submit_deadline": 0}, {"submit_deadline": 10**9}):
        with pytest.raises(NotPossible):
            actions.change_tenant(ACTOR, alice.tenant, **wrong)
