"""Cancels of generations that were sent: what the upstream is asked, what it decides, and that all is settled once."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from generations.models import Delivery, Generation
from generations.ops import actions, cancellation
from generations.upstream import poll_pauses, task_state
from generations.upstream.errors import AccountError
from generations.worker import steps
from tenants.audit import Actor
from tenants.errors import NotPossible
from tenants.models import AuditEntry
from tenants.money import reconcile
from tests.generations.admin.rows import LIST, page_url
from tests.generations.test_lifecycle import ledger_kinds, put_in
from tests.http_client import Client
from tests.support import attempts
from tests.support.ark_answers import ID, error, refusal, rendered, task
from tests.support.ark_generations import answer_in_turn, lead_to, make_running
from tests.support.factories import Caller, make_generation
from tests.support.upstream import Answer, Upstream, as_json
from tests.support.worker import claim, take_step

pytestmark = pytest.mark.django_db(transaction=True)

OLGA = Actor(name="olga", reason="the customer called")
QUEUED, RUNNING, CANCELLED = task("queued"), task("running"), task("cancelled")
SUCCEEDED, EXPIRED = as_json(rendered()), task("expired")
FAILED = task("failed", **error("OutputVideoSensitiveContentDetected"))
ACCEPTED, REFUSED = as_json({}), refusal(400, "OperationDenied.InvalidState")
GONE, AWAY, LOST = refusal(404, "NotFound.Task"), refusal(500, "InternalServiceError"), None
SENT, NOT_SENT = [ID], list[str]()

# What is answered to the read before the cancel, to the cancel, and to the read after it; whether a cancel is sent, and
# the sentence of the refusal, "" if the generation is cancelled.
STORIES: dict[str, tuple[list[Answer | None], Answer | None, list[str], str]] = {
    "it waits and is cancelled": ([QUEUED, CANCELLED], ACCEPTED, SENT, ""),
    "it waits, is cancelled and forgotten": ([QUEUED, GONE], ACCEPTED, SENT, ""),
    "others cancelled it just now": ([QUEUED, CANCELLED], REFUSED, SENT, ""),
    "others cancelled it before": ([CANCELLED], ACCEPTED, NOT_SENT, ""),
    "the answer to the cancel is lost": ([QUEUED, CANCELLED], LOST, SENT, ""),
    "it began just now": ([QUEUED, RUNNING], REFUSED, SENT, cancellation.BEGUN),
    "it ended just now": ([QUEUED, SUCCEEDED], REFUSED, SENT, cancellation.ENDED_THERE),
    "it failed just now": ([QUEUED, FAILED], REFUSED, SENT, cancellation.ENDED_THERE),
    "it has begun": ([RUNNING], ACCEPTED, NOT_SENT, cancellation.BEGUN),
    "it has succeeded": ([SUCCEEDED], ACCEPTED, NOT_SENT, cancellation.ENDED_THERE),
    "it has failed": ([FAILED], ACCEPTED, NOT_SENT, cancellation.ENDED_THERE),
    "it has expired": ([EXPIRED], ACCEPTED, NOT_SENT, cancellation.ENDED_THERE),
    "it still waits": ([QUEUED, QUEUED], ACCEPTED, SENT, cancellation.UNCLEAR),
    "the cancel is refused, and it still waits": ([QUEUED, QUEUED], REFUSED, SENT, cancellation.UNCLEAR),
    "the cancel is lost, and the task with it": ([QUEUED, GONE], LOST, SENT, cancellation.UNCLEAR),
    "the upstream is away before": ([AWAY], ACCEPTED, NOT_SENT, cancellation.UNCLEAR),
    "the upstream is silent before": ([LOST], ACCEPTED, NOT_SENT, cancellation.UNCLEAR),
    "the task is unknown before": ([GONE], ACCEPTED, NOT_SENT, cancellation.UNCLEAR),
    "the upstream is away after": ([QUEUED, AWAY], ACCEPTED, SENT, cancellation.UNCLEAR),
}


@pytest.fixture
def ark(upstream: Upstream, settings: Any) -> Upstream:
    """Return a scripted upstream, which is the maker's account."""
    lead_to(upstream, settings)
    return upstream


def post_cancel(caller: Caller, generation: Generation) -> Any:
    return caller.http.post(f"/v1/generations/{generation.pk}/cancel")


def check_cancelled_once(caller: Caller, generation: Generation) -> None:
    """Check that the hold was released once, that one event says so, and that the books balance."""
    generation.refresh_from_db()
    assert (generation.status, generation.due_at) == ("cancelled", None)
    assert ledger_kinds(generation) == ["hold", "release"]
    assert [event.status for event in generation.events.all()].count("cancelled") == 1
    assert reconcile.check(caller.tenant.pk) == []


def audited() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.filter(action="generation: cancel").values_list("actor", "target", "reason"))


