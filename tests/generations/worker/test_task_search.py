"""Lost answers where the upstream lists its tasks: found, sent again or released, and never paid twice."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.utils import timezone

from generations import lifecycle
from generations.models import Attempt, AttemptSearch, Generation
from generations.ops import in_doubt, pruning
from generations.telemetry import metrics
from generations.upstream import circuit_breaker, list_scans, outcomes
from generations.upstream.protocol import ListPage
from generations.worker import search_results, steps
from tenants import actions
from tenants.errors import NotPossible
from tests.http_client import Client
from tests.support import listing_wire
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.in_doubt import OLGA, ledger_kinds
from tests.support.listing_wire import LOST, ListingWire
from tests.support.worker import claim_due

Lose = Callable[..., Generation]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> ListingWire:
    """Return a wire whose account lists its tasks."""
    return listing_wire.install(monkeypatch)


@pytest.fixture
def time() -> Iterator[Any]:
    """Stop the clock, which the test moves on."""
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller


@pytest.fixture
def lose(alice: Caller, bucket: Any, wire: ListingWire, time: Any) -> Lose:
    """Return a function that submits a generation whose answer is lost."""

    def submit(*, creates: bool, on_doubt: str = "hold", **facts: Any) -> Generation:
        """Return the generation, in doubt."""
        actions.change_tenant(ACTOR, alice.tenant, on_doubt=on_doubt)
        generation = make_generation(alice, **{"seed_source": "drawn", **facts})
        assert generation.image is not None
        bucket.put_object(Bucket="seedance-tests", Key=generation.image.key, Body=b"abc")
        wire.creates, wire.on_submit = creates, LOST
        work()
        wire.creates, wire.on_submit = True, None
        assert now(generation).status == "in_doubt"
        return generation

    return submit


def work() -> None:
    """Take a step of each generation that is due, with the circuit breaker closed."""
    circuit_breaker.resume(listing_wire.NAME)
    for generation in claim_due(100):
        steps.advance(generation)


def work_for(time: Any, seconds: int) -> None:
    """Work for that time, whenever a generation in doubt or in the queue is due, five seconds late."""
    ends = timezone.now() + timedelta(seconds=seconds)
    waiting = Generation.objects.filter(status__in=["queued", "submitting", "in_doubt"])
    while True:
        next_due = waiting.order_by("due_at").values_list("due_at", flat=True).first()
        if next_due is None or next_due > ends - timedelta(seconds=10):
            time.move_to(ends)
            return
        time.move_to(max(next_due, timezone.now()) + timedelta(seconds=5))
        work()


def now(generation: Generation) -> Generation:
    """Return the generation as it is now."""
    return Generation.objects.get(pk=generation.pk)


def outcomes_of(generation: Generation) -> list[str]:
    """Return the outcomes of the generation's searches, the first one first."""
    return list(AttemptSearch.objects.filter(attempt__generation=generation).values_list("outcome", flat=True))


def attempts_of(generation: Generation) -> list[str]:
    """Return the outcomes of the generation's attempts, the first one first."""
    return list(Attempt.objects.filter(generation=generation).order_by("number").values_list("outcome", flat=True))


def test_a_task_that_was_created_is_found_after_the_creates_deadline(lose: Lose, wire: ListingWire, time: Any) -> None:
    g = lose(creates=True)
    work_for(time, 120)
    assert (now(g).status, wire.scans, wire.reads) == ("in_doubt", 0, [])
    work_for(time, 20)
    assert (now(g).status, now(g).upstream_id) == ("running", "task-1")
    assert (wire.scans, wire.reads) == (1, ["task-1"])
    assert (outcomes_of(g), attempts_of(g)) == (["found"], ["found"])
    assert g.events.last().message == "The task was found in the upstream's list."
    assert ledger_kinds(g) == ["hold"]


@pytest.mark.parametrize("policy", ["hold", "resubmit"])
def test_a_generation_that_was_not_created_is_sent_once_more(
    lose: Lose, wire: ListingWire, time: Any, policy: str
) -> None:
    g = lose(creates=False, on_doubt=policy)
    work_for(time, 420)
    assert (now(g).status, len(wire.requests)) == ("in_doubt", 1)
    work_for(time, 60)
    assert (now(g).status, len(wire.requests)) == ("running", 2)
    assert outcomes_of(g) == ["not_yet"] * 5 + ["not_there"]
    assert attempts_of(g) == ["not_found", "created"]
    assert wire.requests[0].reference != wire.requests[1].reference
    assert ledger_kinds(g) == ["hold"]


