"""Pauses of submits that operators order, suspensions that hold the queue, and cancelling what is queued."""

import json
import threading
import time
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Q

from generations import lifecycle
from generations.models import Event, Generation, ManualPause
from generations.ops import submit_pauses
from generations.upstream import manual_pauses, rate_limit
from generations.worker import steps, submit
from tenants import actions
from tenants.audit import Actor
from tenants.errors import NotPossible
from tenants.models import AuditEntry, LedgerEntry
from tests.support.factories import ACTOR, Caller, make_generation, make_image
from tests.support.patching import patch_library
from tests.support.upstream import Upstream
from tests.support.worker import claim, claim_due, ledger_kinds, take_step

Scope, Status = ManualPause.Scope, Generation.Status
OLGA = Actor(name="olga", reason="a runaway tenant")

PAUSES: dict[str, Callable[[Caller], tuple[str, str]]] = {
    "all": lambda caller: (Scope.ALL, ""),
    "the account": lambda caller: (Scope.ACCOUNT, "live"),
    "the tenant": lambda caller: (Scope.TENANT, str(caller.tenant.pk)),
    "the model": lambda caller: (Scope.MODEL, "seedance-v1-lite-i2v"),
}
OTHERS: dict[str, Callable[[Caller], tuple[str, str]]] = {
    "the sandbox": lambda caller: (Scope.ACCOUNT, "sandbox"),
    "another tenant": lambda caller: (Scope.TENANT, str(Caller("other").tenant.pk)),
}


@pytest.fixture
def queued(alice: Caller, bucket: Any, upstream: Upstream) -> list[Generation]:
    """Return three queued generations whose image is in the bucket."""
    image = make_image(alice.tenant)
    bucket.put_object(Bucket="seedance-tests", Key=image.key, Body=b"abc")
    return [make_generation(alice, image=image) for _ in range(3)]


def statuses() -> set[str]:
    return set(Generation.objects.values_list("status", flat=True))


def take_due_steps() -> None:
    """Take one step of each row that is due."""
    for generation in claim_due(100):
        steps.advance(generation)


def messages(generation: Generation) -> list[str]:
    """Return the messages of the generation's events."""
    return list(Event.objects.filter(generation=generation).order_by("id").values_list("message", flat=True))


@pytest.mark.parametrize("pause", PAUSES)
def test_a_pause_holds_submits_until_it_is_ended(
    queued: list[Generation], upstream: Upstream, alice: Caller, pause: str
) -> None:
    scope = PAUSES[pause](alice)
    assert submit_pauses.pause_submits(OLGA, *scope) == submit_pauses.Held(queued=3, submitting=0)
    for _ in range(3):
        for generation in queued:
            take_step(generation)
    assert (statuses(), upstream.submits) == ({"queued"}, [])
    assert messages(queued[0]) == ["accepted", manual_pauses.PAUSED]
    assert submit_pauses.resume_submits(OLGA, *scope) == 3
    take_due_steps()
    assert (statuses(), len(upstream.submits)) == ({"running"}, 3)
    assert submit_pauses.RESUMED in messages(queued[0])
    entries = AuditEntry.objects.filter(action__startswith="submits").order_by("id")
    assert [(entry.action, entry.actor, entry.reason) for entry in entries] == [
        ("submits: pause", "olga", "a runaway tenant"),
        ("submits: resume", "olga", "a runaway tenant"),
    ]


@pytest.mark.parametrize("pause", OTHERS)
def test_a_pause_of_others_holds_nothing_here(
    queued: list[Generation], upstream: Upstream, alice: Caller, pause: str
) -> None:
    submit_pauses.pause_submits(OLGA, *OTHERS[pause](alice))
    take_due_steps()
    assert statuses() == {"running"}


def test_of_two_pauses_both_have_to_end(queued: list[Generation], upstream: Upstream, alice: Caller) -> None:
    submit_pauses.pause_submits(OLGA, Scope.ALL)
    submit_pauses.pause_submits(OLGA, Scope.TENANT, str(alice.tenant.pk))
    take_due_steps()
    submit_pauses.resume_submits(OLGA, Scope.ALL)
    take_due_steps()
    assert upstream.submits == []
    submit_pauses.resume_submits(OLGA, Scope.TENANT, str(alice.tenant.pk))
    take_due_steps()
    assert len(upstream.submits) == 3


