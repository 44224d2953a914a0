"""Callbacks of an upstream: they make the worker look, and nothing else."""

import json
from typing import Any

import pytest
from django.utils import timezone

from generations.models import Attempt, Generation
from generations.upstream import callbacks
from generations.worker import steps
from tests.generations.worker.test_task_search import now, work
from tests.http_client import Client
from tests.support import listing_wire
from tests.support.factories import Caller, make_generation
from tests.support.listing_wire import LOST, OFFER, ListingWire
from tests.support.worker import claim_due, clear_wakeups, count_wakeups

ADDRESS = "https://seedance.example.com"


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> ListingWire:
    """Return a wire whose account lists its tasks, and posts callbacks."""
    return listing_wire.install(monkeypatch)


@pytest.fixture
def lost(alice: Caller, bucket: Any, wire: ListingWire) -> Generation:
    """Return a generation in doubt whose task is task-1."""
    return lose(alice, bucket, wire)


def lose(caller: Caller, bucket: Any, wire: ListingWire, *, creates: bool = True) -> Generation:
    """Return a generation in doubt."""
    generation = make_generation(caller)
    assert generation.image is not None
    bucket.put_object(Bucket="seedance-tests", Key=generation.image.key, Body=b"abc")
    wire.creates, wire.on_submit = creates, LOST
    work()
    work()
    assert now(generation).status == "in_doubt"
    clear_wakeups()
    return generation


def post(generation: Generation, content: bytes = b"task-1", *, reference: str = "") -> Any:
    """Post a callback for the last attempt of the generation, or for another reference."""
    reference = reference or Attempt.objects.filter(generation=generation).latest("number").reference
    return Client().generic("POST", f"/v1/upstream-callbacks/{reference}", content, content_type="application/json")


def test_a_callback_of_a_lost_create_brings_its_task_which_is_read_before_it_is_taken(
    lost: Generation, wire: ListingWire
) -> None:
    answer = post(lost)
    assert (answer.status_code, answer.content) == (204, b"")
    assert count_wakeups() == 1
    assert (now(lost).status, wire.reads) == ("in_doubt", [])
    work()
    assert (now(lost).status, now(lost).upstream_id, wire.reads, wire.scans) == ("running", "task-1", ["task-1"], 0)


def test_a_callback_before_the_answer_is_known_is_remembered_until_the_answer_is_lost(
    alice: Caller, wire: ListingWire, bucket: Any
) -> None:
    g = make_generation(alice)
    assert g.image is not None
    bucket.put_object(Bucket="seedance-tests", Key=g.image.key, Body=b"abc")
    wire.on_submit = LOST
    answers: list[int] = []
    real = wire.submit

    def submit(*args: Any) -> Any:
        """Create the task, and post its callback before the answer is lost."""
        outcome = real(*args)
        answers.append(post(g).status_code)
        return outcome

    wire.submit = submit  # type: ignore[method-assign]
    [claimed] = claim_due(1)
    steps.advance(claimed)
    assert (answers, now(g).status) == ([204], "in_doubt")
    work()
    assert (now(g).status, now(g).upstream_id) == ("running", "task-1")


def test_a_callback_of_a_running_task_makes_its_poll_due(alice: Caller, wire: ListingWire, lost: Generation) -> None:
    post(lost)
    work()
    later = timezone.now() + timezone.timedelta(minutes=5)
    Generation.objects.filter(pk=lost.pk).update(due_at=later)
    assert post(lost, b"task-7").status_code == 204
    assert now(lost).due_at == later
    assert post(lost).status_code == 204
    due_at = now(lost).due_at
    assert due_at is not None
    assert due_at <= timezone.now()


@pytest.mark.parametrize("named", ["task-1", "task-404"])
def test_a_forged_callback_that_names_anothers_task_or_none_changes_nothing(
    alice: Caller, bucket: Any, wire: ListingWire, lost: Generation, named: str
) -> None:
    post(lost)
    work()
    g = lose(alice, bucket, wire, creates=False)
    assert post(g, named.encode()).status_code == 204
    work()
    assert (now(g).status, now(g).upstream_id) == ("in_doubt", None)
    assert now(lost).upstream_id == "task-1"


def test_a_name_that_is_known_is_not_replaced(lost: Generation) -> None:
    Attempt.objects.filter(generation=lost).update(upstream_id="task-9")
    assert post(lost).status_code == 204
    assert Attempt.objects.get(generation=lost).upstream_id == "task-9"
    assert count_wakeups() == 0


def test_an_unknown_reference_is_not_found_and_says_nothing(lost: Generation, wire: ListingWire) -> None:
    answers = [post(lost, reference=reference) for reference in ("0" * 32, "x", "0" * 31 + "g", "0" * 33)]
    assert {answer.status_code for answer in answers} == {404}
    assert all("task" not in answer.content.decode() for answer in answers)


def test_a_body_that_names_no_task_or_is_large_is_refused(lost: Generation, wire: ListingWire) -> None:
    assert post(lost, b"").status_code == 400
    assert post(lost, b"x" * (256 * 1024 + 1)).status_code == 413
    assert Attempt.objects.get(generation=lost).upstream_id == ""


def test_a_callback_after_the_end_changes_nothing(lost: Generation, wire: ListingWire) -> None:
    Attempt.objects.filter(generation=lost).update(outcome="not_found")
    before = Generation.objects.filter(pk=lost.pk).values().get()
    assert post(lost).status_code == 204
    assert Generation.objects.filter(pk=lost.pk).values().get() == before


def test_only_posts_are_taken_and_no_document_names_the_address(client: Client, db: None) -> None:
    assert client.get(f"/v1/upstream-callbacks/{'0' * 32}").status_code == 405
    assert "upstream-callbacks" not in json.dumps(client.get("/openapi.json").json())


def test_the_address_goes_upstream_if_the_settings_have_one(
    alice: Caller, bucket: Any, wire: ListingWire, settings: Any
) -> None:
    lose(alice, bucket, wire)
    settings.UPSTREAM_CALLBACK_URL = ADDRESS
    lose(alice, bucket, wire)
    without, with_address = wire.requests
    assert without.callback_url == ""
    assert with_address.callback_url == f"{ADDRESS}/v1/upstream-callbacks/{with_address.reference}"
    assert callbacks.url_for("") == ""
    assert OFFER.account not in with_address.callback_url


def test_a_callback_for_an_attempt_that_had_created_nothing_is_an_error_for_operators(
    lost: Generation, caplog: pytest.LogCaptureFixture
) -> None:
    """The upstream's list did not have the task: what it says now shows that a second attempt may be paid too."""
    Attempt.objects.filter(generation=lost).update(outcome="not_found")
    assert post(lost).status_code == 204
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "a task is named for an attempt that had created none" in record.getMessage()
    assert Attempt.objects.get(generation=lost).upstream_id == ""