def test_with_the_policy_fail_it_fails_and_is_released_once_nothing_is_there(
    lose: Lose, wire: ListingWire, time: Any
) -> None:
    g = lose(creates=False, on_doubt="fail")
    work_for(time, 420)
    assert now(g).status == "in_doubt"
    work_for(time, 20)
    assert (now(g).status, now(g).error_code, ledger_kinds(g)) == ("failed", "not_submitted", ["hold", "release"])
    assert len(wire.requests) == 1


def test_with_the_policy_fail_a_task_that_was_created_is_found_all_the_same(
    lose: Lose, wire: ListingWire, time: Any
) -> None:
    g = lose(creates=True, on_doubt="fail")
    work_for(time, 140)
    assert now(g).status == "running"


def test_a_second_lost_answer_without_a_task_is_not_sent_a_third_time(lose: Lose, wire: ListingWire, time: Any) -> None:
    g = lose(creates=False)
    wire.creates, wire.on_submit = False, LOST
    work_for(time, 1000)
    assert (now(g).status, now(g).error_code, ledger_kinds(g)) == ("failed", "not_submitted", ["hold", "release"])
    assert len(wire.requests) == 2
    assert attempts_of(g) == ["not_found", "not_found"]


def test_a_task_of_the_first_attempt_that_shows_late_is_taken_while_the_second_is_in_doubt(
    lose: Lose, wire: ListingWire, time: Any
) -> None:
    g = lose(creates=False)
    wire.creates, wire.on_submit = False, LOST
    work_for(time, 450)
    assert attempts_of(g) == ["not_found", "in_doubt"]
    wire.create(wire.requests[0])
    work_for(time, 150)
    assert (now(g).status, now(g).upstream_id, len(wire.requests)) == ("running", "task-1", 2)
    assert attempts_of(g) == ["found", "in_doubt"]


def test_a_list_that_breaks_proves_nothing_and_is_read_again_more_and_more_rarely(
    lose: Lose, wire: ListingWire, time: Any
) -> None:
    g = lose(creates=False)
    wire.on_list = listing_wire.be_away
    work_for(time, 3600)
    assert (now(g).status, set(outcomes_of(g))) == ("in_doubt", {"broken"})
    assert 5 <= wire.scans <= 9
    assert "away" in g.events.last().detail
    assert "away" not in g.events.last().message
    wire.on_list = lambda: None
    work_for(time, 1000)
    assert now(g).status == "running"
    assert len(wire.requests) == 2


def test_a_scan_that_breaks_puts_off_no_search_that_was_not_due(lose: Lose, wire: ListingWire, time: Any) -> None:
    older = lose(creates=False, seed=1)
    wire.on_list = listing_wire.be_away
    work_for(time, 600)
    newer = lose(creates=False, seed=2)
    due_at, searches, before = now(older).due_at, outcomes_of(older), wire.scans
    work_for(time, 145)
    assert (wire.scans, outcomes_of(newer)) == (before + 1, ["broken"])
    assert (now(older).due_at, outcomes_of(older)) == (due_at, searches)


def test_a_list_that_ends_before_its_total_proves_nothing(lose: Lose, wire: ListingWire, time: Any) -> None:
    g = lose(creates=True)
    wire.missing = 1
    work_for(time, 700)
    assert (now(g).status, set(outcomes_of(g)), len(wire.requests)) == ("in_doubt", {"broken"}, 1)


def test_one_pass_serves_all_attempts_in_doubt(lose: Lose, wire: ListingWire, time: Any) -> None:
    created = [lose(creates=True, seed=number) for number in range(3)]
    lost = [lose(creates=False, seed=number) for number in range(10, 12)]
    work_for(time, 140)
    assert [now(g).status for g in created] == ["running"] * 3
    assert [now(g).status for g in lost] == ["in_doubt"] * 2
    assert [now(g).upstream_id for g in created] == ["task-1", "task-2", "task-3"]
    assert wire.scans <= 2


