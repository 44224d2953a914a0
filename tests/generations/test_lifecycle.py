"""The lifecycle as a list of promises: every transition is tried from every status."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from generations import lifecycle
from generations.models import Attempt, Generation
from tenants.models import LedgerEntry, Window
from tests.support import attempts
from tests.support.factories import Caller, make_generation
from tests.support.worker import claim_due

Status = Generation.Status
VIDEO = lifecycle.StoredVideo("videos/1.mp4", 9, "ab" * 32, "h264", 864, 480, 24.0, 5.04, "videos/1.jpg")


def put_in(caller: Caller, status: str) -> tuple[Generation, Attempt]:
    """Create a generation and bring it to `status` by the transitions themselves. Return it with its attempt."""
    g = make_generation(caller)
    if status == Status.QUEUED:
        return g, Attempt(generation=g)
    if status == Status.FAILED:
        assert lifecycle.fail(g, "upstream_failed", "No.")
        return g, Attempt(generation=g)
    attempt = attempts.start_submitting(g)
    assert attempt is not None
    if status == Status.IN_DOUBT:
        assert lifecycle.mark_in_doubt(g, "lost", attempt)
    if status in (Status.RUNNING, Status.COPYING, Status.SUCCEEDED):
        assert lifecycle.mark_running(g, attempt, f"up-{g.pk}", 2)
    if status in (Status.COPYING, Status.SUCCEEDED):
        assert attempts.start_copying(g, 77)
    if status == Status.SUCCEEDED:
        assert lifecycle.mark_succeeded(g, VIDEO)
    assert Generation.objects.get(pk=g.pk).status == status
    return g, attempt


TRANSITIONS: dict[str, tuple[Callable[[Generation, Attempt], Any], set[str], str]] = {
    "start_submitting": (lambda g, a: attempts.start_submitting(g), {"queued"}, "submitting"),
    # Also from the queue: a late answer, after an operator queued another attempt and before that one is sent.
    "mark_running": (
        lambda g, a: lifecycle.mark_running(g, a, "up", 2),
        {"queued", "submitting", "in_doubt"},
        "running",
    ),
    "mark_not_created": (
        lambda g, a: lifecycle.mark_not_created(g, a, "429", 2),
        {"submitting", "in_doubt"},
        "queued",
    ),
    # Also from a doubt: another worker recorded it while this one stood still, before it sent a byte.
    "mark_not_sent": (lambda g, a: lifecycle.mark_not_sent(g, a, "Late."), {"submitting", "in_doubt"}, "queued"),
    "mark_refused": (lambda g, a: attempts.mark_refused(g, a, "NO", "no"), {"submitting", "in_doubt"}, "failed"),
    "mark_in_doubt": (lambda g, a: lifecycle.mark_in_doubt(g, "lost", a), {"submitting"}, "in_doubt"),
    "attach_task": (lambda g, a: lifecycle.attach_task(g, "up", "Found."), {"in_doubt"}, "running"),
    "resubmit": (lambda g, a: lifecycle.resubmit(g, "Not created."), {"in_doubt"}, "queued"),
    "start_copying": (lambda g, a: attempts.start_copying(g, None), {"running"}, "copying"),
    "mark_succeeded": (lambda g, a: lifecycle.mark_succeeded(g, VIDEO), {"copying"}, "succeeded"),
    "cancel": (lambda g, a: lifecycle.cancel(g, "Not needed."), {"queued"}, "cancelled"),
    "fail": (lambda g, a: lifecycle.fail(g, "code", "Why."), set(map(str, Generation.LIVE)), "failed"),
}
REACHABLE_STATUSES = ["queued", "submitting", "in_doubt", "running", "copying", "succeeded", "failed"]


@pytest.mark.parametrize("status", REACHABLE_STATUSES)
@pytest.mark.parametrize("transition", TRANSITIONS)
def test_each_transition_starts_from_its_own_statuses_and_from_no_other(
    alice: Caller, transition: str, status: str
) -> None:
    run, sources, target = TRANSITIONS[transition]
    g, attempt = put_in(alice, status)
    before = Generation.objects.filter(pk=g.pk).values().get()
    events = g.events.count()
    changed = bool(run(g, attempt))
    after = Generation.objects.filter(pk=g.pk).values().get()
    if status in sources:
        assert changed
        assert after["status"] == target == g.status
        assert g.events.count() == events + 1
    else:
        assert not changed
        assert after == before
        assert g.events.count() == events


@pytest.mark.parametrize("status", ["queued", "submitting", "in_doubt", "running", "copying"])
def test_a_live_generation_holds_its_price_and_a_failure_releases_it_once(alice: Caller, status: str) -> None:
    g, _ = put_in(alice, status)
    charged = {"in_flight": 1, "per_day": 1, "per_month": 1, "seconds_per_month": 5, "usd_per_month": g.price_micro}
    assert read_usage(alice) == charged
    assert lifecycle.fail(g, "code", "Why.")
    assert not lifecycle.fail(g, "code", "Why.")
    assert read_usage(alice) == dict.fromkeys(charged, 0)
    assert ledger_kinds(g) == ["hold", "release"]


def test_a_success_captures_the_hold_and_frees_only_the_capacity_in_flight(alice: Caller) -> None:
    g, _ = put_in(alice, "succeeded")
    spent = {"per_day": 1, "per_month": 1, "seconds_per_month": 5, "usd_per_month": g.price_micro}
    assert read_usage(alice) == {"in_flight": 0, **spent}
    assert ledger_kinds(g) == ["hold", "capture"]


def test_a_release_credits_the_windows_that_were_charged_not_todays(alice: Caller) -> None:
    long_ago = timezone.now() - timedelta(days=62)
    old = make_generation(alice, created_at=long_ago)
    make_generation(alice)
    lifecycle.fail(old, "code", "Why.")
    by_day = dict(Window.objects.filter(kind="per_day", api_key=None).values_list("starts_at__date", "used"))
    assert by_day == {long_ago.date(): 0, timezone.now().date(): 1}


def test_the_ledger_itself_refuses_capture_after_release(alice: Caller) -> None:
    g, _ = put_in(alice, "failed")
    with pytest.raises(IntegrityError), transaction.atomic():
        LedgerEntry.objects.create(tenant=alice.tenant, generation_id=g.pk, kind="capture", amount_micro=1)


def test_a_worker_that_lost_its_claim_writes_nothing(alice: Caller) -> None:
    g, _ = put_in(alice, "copying")
    outdated = Generation.objects.get(pk=g.pk)
    Generation.objects.filter(pk=g.pk).update(due_at=timezone.now())
    [mine] = claim_due(10)
    assert not lifecycle.mark_succeeded(outdated, VIDEO)
    assert not lifecycle.renew_lease(outdated)
    assert not lifecycle.reschedule(outdated, 1)
    assert lifecycle.mark_succeeded(mine, VIDEO)


def test_a_late_answer_is_accepted_although_another_worker_has_claimed_the_row(alice: Caller) -> None:
    g, attempt = put_in(alice, "submitting")
    Generation.objects.filter(pk=g.pk).update(due_at=timezone.now())
    [claimed] = claim_due(10)
    assert lifecycle.mark_in_doubt(claimed, "its lease ran out")
    assert lifecycle.mark_running(g, attempt, "up-late", 2)
    assert Generation.objects.get(pk=g.pk).upstream_id == "up-late"


def submit_twice(caller: Caller) -> tuple[Generation, Attempt, Generation, Attempt]:
    """Submit a generation, lose the answer and submit it again. Return row and attempt of both workers."""
    first, lost = put_in(caller, "submitting")
    Generation.objects.filter(pk=first.pk).update(due_at=timezone.now())
    [second] = claim_due(10)
    assert lifecycle.mark_in_doubt(second, "its lease ran out")
    assert lifecycle.resubmit(second, "Confirmed not created.")
    attempt = attempts.start_submitting(second)
    assert attempt is not None
    return first, lost, second, attempt


def test_a_late_refusal_of_an_earlier_attempt_does_not_touch_the_later_one(alice: Caller) -> None:
    first, lost, second, attempt = submit_twice(alice)
    assert not lifecycle.mark_not_created(first, lost, "429", 2)
    assert not attempts.mark_refused(first, lost, "NO", "no")
    assert Generation.objects.get(pk=first.pk).status == "submitting"
    assert lifecycle.mark_running(second, attempt, "up-2", 2)


def test_two_tasks_paid_for_one_generation_are_logged_and_one_is_used(alice: Caller, caplog: Any) -> None:
    first, lost, second, attempt = submit_twice(alice)
    assert lifecycle.mark_running(first, lost, "up-1", 2)
    assert not lifecycle.mark_running(second, attempt, "up-2", 2)
    assert Generation.objects.get(pk=first.pk).upstream_id == "up-1"
    assert "a task is paid for" in caplog.text
    assert "up-2" in caplog.text
    assert [a.detail for a in first.attempts.order_by("number")] == ["up-1", "up-2"]


def test_an_attempt_whose_worker_was_lost_is_closed_as_in_doubt(alice: Caller) -> None:
    g, _ = put_in(alice, "submitting")
    assert lifecycle.mark_in_doubt(g, "its lease ran out")
    assert [a.outcome for a in g.attempts.all()] == ["in_doubt"]


def test_a_claim_takes_each_due_row_once_and_leaves_the_others(alice: Caller) -> None:
    due = [make_generation(alice) for _ in range(3)]
    later = make_generation(alice)
    Generation.objects.filter(pk=later.pk).update(due_at=timezone.now() + timedelta(minutes=1))
    first, second = claim_due(2), claim_due(10)
    assert sorted(g.pk for g in first + second) == sorted(g.pk for g in due)
    assert claim_due(10) == []
    assert {g.fencing_token for g in first} == {1}


def test_each_transition_leaves_an_event(alice: Caller) -> None:
    g, _ = put_in(alice, "succeeded")
    assert [event.status for event in g.events.all()] == ["queued", "submitting", "running", "copying", "succeeded"]


@pytest.mark.parametrize(
    "columns",
    [
        {"due_at": None},
        {"finished_at": timezone.now()},
        {"status": "succeeded", "due_at": None, "finished_at": timezone.now(), "upstream_id": "u"},
        {"status": "failed", "due_at": None, "finished_at": timezone.now()},
        {"status": "running"},
        {"status": "unheard_of"},
    ],
)
def test_the_schema_refuses_rows_that_cannot_be(alice: Caller, columns: dict[str, Any]) -> None:
    g = make_generation(alice)
    with pytest.raises(IntegrityError), transaction.atomic():
        Generation.objects.filter(pk=g.pk).update(**columns)


def read_usage(caller: Caller) -> dict[str, int]:
    """Return what the tenant's usage windows say, after checking that the key's windows say the same."""
    rows = Window.objects.filter(tenant=caller.tenant).exclude(kind="requests_per_minute")
    by_holder = [dict(rows.filter(api_key=holder).values_list("kind", "used")) for holder in (None, caller.key)]
    assert by_holder[0] == by_holder[1]
    return by_holder[0]


def ledger_kinds(generation: Generation) -> list[str]:
    """Return the kinds of the generation's ledger entries, oldest first."""
    return list(LedgerEntry.objects.filter(generation_id=generation.pk).order_by("id").values_list("kind", flat=True))
