"""A submit whose answer was lost: the tenant's policy, and what ops may do about it, each with a reason and a trace."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
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

OPS = Actor(name="olga", reason="the upstream's support confirmed it")


def sweep() -> None:
    circuit_breaker.resume(test=False)
    for generation in claim_due(100):
        steps.advance(generation)


@pytest.fixture
def doubtful(alice: Caller, bucket: Any, upstream: Upstream) -> Callable[..., Generation]:
    """Sends one whose answer is lost, for a tenant of that policy, and does what the policy says."""

    def make(on_doubt: str = "hold") -> Generation:
        actions.change_tenant(ACTOR, alice.tenant, on_doubt=on_doubt)
        generation = make_generation(alice, seed=7)
        assert generation.image is not None
        bucket.put_object(Bucket="seedance-tests", Key=generation.image.key, Body=b"abc")
        answer, upstream.on_submit = upstream.on_submit, lambda handler: None
        sweep()
        upstream.on_submit = answer
        assert status(generation) == "in_doubt"
        sweep()
        generation.refresh_from_db()
        return generation

    return make


def status(generation: Generation) -> str:
    return Generation.objects.get(pk=generation.pk).status


def kinds(generation: Generation) -> list[str]:
    return list(LedgerEntry.objects.filter(generation_id=generation.pk).order_by("id").values_list("kind", flat=True))


def rendered(seed: Any) -> Any:
    return task("TASK_STATUS_SUCCEED", seed=seed, url="http://127.0.0.1:1/video.mp4")


def test_the_default_holds_it_with_its_price_until_ops_know(doubtful: Any, upstream: Upstream) -> None:
    g = doubtful()
    assert (g.status, kinds(g)) == ("in_doubt", ["hold"])
    with time_machine.travel(timezone.now() + timedelta(hours=23), tick=False):
        sweep()
        assert status(g) == "in_doubt"
    with time_machine.travel(timezone.now() + timedelta(hours=24), tick=False):
        sweep()
    g.refresh_from_db()
    assert (g.status, g.error_code, kinds(g)) == ("failed", "submit_unconfirmed", ["hold", "release"])
    assert len(upstream.submits) == 1


def test_the_policy_fail_fails_it_at_once_and_releases_it(doubtful: Any, upstream: Upstream) -> None:
    g = doubtful("fail")
    assert (g.status, g.error_code, kinds(g)) == ("failed", "submit_unconfirmed", ["hold", "release"])
    assert len(upstream.submits) == 1


def test_the_policy_resubmit_sends_it_once_more_and_not_twice(doubtful: Any, upstream: Upstream) -> None:
    g = doubtful("resubmit")
    assert (g.status, kinds(g)) == ("queued", ["hold"])
    assert "may pay twice" in g.events.last().message
    upstream.on_submit = lambda handler: None
    sweep()
    sweep()
    assert status(g) == "in_doubt"
    assert len(upstream.submits) == 2
    with time_machine.travel(timezone.now() + timedelta(hours=24), tick=False):
        sweep()
    assert status(g) == "failed"
    assert len(upstream.submits) == 2


def test_a_worker_lost_while_sending_is_met_by_the_policy_too(
    alice: Caller, upstream: Upstream, doubtful: Any, bucket: Any
) -> None:
    actions.change_tenant(ACTOR, alice.tenant, on_doubt="resubmit")
    g = make_generation(alice)
    [claimed] = claim_due(1)
    assert lifecycle.start_submitting(claimed)
    with time_machine.travel(timezone.now() + leases.SUBMIT_LEASE, tick=False):
        sweep()
        sweep()
        assert status(g) == "queued"


def test_a_resubmitted_one_has_its_whole_deadline_again(doubtful: Any, upstream: Upstream) -> None:
    g = doubtful()
    upstream.on_submit = refusal(403, "NOT_ENOUGH_BALANCE")
    with time_machine.travel(timezone.now() + timedelta(hours=3), tick=False) as clock:
        in_doubt.resubmit(OPS, g)
        sweep()
        assert status(g) == "queued"
        clock.shift(3600)
        sweep()
        assert Generation.objects.get(pk=g.pk).error_code == "upstream_unavailable"


def test_a_tenant_may_wait_longer_or_shorter_than_others(doubtful: Any, alice: Caller, upstream: Upstream) -> None:
    actions.change_tenant(ACTOR, alice.tenant, submit_deadline=7200)
    g = doubtful()
    in_doubt.resubmit(OPS, g)
    upstream.on_submit = refusal(429, "RATE_LIMIT_EXCEEDED")
    start = timezone.now()
    with time_machine.travel(start + timedelta(seconds=7000), tick=False):
        sweep()
        assert status(g) == "queued"
    actions.change_tenant(ACTOR, alice.tenant, submit_deadline=7050)
    with time_machine.travel(start + timedelta(seconds=7100), tick=False):
        sweep()
    assert status(g) == "failed"


def test_ops_attach_the_task_and_the_generation_goes_its_way(doubtful: Any, upstream: Upstream) -> None:
    g = doubtful()
    upstream.on_poll = rendered("7")
    in_doubt.attach(OPS, g, " found-1 ")
    g.refresh_from_db()
    assert (g.status, g.upstream_id, kinds(g)) == ("running", "found-1", ["hold"])
    assert upstream.polls == ["found-1"]
    sweep()
    assert status(g) == "copying"
    assert len(upstream.submits) == 1
    entry = AuditEntry.objects.latest("pk")
    assert (entry.actor, entry.action, entry.target) == ("olga", "doubt: attach", str(g.pk))
    assert (entry.reason, entry.changes["upstream_id"]) == (OPS.reason, "found-1")


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
def test_a_task_that_is_not_surely_its_own_is_not_attached(
    doubtful: Any, upstream: Upstream, answer: Any, sentence: str
) -> None:
    g = doubtful()
    upstream.on_poll = answer
    with pytest.raises(NotPossible, match=sentence):
        in_doubt.attach(OPS, g, "found-1")
    g.refresh_from_db()
    assert (g.status, g.upstream_id) == ("in_doubt", None)


def test_the_task_of_another_generation_is_not_attached(doubtful: Any, alice: Caller, upstream: Upstream) -> None:
    g = doubtful()
    other = make_generation(alice)
    Generation.objects.filter(pk=other.pk).update(status="running", upstream_id="theirs")
    upstream.on_poll = rendered("7")
    with pytest.raises(NotPossible, match="another generation"):
        in_doubt.attach(OPS, g, "theirs")


def test_a_finished_task_without_a_seed_is_attached_as_ops_say(doubtful: Any, upstream: Upstream) -> None:
    g = doubtful()
    upstream.on_poll = rendered(None)
    in_doubt.attach(OPS, g, "found-1")
    assert status(g) == "running"


def test_ops_confirm_that_it_was_not_created_and_it_is_sent_again(doubtful: Any, upstream: Upstream) -> None:
    g = doubtful()
    in_doubt.resubmit(OPS, g)
    sweep()
    g.refresh_from_db()
    assert (g.status, kinds(g)) == ("running", ["hold"])
    assert [a.outcome for a in g.attempts.order_by("number")] == ["in_doubt", "created"]


@pytest.mark.parametrize(
    ("verb", "code", "action"),
    [
        (in_doubt.release, "not_submitted", "doubt: release"),
        (in_doubt.give_up, "submit_unconfirmed", "doubt: give up"),
    ],
)
def test_ops_end_it_and_its_hold_goes_back_once(doubtful: Any, verb: Any, code: str, action: str) -> None:
    g = doubtful()
    verb(OPS, g)
    g.refresh_from_db()
    assert (g.status, g.error_code, kinds(g)) == ("failed", code, ["hold", "release"])
    with pytest.raises(NotPossible, match="no longer in doubt"):
        verb(OPS, g)
    [entry] = AuditEntry.objects.filter(target=str(g.pk))
    assert (entry.action, entry.reason, entry.changes) == (action, OPS.reason, {"usd_at_risk": "0.088209"})


@pytest.mark.parametrize("verb", [in_doubt.resubmit, in_doubt.release, in_doubt.give_up])
def test_nothing_is_done_without_a_reason_or_out_of_doubt(doubtful: Any, alice: Caller, verb: Any) -> None:
    g = doubtful()
    with pytest.raises(NotPossible, match="reason"):
        verb(Actor(name="olga", reason=" "), g)
    assert status(g) == "in_doubt"
    waiting = make_generation(alice)
    with pytest.raises(NotPossible, match="no longer in doubt"):
        verb(OPS, waiting)
    assert not AuditEntry.objects.filter(action__startswith="doubt").exists()


def test_a_decision_that_can_not_be_audited_is_not_taken(doubtful: Any, monkeypatch: Any) -> None:
    g = doubtful()

    def broken(*args: Any) -> None:
        raise RuntimeError("no audit")

    monkeypatch.setattr(audit, "record", broken)
    with pytest.raises(RuntimeError):
        in_doubt.release(OPS, g)
    g.refresh_from_db()
    assert (g.status, kinds(g)) == ("in_doubt", ["hold"])


def test_what_was_resolved_since_it_was_claimed_is_not_failed(doubtful: Any, upstream: Upstream) -> None:
    """A worker has claimed it for its last step, and ops are faster."""
    for resolve in (lambda g: in_doubt.attach(OPS, g, f"found-{g.pk}"), lambda g: in_doubt.resubmit(OPS, g)):
        g = doubtful()
        upstream.on_poll = rendered("7")
        with time_machine.travel(timezone.now() + timedelta(hours=24), tick=False):
            [claimed] = claim_due(1)
            assert claimed.pk == g.pk
            resolve(g)
            steps.advance(claimed)
        assert status(g) in ("running", "queued")
        assert kinds(g) == ["hold"]
        lifecycle.fail(Generation.objects.get(pk=g.pk), "over", "For the next round.")


def test_what_was_found_out_of_one_attempt_is_not_said_of_the_next(doubtful: Any, upstream: Upstream) -> None:
    g = doubtful()
    seen = in_doubt.attempt_of(g)
    in_doubt.resubmit(OPS, g, attempt=seen)
    answer, upstream.on_submit = upstream.on_submit, lambda handler: None
    sweep()
    upstream.on_submit = answer
    g.refresh_from_db()
    assert g.status == "in_doubt"
    for verb in (in_doubt.resubmit, in_doubt.release, in_doubt.give_up):
        with pytest.raises(NotPossible, match="Another attempt"):
            verb(OPS, g, attempt=seen)
    assert shell("release", str(g.pk), "--attempt", "2", "--reason", "x") == f"{g.pk} is failed.\n"


def test_a_video_that_is_found_late_has_its_time_to_be_copied(doubtful: Any, upstream: Upstream) -> None:
    g = doubtful()
    upstream.on_poll = rendered("7")
    upstream.on_video = 500, {}, b"not now"
    with time_machine.travel(timezone.now() + timedelta(hours=23, minutes=59), tick=False) as clock:
        in_doubt.attach(OPS, g, "found-1")
        clock.shift(120)
        sweep()
        clock.shift(120)
        sweep()
    assert status(g) == "copying"


def shell(*args: str) -> str:
    out = StringIO()
    call_command("doubt", *args, stdout=out)
    return out.getvalue()


def test_the_shell_lists_and_resolves(doubtful: Any, upstream: Upstream) -> None:
    g = doubtful()
    [row] = json.loads(shell("list", "--json"))["in_doubt"]
    assert (row["id"], row["seed"], row["usd"], row["tenant"]) == (str(g.pk), 7, "0.088209", "alice")
    upstream.on_poll = rendered("7")
    assert shell("attach", str(g.pk), "found-1", "--reason", "seen in the account") == f"{g.pk} is running.\n"
    assert AuditEntry.objects.latest("pk").actor.startswith("shell:")
    assert shell("list") == "Nothing is in doubt.\n"
    with pytest.raises(CommandError, match="no longer in doubt"):
        shell("release", str(g.pk), "--reason", "x")
    with pytest.raises(CommandError, match="no such generation"):
        shell("release", "01a20f7a-816c-7b30-9e42-3c634c0984b8", "--reason", "x")


def test_a_tenants_wants_are_checked(alice: Caller) -> None:
    for wrong in ({"on_doubt": "shrug"}, {"submit_deadline": 0}, {"submit_deadline": 10**9}):
        with pytest.raises(NotPossible):
            actions.change_tenant(ACTOR, alice.tenant, **wrong)