def test_while_another_host_reads_the_list_this_one_waits(lose: Lose, wire: ListingWire, time: Any) -> None:
    g = lose(creates=True)
    lease = list_scans.take(listing_wire.NAME)
    assert isinstance(lease, list_scans.Lease)
    time.shift(126)
    lease.wait_for_turn()  # which renews the lease
    work()
    assert (wire.scans, now(g).status) == (0, "in_doubt")
    lease.release()
    work_for(time, 30)
    assert (wire.scans, now(g).status) == (1, "running")


def test_a_host_that_lost_its_lease_reads_no_further(lose: Lose, wire: ListingWire, time: Any) -> None:
    g = lose(creates=False)

    def stand_still() -> None:
        """Let another host take the lease."""
        time.shift(60)
        assert isinstance(list_scans.take(listing_wire.NAME), list_scans.Lease)

    wire.on_list = stand_still
    time.shift(126)
    work()
    assert (now(g).status, outcomes_of(g)) == ("in_doubt", ["broken"])
    assert "another host" in AttemptSearch.objects.get().detail


def test_a_late_answer_during_the_search_is_taken_and_the_search_changes_nothing(
    lose: Lose, wire: ListingWire, time: Any
) -> None:
    g = lose(creates=True)
    attempt = g.attempts.get()
    late = now(g)
    wire.on_list = lambda: lifecycle.mark_running(late, attempt, "task-1", 2)
    work_for(time, 140)
    assert (now(g).status, now(g).upstream_id, attempts_of(g)) == ("running", "task-1", ["created"])
    assert len(wire.requests) == 1


def test_a_late_answer_after_the_task_was_found_is_no_error(
    lose: Lose, wire: ListingWire, time: Any, caplog: pytest.LogCaptureFixture
) -> None:
    g = lose(creates=True)
    late, attempt = now(g), g.attempts.get()
    work_for(time, 140)
    assert not lifecycle.mark_running(late, attempt, "task-1", 2)
    assert now(g).status == "running"
    assert "is paid for" not in caplog.text