@pytest.mark.parametrize(
    ("scope", "target"),
    [(Scope.ALL, "x"), (Scope.ACCOUNT, "acme"), (Scope.TENANT, "999"), (Scope.TENANT, "bob"), (Scope.MODEL, "sora")],
)
def test_a_pause_of_what_does_not_exist_is_refused(db: None, scope: str, target: str) -> None:
    with pytest.raises(NotPossible):
        submit_pauses.pause_submits(OLGA, scope, target)
    assert not ManualPause.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_pause_needs_a_reason_and_is_ordered_and_ended_once(db: None) -> None:
    with pytest.raises(NotPossible):
        submit_pauses.pause_submits(ACTOR, Scope.ALL)
    submit_pauses.pause_submits(OLGA, Scope.ALL)
    with pytest.raises(NotPossible):
        submit_pauses.pause_submits(OLGA, Scope.ALL)
    submit_pauses.resume_submits(OLGA, Scope.ALL)
    with pytest.raises(NotPossible):
        submit_pauses.resume_submits(OLGA, Scope.ALL)


def test_a_suspended_tenants_queue_is_held_and_goes_on_after_it(
    queued: list[Generation], upstream: Upstream, alice: Caller
) -> None:
    actions.suspend(OLGA, alice.tenant)
    take_due_steps()
    assert (statuses(), upstream.submits) == ({"queued"}, [])
    assert messages(queued[0])[-1] == manual_pauses.SUSPENDED
    actions.resume(OLGA, alice.tenant)
    take_due_steps()
    assert (statuses(), len(upstream.submits)) == ({"running"}, 3)


def test_a_suspension_can_cancel_the_queue_and_releases_its_holds(
    queued: list[Generation], upstream: Upstream, alice: Caller, bob: Caller
) -> None:
    running = take_step_of(queued[0])
    other = make_generation(bob)
    assert actions.suspend(OLGA, alice.tenant, cancel_queued=True) == 2
    assert actions.suspend(OLGA, alice.tenant, cancel_queued=True) == 0  # again, of a suspended tenant
    take_due_steps()
    assert [Generation.objects.get(pk=g.pk).status for g in (*queued, other)][1:3] == ["cancelled", "cancelled"]
    assert ledger_kinds(queued[1]) == ["hold", "release"]
    assert (running.status, ledger_kinds(running), ledger_kinds(other)) == ("running", ["hold"], ["hold"])
    with pytest.raises(NotPossible):
        actions.suspend(OLGA, alice.tenant)


def test_a_revoked_keys_queue_goes_on_or_is_cancelled_by_choice(
    queued: list[Generation], upstream: Upstream, alice: Caller
) -> None:
    other_key = alice.with_key()
    left = make_generation(other_key, image=queued[0].image)
    assert actions.revoke_key(OLGA, other_key.key) == 0
    assert actions.revoke_key(OLGA, alice.key, cancel_queued=True) == 3
    take_due_steps()
    assert take_step(left).status == "running"
    assert {Generation.objects.get(pk=g.pk).status for g in queued} == {"cancelled"}


def test_a_pause_that_comes_while_an_attempt_waits_for_its_moment_stops_it(
    queued: list[Generation], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "reserve", lambda _: 0.5)
    patch_library(monkeypatch, submit, time, sleep=lambda seconds: submit_pauses.pause_submits(OLGA, Scope.ALL))
    g = take_step_of(queued[0])
    assert (g.status, upstream.submits) == ("queued", [])
    assert [attempt.outcome for attempt in g.attempts.all()] == ["not_sent"]
    assert ledger_kinds(g) == ["hold"]


def take_step_of(generation: Generation) -> Generation:
    """Take the step of this row alone."""
    [claimed] = [row for row in claim_due(100) if row.pk == generation.pk]
    steps.advance(claimed)
    return Generation.objects.get(pk=generation.pk)


