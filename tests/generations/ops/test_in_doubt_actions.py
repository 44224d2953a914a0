"""Operators' actions on generations in doubt: each needs a reason and leaves an audit entry."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations import lifecycle
from generations.models import Generation
from generations.ops import in_doubt
from generations.worker import steps
from tenants import audit
from tenants.audit import Actor
from tenants.errors import NotPossible
from tenants.models import AuditEntry
from tests.support.factories import Caller, make_generation
from tests.support.in_doubt import OLGA, MakeInDoubt, ledger_kinds, rendered, run_steps, status
from tests.support.upstream import Upstream, as_json, refusal, task
from tests.support.worker import claim_due


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
    ("resolve", "code", "action"),
    [
        (in_doubt.release, "not_submitted", "doubt: release"),
        (in_doubt.give_up, "submit_unconfirmed", "doubt: give up"),
    ],
)
def test_release_and_give_up_fail_the_generation_and_release_the_hold_once(
    make_in_doubt: MakeInDoubt, resolve: Any, code: str, action: str
) -> None:
    g = make_in_doubt()
    resolve(OLGA, g)
    g.refresh_from_db()
    assert (g.status, g.error_code, ledger_kinds(g)) == ("failed", code, ["hold", "release"])
    with pytest.raises(NotPossible, match="no longer in doubt"):
        resolve(OLGA, g)
    [entry] = AuditEntry.objects.filter(target=str(g.pk))
    assert (entry.action, entry.reason, entry.changes) == (action, OLGA.reason, {"usd_at_risk": "0.088209"})


@pytest.mark.parametrize("resolve", [in_doubt.resubmit, in_doubt.release, in_doubt.give_up])
def test_no_action_is_possible_without_a_reason_or_unless_in_doubt(
    make_in_doubt: MakeInDoubt, alice: Caller, resolve: Any
) -> None:
    g = make_in_doubt()
    with pytest.raises(NotPossible, match="reason"):
        resolve(Actor(name="olga", reason=" "), g)
    assert status(g) == "in_doubt"
    waiting = make_generation(alice)
    with pytest.raises(NotPossible, match="no longer in doubt"):
        resolve(OLGA, waiting)
    assert not AuditEntry.objects.filter(action__startswith="doubt").exists()


def test_an_action_without_an_audit_entry_is_rolled_back(make_in_doubt: MakeInDoubt, monkeypatch: Any) -> None:
    g = make_in_doubt()

    def fail(*args: Any) -> None:
        """Fail as a database would that cannot write the entry."""
        raise RuntimeError("no audit")

    monkeypatch.setattr(audit, "record", fail)
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
    for resolve in (in_doubt.resubmit, in_doubt.release, in_doubt.give_up):
        with pytest.raises(NotPossible, match="Another attempt"):
            resolve(OLGA, g, attempt=examined)
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