def test_a_late_answer_after_not_there_stops_the_second_submit_before_a_byte_is_sent(
    lose: Lose, wire: ListingWire, time: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that sent the first attempt stood still with the answer, and goes on at the worst moment."""
    g = lose(creates=False)
    late, attempt = now(g), g.attempts.get()
    work_for(time, 430)
    submitted: list[str] = []
    real = lifecycle.start_submitting

    def start(*args: Any, **options: Any) -> Any:
        """Record the second attempt, and then the late answer to the first."""
        started = real(*args, **options)
        assert lifecycle.mark_running(late, attempt, "task-9", 2)
        return started

    monkeypatch.setattr(lifecycle, "start_submitting", start)
    monkeypatch.setattr(wire, "submit", lambda *args: submitted.append("a second time"))
    work_for(time, 20)
    assert submitted == []
    assert (now(g).status, now(g).upstream_id, attempts_of(g)) == ("running", "task-9", ["created", "not_sent"])


def test_an_answer_that_says_lost_too_late_does_not_reopen_what_a_search_has_shown(
    lose: Lose, wire: ListingWire, time: Any
) -> None:
    g = lose(creates=True)
    late, attempt = now(g), g.attempts.get()
    work_for(time, 140)
    lifecycle.mark_in_doubt(late, lifecycle.ANSWER_LOST, attempt)
    assert (now(g).status, attempts_of(g)) == ("running", ["found"])
    assert g.attempts.get().upstream_id == "task-1"


def test_an_operators_resubmit_during_the_search_is_not_undone(lose: Lose, wire: ListingWire, time: Any) -> None:
    g = lose(creates=True)
    other = now(g)
    wire.on_list = lambda: lifecycle.resubmit(other, "by hand")
    time.shift(126)
    work()
    assert now(g).status == "queued"
    assert now(g).upstream_id is None


def test_a_task_whose_reference_is_ours_and_that_another_generation_has_stays_with_people(
    lose: Lose, wire: ListingWire, time: Any, alice: Caller
) -> None:
    g = lose(creates=True)
    Generation.objects.filter(pk=make_generation(alice).pk).update(
        status="running", upstream_id="task-1", due_at=timezone.now() + timedelta(days=2)
    )
    work_for(time, 700)
    assert (now(g).status, outcomes_of(g), len(wire.requests)) == ("in_doubt", ["unclear"], 1)


@pytest.mark.parametrize("policy", ["hold", "resubmit"])
def test_without_references_a_drawn_seed_finds_the_task(lose: Lose, wire: ListingWire, time: Any, policy: str) -> None:
    wire.echoes = False
    g = lose(creates=True, on_doubt=policy, seed=123456)
    work_for(time, 140)
    assert (now(g).status, now(g).upstream_id) == ("running", "task-1")


def test_an_attempt_of_the_same_generation_is_no_rival_of_its_task(lose: Lose, wire: ListingWire, time: Any) -> None:
    wire.echoes = False
    g = lose(creates=True, seed=123456)
    last = g.attempts.get()
    Attempt.objects.filter(pk=last.pk).update(number=2)
    facts = {"account": last.account, "target": last.target, "started_at": last.started_at - timedelta(seconds=5)}
    Attempt.objects.create(generation=g, number=1, outcome="not_created", finished_at=last.started_at, **facts)
    work_for(time, 140)
    assert (now(g).status, now(g).upstream_id) == ("running", "task-1")


@pytest.mark.parametrize("policy", ["hold", "resubmit"])
def test_without_references_a_callers_seed_leaves_the_doubt_to_people_and_is_never_sent_again(
    lose: Lose, wire: ListingWire, time: Any, policy: str
) -> None:
    wire.echoes = False
    g = lose(creates=True, on_doubt=policy, seed_source="caller")
    work_for(time, 1000)
    assert (now(g).status, outcomes_of(g)[-1], len(wire.requests)) == ("in_doubt", "unclear", 1)
    assert outcomes_of(g).count("unclear") == 1
    work_for(time, 600)
    assert wire.scans == 6
    time.shift(timedelta(days=1))
    work()
    assert (now(g).status, now(g).error_code) == ("failed", "submit_unconfirmed")


def test_two_generations_with_one_seed_are_never_told_apart_by_it(lose: Lose, wire: ListingWire, time: Any) -> None:
    wire.echoes = False
    first, second = lose(creates=True, seed=77), lose(creates=False, seed=77)
    work_for(time, 1000)
    assert [now(g).status for g in (first, second)] == ["in_doubt", "in_doubt"]
    assert len(wire.requests) == 2


def test_a_list_that_lacks_a_task_that_was_created_there_does_not_show_that_one_is_missing(
    lose: Lose, wire: ListingWire, time: Any, alice: Caller
) -> None:
    """As the list of another project of the same upstream, after its key was changed."""
    first = lose(creates=True)
    work_for(time, 140)
    assert now(first).status == "running"
    Attempt.objects.filter(generation=first).update(outcome="created")
    g = lose(creates=False)
    wire.tasks.clear()
    work_for(time, 700)
    assert (now(g).status, outcomes_of(g)[-1], len(wire.requests)) == ("in_doubt", "unclear", 2)


def test_where_the_upstream_lists_nothing_a_doubt_stays_with_people(lose: Lose, wire: ListingWire, time: Any) -> None:
    wire.has_list = False
    g = lose(creates=True)
    work_for(time, 1000)
    assert (now(g).status, wire.scans, wire.reads, outcomes_of(g)) == ("in_doubt", 0, [], [])


def test_the_task_that_the_answer_names_is_read_and_taken_at_once_if_its_reference_is_ours(
    lose: Lose, wire: ListingWire, time: Any
) -> None:
    g = lose(creates=True)
    Attempt.objects.filter(generation=g).update(upstream_id="task-1")
    work()
    assert (now(g).status, now(g).upstream_id, wire.scans) == ("running", "task-1", 0)


def test_a_task_that_the_answer_names_and_that_is_anothers_is_not_taken(
    lose: Lose, wire: ListingWire, time: Any
) -> None:
    other = lose(creates=True)
    g = lose(creates=False)
    Attempt.objects.filter(generation=g).update(upstream_id="task-1")
    time.shift(10)
    Generation.objects.filter(pk=g.pk).update(due_at=timezone.now())
    work()
    assert (now(g).status, outcomes_of(g)) == ("in_doubt", ["not_yet"])
    work_for(time, 460)
    assert now(other).upstream_id == "task-1"
    assert (now(g).status, now(g).upstream_id) == ("running", "task-2")
    assert wire.reads.count("task-1") == 2  # as a name, and to confirm it for its own generation


def test_a_named_task_that_can_not_be_read_forbids_a_second_submit(lose: Lose, wire: ListingWire, time: Any) -> None:
    g = lose(creates=False)
    Attempt.objects.filter(generation=g).update(upstream_id="task-5")
    wire.on_read = lambda upstream_id: listing_wire.be_away()
    work_for(time, 1000)
    assert (now(g).status, len(wire.requests)) == ("in_doubt", 1)


def test_a_callback_during_the_last_search_forbids_a_second_submit(lose: Lose, wire: ListingWire, time: Any) -> None:
    g = lose(creates=False)
    attempt = g.attempts.get()
    work_for(time, 420)

    def create_late() -> None:
        """Let the task begin after its page of the list was read: the upstream posts a callback."""
        if not wire.tasks:
            wire.create(wire.requests[0])
            assert lifecycle.note_named_task(attempt, "task-1")

    wire.on_list, wire.missing = create_late, 1
    wire.list_tasks = list_nothing(wire)  # type: ignore[method-assign]
    work_for(time, 300)
    assert (now(g).status, now(g).upstream_id, len(wire.requests)) == ("running", "task-1", 1)
    assert (outcomes_of(g)[-2:], attempts_of(g)) == (["not_yet", "found"], ["found"])


def list_nothing(wire: ListingWire) -> Callable[..., Iterator[ListPage]]:
    """Return a list of tasks that is whole, and empty."""

    def list_tasks(*args: Any) -> Iterator[ListPage]:
        """Yield an empty page."""
        wire.scans += 1
        wire.on_list()
        yield ListPage([], 0)

    return list_tasks


def test_a_named_task_is_taken_where_the_upstream_lists_nothing(lose: Lose, wire: ListingWire, time: Any) -> None:
    wire.has_list = False
    g = lose(creates=True, on_doubt="hold")
    work()
    assert lifecycle.note_named_task(g.attempts.get(), "task-1")
    work()
    assert (now(g).status, now(g).upstream_id, wire.scans) == ("running", "task-1", 0)


@pytest.mark.parametrize("has_list", [True, False], ids=["list", "no list"])
def test_a_worker_that_stood_still_ends_the_doubt_that_another_recorded_as_it_sent_nothing(
    lose: Lose, wire: ListingWire, time: Any, alice: Caller, monkeypatch: pytest.MonkeyPatch, has_list: bool
) -> None:
    wire.has_list = has_list
    g = make_generation(alice, image=None)
    real = lifecycle.start_submitting

    def start(*args: Any, **facts: Any) -> Any:
        """Record the attempt, and stand still for ten minutes, in which another worker records the doubt."""
        started = real(*args, **facts)
        monkeypatch.setattr(lifecycle, "start_submitting", real)
        time.shift(600)
        return started

    monkeypatch.setattr(lifecycle, "start_submitting", start)
    monkeypatch.setattr("generations.worker.submit.failpoint", lambda name: name == "submit_recorded" and work())
    work()
    monkeypatch.setattr("generations.worker.submit.failpoint", lambda name: None)
    assert (now(g).status, attempts_of(g), wire.tasks) == ("queued", ["not_sent"], [])
    work()
    assert (now(g).status, attempts_of(g), len(wire.tasks)) == ("running", ["not_sent", "created"], 1)


@pytest.mark.parametrize(
    "answer",
    [
        outcomes.NotCreated("later"),
        outcomes.RouteGone("gone"),
        outcomes.CreateFailed("a step failed"),
        outcomes.Refused("NO", "no"),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_an_answer_that_creates_nothing_is_in_doubt_if_a_callback_named_a_task_before(
    lose: Lose, wire: ListingWire, time: Any, alice: Caller, answer: Any
) -> None:
    g = make_generation(alice, image=None)
    real = wire.submit

    def submit(*args: Any) -> Any:
        """Create a task, whose callback comes first, and answer that none was created."""
        real(*args)
        lifecycle.note_named_task(g.attempts.get(), "task-1")
        return answer

    wire.submit = submit  # type: ignore[method-assign]
    work()
    assert (now(g).status, attempts_of(g)) == ("in_doubt", ["in_doubt"])
    work()
    assert (now(g).status, now(g).upstream_id, len(wire.tasks)) == ("running", "task-1", 1)
    assert ledger_kinds(g) == ["hold"]


def test_operators_can_not_attach_a_task_that_was_made_for_another_generation(
    lose: Lose, wire: ListingWire, time: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, g = (lose(creates=True, seed=7, seed_source="caller") for _ in range(2))
    monkeypatch.setattr(wire, "get", lambda *args: outcomes.Rendered("https://videos.example.com/1.mp4", 7))
    with pytest.raises(NotPossible, match=f"made for another generation: {other.pk}"):
        in_doubt.attach(OLGA, now(g), "task-1")
    in_doubt.attach(OLGA, now(g), "task-2")
    assert (now(g).upstream_id, now(other).status) == ("task-2", "in_doubt")


def test_an_outage_of_the_upstream_delays_no_search(lose: Lose, wire: ListingWire, time: Any) -> None:
    g = lose(creates=True)
    work_for(time, 60)
    began = timezone.now() - timedelta(seconds=50)
    lifecycle.extend_doubt(listing_wire.NAME, began, timezone.now() + timedelta(hours=1))
    work_for(time, 90)
    assert now(g).status == "running"


def test_searches_are_counted(
    lose: Lose, wire: ListingWire, time: Any, django_capture_on_commit_callbacks: Any
) -> None:
    found = metrics.SEARCHES.labels(listing_wire.NAME, "found")
    before = found._value.get()
    lose(creates=True)
    with django_capture_on_commit_callbacks(execute=True):
        work_for(time, 140)
    assert found._value.get() == before + 1


def test_operators_see_what_was_searched_and_when(
    lose: Lose, wire: ListingWire, time: Any, admin_client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    g = lose(creates=False)
    work_for(time, 200)
    last = AttemptSearch.objects.latest("pk")
    page = admin_client.get(f"/admin/generations/generation/{g.pk}/change/").content.decode()
    assert "Searches for the lost answer" in page
    assert f"{last.started_at:%Y-%m-%d %H:%M:%S}" in page
    assert "too early to be sure" in page
    call_command("doubt", "list", "--json")
    [row] = json.loads(capsys.readouterr().out)["in_doubt"]
    assert row["last_search"] == last.describe()
    assert "0 tasks on 1 pages" in row["last_search"]
    call_command("doubt", "list")
    assert last.describe() in capsys.readouterr().out


def test_searches_are_pruned_with_the_events(lose: Lose, wire: ListingWire, time: Any, settings: Any) -> None:
    settings.EVENT_DAYS = 1
    g = lose(creates=False, on_doubt="fail")
    work_for(time, 500)
    assert now(g).status == "failed"
    assert outcomes_of(g)
    time.shift(timedelta(days=2))
    pruning.run()
    assert outcomes_of(g) == []
    assert attempts_of(g) == ["not_found"]


def test_callers_read_each_step_without_the_upstreams_words(
    lose: Lose, wire: ListingWire, time: Any, alice: Caller
) -> None:
    g = lose(creates=False)
    wire.on_list = listing_wire.be_away
    work_for(time, 150)
    wire.on_list = lambda: None
    work_for(time, 400)
    events = alice.http.get(f"/v1/generations/{g.pk}/events").content.decode()
    for message in (search_results.BROKEN, search_results.NOT_YET, search_results.SENT_AGAIN):
        assert message in events
    assert "away" not in events


def test_a_task_that_is_too_new_for_the_list_is_no_sign_of_another_list(
    lose: Lose, wire: ListingWire, time: Any
) -> None:
    """Where many tasks are created, the newest is never in the list yet."""
    g = lose(creates=False)
    work_for(time, 330)
    late = lose(creates=False)
    Attempt.objects.filter(generation=late).update(outcome="created", upstream_id="task-of-late")
    later = timezone.now() + timedelta(days=1)
    Generation.objects.filter(pk=late.pk).update(status="running", upstream_id="task-of-late", due_at=later)
    work_for(time, 130)
    assert (outcomes_of(g), attempts_of(g)) == (["not_yet"] * 5 + ["not_there"], ["not_found", "created"])