@pytest.mark.parametrize(("polls", "on_cancel", "sent", "refusal_"), STORIES.values(), ids=STORIES)
def test_a_cancel_is_settled_by_what_the_upstream_says_of_the_task(
    alice: Caller,
    ark: Upstream,
    polls: list[Answer | None],
    on_cancel: Answer | None,
    sent: list[str],
    refusal_: str,
) -> None:
    g = make_running(alice)
    answer_in_turn(ark, *polls)
    ark.on_cancel = lambda handler: on_cancel
    answer = post_cancel(alice, g)
    assert (ark.cancels, len(ark.polls)) == (sent, len(polls))
    if refusal_:
        assert (answer.status_code, answer.json()["code"]) == (409, "not_possible")
        assert answer.json()["detail"] == refusal_
        g.refresh_from_db()
        assert (g.status, ledger_kinds(g)) == ("running", ["hold"])
    else:
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        check_cancelled_once(alice, g)
        last = g.events.last()
        assert last is not None
        assert last.message == f"cancelled by its caller, with key {alice.key.prefix}"


@pytest.mark.one_database
def test_a_cancel_may_be_repeated_and_asks_the_upstream_once(alice: Caller, ark: Upstream) -> None:
    g = make_running(alice)
    answer_in_turn(ark, QUEUED, CANCELLED)
    answers = [post_cancel(alice, g) for _ in range(2)]
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "cancelled")] * 2
    assert ark.cancels == [ID]
    check_cancelled_once(alice, g)


@pytest.mark.one_database
def test_receivers_learn_of_a_cancel_at_the_upstream_as_of_any_other(alice: Caller, ark: Upstream) -> None:
    g = make_running(alice, webhook_url="https://hooks.example.com/x")
    answer_in_turn(ark, QUEUED, CANCELLED)
    assert post_cancel(alice, g).status_code == 200
    assert Delivery.objects.get(generation=g).type == "generation.cancelled"


def test_a_poll_that_sees_the_cancel_first_settles_it_and_the_caller_gets_the_same_answer(
    alice: Caller, ark: Upstream
) -> None:
    g = make_running(alice)

    def poll_first(handler: Any) -> Answer:
        """Let a worker take its poll, after the cancel and before the answer to the read that follows it."""
        ark.on_poll = CANCELLED
        try:
            assert take_step(g).status == "cancelled"
        finally:
            connection.close()
        return CANCELLED

    stories: list[Callable[[Any], Answer]] = [lambda handler: QUEUED, poll_first]
    ark.on_poll = lambda handler: stories.pop(0)(handler)
    answer = post_cancel(alice, g)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    check_cancelled_once(alice, g)


@pytest.mark.parametrize("seen", [QUEUED, CANCELLED, SUCCEEDED], ids=["waiting", "cancelled", "succeeded"])
def test_a_poll_that_comes_late_changes_nothing(alice: Caller, ark: Upstream, seen: Answer) -> None:
    g = make_running(alice)
    claimed = claim(g)
    answer_in_turn(ark, QUEUED, CANCELLED, seen)
    assert post_cancel(alice, g).status_code == 200
    steps.advance(claimed)
    check_cancelled_once(alice, g)


def test_a_copy_that_began_first_goes_on(alice: Caller, ark: Upstream) -> None:
    """No upstream cancels a task that it has finished. If one ever says so, the video that a poll has seen counts."""
    g = make_running(alice)

    def copy_first(handler: Any) -> Answer:
        try:
            assert attempts.start_copying(Generation.objects.get(pk=g.pk))
        finally:
            connection.close()
        return CANCELLED

    stories: list[Callable[[Any], Answer]] = [lambda handler: QUEUED, copy_first]
    ark.on_poll = lambda handler: stories.pop(0)(handler)
    answer = post_cancel(alice, g)
    sentence = cancellation.REFUSALS[Generation.Status.COPYING]
    assert (answer.status_code, answer.json()["detail"]) == (409, sentence)
    assert ledger_kinds(g) == ["hold"]


