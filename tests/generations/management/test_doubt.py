"""The command `doubt`."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from generations import lifecycle
from generations.models import Attempt, Generation
from tenants.models import AuditEntry
from tests.generations.test_lifecycle import put_in
from tests.support import attempts
from tests.support.factories import Caller, make_generation
from tests.support.upstream import Upstream, task
from tests.support.worker import claim_due


@pytest.fixture
def generation(alice: Caller) -> Generation:
    """Return a generation in doubt."""
    make_generation(alice, seed=7)
    [generation] = claim_due(1)
    attempt = attempts.start_submitting(generation)
    assert attempt is not None
    assert lifecycle.mark_in_doubt(generation, "no answer", attempt)
    return generation


def doubt(*args: str) -> str:
    """Call the command and return what it prints."""
    out = StringIO()
    call_command("doubt", *args, stdout=out)
    return out.getvalue()


def test_list_prints_generations_in_doubt(generation: Generation) -> None:
    [row] = json.loads(doubt("list", "--json"))["in_doubt"]
    assert (row["id"], row["seed"], row["usd"], row["tenant"]) == (str(generation.pk), 7, "0.088209", "alice")
    line = doubt("list")
    assert line.startswith(f"{generation.pk}  alice  attempt 1  seed 7  submitted ")
    assert line.endswith("  0.088209 USD at risk\n")


def test_an_action_prints_the_new_status_and_names_the_shells_user(generation: Generation, upstream: Upstream) -> None:
    upstream.on_poll = task("TASK_STATUS_SUCCEED", seed="7", url="http://127.0.0.1:1/video.mp4")
    printed = doubt("attach", str(generation.pk), "found-1", "--reason", "seen in the account")
    assert printed == f"{generation.pk} is running.\n"
    assert AuditEntry.objects.latest("pk").actor.startswith("shell:")
    assert doubt("list") == "No generation is in doubt.\n"


def test_the_task_that_the_answer_names_is_listed_and_attached(generation: Generation, upstream: Upstream) -> None:
    with pytest.raises(CommandError, match="names no task"):
        doubt("attach", str(generation.pk), "--reason", "x")
    Attempt.objects.update(upstream_id="named-1")
    assert json.loads(doubt("list", "--json"))["in_doubt"][0]["upstream_id"] == "named-1"
    assert doubt("list").endswith("  the answer names task named-1\n")
    upstream.on_poll = task("TASK_STATUS_SUCCEED", seed="7", url="http://127.0.0.1:1/video.mp4")
    doubt("attach", str(generation.pk), "--reason", "the answer names it")
    generation.refresh_from_db()
    assert (generation.status, generation.upstream_id) == ("running", "named-1")


def test_a_task_of_another_generation_is_not_attached(generation: Generation, alice: Caller) -> None:
    owner, _ = put_in(alice, "running")
    assert owner.upstream_id is not None
    with pytest.raises(CommandError, match=f"belongs to another generation: {owner.pk}"):
        doubt("attach", str(generation.pk), owner.upstream_id, "--reason", "x")


def test_an_action_is_refused_after_a_later_attempt(generation: Generation) -> None:
    with pytest.raises(CommandError, match="Another attempt"):
        doubt("release", str(generation.pk), "--attempt", "2", "--reason", "x")
    printed = doubt("release", str(generation.pk), "--attempt", "1", "--reason", "x")
    assert printed == f"{generation.pk} is failed.\n"


@pytest.mark.parametrize(
    ("pk", "sentence"), [("", "no longer in doubt"), ("01a20f7a-816c-7b30-9e42-3c634c0984b8", "no such generation")]
)
def test_an_impossible_action_is_an_error(generation: Generation, pk: str, sentence: str) -> None:
    doubt("release", str(generation.pk), "--reason", "x")
    arguments: list[Any] = ["release", pk or str(generation.pk), "--reason", "x"]
    with pytest.raises(CommandError, match=sentence):
        doubt(*arguments)