def test_an_end_that_comes_while_a_generation_is_put_off_is_not_missed(
    queued: list[Generation], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_pauses.pause_submits(OLGA, Scope.ALL)
    put_off = lifecycle.put_off

    def resume_first(*args: Any) -> bool:
        monkeypatch.undo()
        submit_pauses.resume_submits(OLGA, Scope.ALL)
        return put_off(*args)

    monkeypatch.setattr(lifecycle, "put_off", resume_first)
    take_step_of(queued[0])
    take_due_steps()
    take_due_steps()
    assert Generation.objects.get(pk=queued[0].pk).status == "running"


@pytest.mark.django_db(transaction=True)
def test_no_attempt_is_recorded_after_a_pause_was_committed(
    alice: Caller, bucket: Any, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt's transaction has looked at the pauses when the operator orders one: the order waits for it."""
    image = make_image(alice.tenant)
    bucket.put_object(Bucket="seedance-tests", Key=image.key, Body=b"abc")
    claimed = claim(make_generation(alice, image=image))
    order: list[str] = []
    start, ordered = lifecycle.start_submitting, threading.Event()

    def pause() -> None:
        ordered.set()
        submit_pauses.pause_submits(OLGA, Scope.ALL)
        order.append("paused")
        connection.close()

    operator = threading.Thread(target=pause)

    def start_slowly(generation: Generation, *args: Any, **asked: Any) -> Any:
        operator.start()
        ordered.wait()
        operator.join(0.3)  # it cannot end, since this transaction shares the lock
        order.append("recorded")
        return start(generation, *args, **asked)

    monkeypatch.setattr(lifecycle, "start_submitting", start_slowly)
    steps.advance(claimed)
    operator.join()
    assert order == ["recorded", "paused"]
    assert len(upstream.submits) == 1


def test_cancelling_by_a_condition_leaves_the_rest(queued: list[Generation], alice: Caller, bob: Caller) -> None:
    other = make_generation(bob)
    assert submit_pauses.count_queued(Q(tenant=alice.tenant)) == 3
    assert submit_pauses.cancel_queued(OLGA, Q(tenant=alice.tenant), {"tenant": "alice"}, alice.tenant) == 3
    assert Generation.objects.get(pk=other.pk).status == "queued"
    assert LedgerEntry.objects.filter(kind="release").count() == 3
    entry = AuditEntry.objects.get(action="cancel queued")
    assert (entry.actor, entry.reason, entry.changes) == ("olga", OLGA.reason, {"tenant": "alice", "matched": 3})


def run(*arguments: str) -> Any:
    """Run `manage.py submits` and return its JSON."""
    out = StringIO()
    call_command("submits", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_the_command_pauses_resumes_lists_and_cancels(queued: list[Generation], upstream: Upstream) -> None:
    assert run("pause", "--tenant", "alice", "--reason", "why") == {"paused": True, "queued": 3, "submitting": 0}
    [row] = run("list")["paused"]
    assert (row["scope"], row["reason"]) == ("tenant", "why")
    take_due_steps()
    assert run("cancel", "--tenant", "alice") == {"queued": 3}
    with pytest.raises(CommandError, match="reason"):
        run("cancel", "--tenant", "alice", "--yes")
    with pytest.raises(CommandError, match="--all"):
        run("cancel", "--yes", "--reason", "why")
    assert run("cancel", "--tenant", "alice", "--yes", "--reason", "why") == {"cancelled": 3}
    assert run("resume", "--tenant", "alice", "--reason", "why") == {"paused": False, "released": 0}
    with pytest.raises(CommandError):
        run("pause", "--tenant", "carol", "--reason", "why")


def test_the_tenant_command_cancels_the_queue(queued: list[Generation]) -> None:
    out = StringIO()
    call_command("tenant", "suspend", "alice", "--cancel-queued", "--reason", "runaway", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"tenant": "alice", "suspended": True, "cancelled": 3}
    assert statuses() == {"cancelled"}