def test_a_process_that_stood_still_sends_no_cancel_since_the_task_may_be_finished(
    alice: Caller, ark: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancel of a finished task deletes its record, and the video with it."""
    g = make_running(alice)
    ark.on_poll = QUEUED
    real = task_state.read
    with time_machine.travel(timezone.now(), tick=False) as time:

        def stand_still(generation: Generation) -> Any:
            outcome = real(generation)
            time.shift(600)
            return outcome

        monkeypatch.setattr(task_state, "read", stand_still)
        with pytest.raises(NotPossible, match="no clear answer"):
            cancellation.cancel(g, "not needed")
    g.refresh_from_db()
    assert (ark.cancels, g.status, ledger_kinds(g)) == ([], "running", ["hold"])


def test_cancels_at_one_moment_settle_once(alice: Caller, ark: Upstream) -> None:
    g = make_running(alice)
    both_have_read, answers = threading.Barrier(2), list[int]()

    def answer_poll(handler: Any) -> Answer:
        """Let both callers read that the task waits before either sends the cancel."""
        if ark.cancels:
            return CANCELLED
        both_have_read.wait(20)
        return QUEUED

    def run() -> None:
        try:
            answers.append(post_cancel(alice, g).status_code)
        finally:
            connection.close()

    ark.on_poll = answer_poll
    ark.on_cancel = lambda handler: ACCEPTED if len(ark.cancels) == 1 else REFUSED
    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (answers, ark.cancels) == ([200, 200], [ID, ID])
    check_cancelled_once(alice, g)


@pytest.mark.one_database
def test_where_the_wire_cancels_nothing_the_answer_says_so_and_nothing_is_asked(
    alice: Caller, upstream: Upstream
) -> None:
    g, _ = put_in(alice, "running")
    answer = post_cancel(alice, g)
    assert (answer.status_code, upstream.polls) == (409, [])
    assert answer.json()["detail"] == cancellation.CANCELS_NOTHING


@pytest.mark.one_database
def test_while_polls_are_paused_nothing_is_asked(alice: Caller, ark: Upstream) -> None:
    g = make_running(alice)
    poll_pauses.record_refusal("ark", AccountError("the key is refused"))
    answer = post_cancel(alice, g)
    assert (answer.status_code, ark.polls) == (409, [])
    assert answer.json()["detail"] == cancellation.UNCLEAR


@pytest.mark.one_database
def test_few_threads_of_a_process_wait_for_the_upstream(alice: Caller, ark: Upstream, monkeypatch: Any) -> None:
    monkeypatch.setattr(cancellation, "_callers", threading.BoundedSemaphore(1))
    monkeypatch.setattr(cancellation, "MAX_WAIT_SECONDS", 0.01)
    g = make_running(alice)
    with cancellation._limit_callers():
        answer = post_cancel(alice, g)
    assert (answer.status_code, ark.polls) == (409, [])
    assert answer.json()["detail"] == cancellation.BUSY
    answer_in_turn(ark, QUEUED, CANCELLED)
    assert post_cancel(alice, g).status_code == 200


@pytest.mark.one_database
def test_an_operators_cancel_leaves_an_entry_in_the_audit_log(
    admin_client: Client, alice: Caller, ark: Upstream
) -> None:
    g = make_running(alice)
    assert page_url(g, "cancel") in admin_client.get(page_url(g)).content.decode()
    answer_in_turn(ark, QUEUED, CANCELLED)
    assert admin_client.post(page_url(g, "cancel"), {"reason": "a flood"}).status_code == 302
    assert audited() == [("admin", str(g.pk), "a flood")]
    check_cancelled_once(alice, g)
    last = g.events.last()
    assert last is not None
    assert last.message == "cancelled by the service's operators"


def test_an_operators_cancel_that_a_poll_settles_first_leaves_its_entry_too(alice: Caller, ark: Upstream) -> None:
    g = make_running(alice)

    def poll_first(handler: Any) -> Answer:
        """Let a worker's poll settle what the operator has cancelled."""
        ark.on_poll = CANCELLED
        try:
            assert take_step(g).status == "cancelled"
        finally:
            connection.close()
        return CANCELLED

    stories: list[Callable[[Any], Answer]] = [lambda handler: QUEUED, poll_first]
    ark.on_poll = lambda handler: stories.pop(0)(handler)
    actions.cancel(OLGA, g)
    assert audited() == [("olga", str(g.pk), "the customer called")]
    check_cancelled_once(alice, g)


@pytest.mark.one_database
@pytest.mark.parametrize("actor", [OLGA, Actor(name="olga", reason=" ")], ids=["too late", "without a reason"])
def test_an_operators_cancel_that_is_refused_leaves_no_entry(alice: Caller, ark: Upstream, actor: Actor) -> None:
    g = make_running(alice)
    ark.on_poll = RUNNING
    with pytest.raises(NotPossible):
        actions.cancel(actor, g)
    assert (audited(), ark.cancels) == ([], [])
    assert len(ark.polls) == (1 if actor is OLGA else 0)


@pytest.mark.one_database
def test_the_panel_cancels_many_generations_only_where_they_are_queued(
    admin_client: Client, alice: Caller, ark: Upstream
) -> None:
    queued, running = make_generation(alice), make_running(alice)
    selected = {"action": "cancel_selected", "_selected_action": [str(queued.pk), str(running.pk)]}
    admin_client.post(LIST, {**selected, "reason": "a flood"})
    states = [Generation.objects.get(pk=g.pk).status for g in (queued, running)]
    assert (states, ark.polls) == (["cancelled", "running"], [])


@pytest.mark.one_database
def test_the_panel_offers_no_cancel_where_the_wire_has_none(admin_client: Client, alice: Caller) -> None:
    g, _ = put_in(alice, "running")
    assert page_url(g, "cancel") not in admin_client.get(page_url(g)).content.decode()
