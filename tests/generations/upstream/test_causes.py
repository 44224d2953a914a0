"""Causes that an upstream names by a code of its own: what callers read in both APIs, in webhooks and in the docs."""

import json
from typing import Any

import pytest

from generations.models import Delivery, Generation
from generations.upstream import causes
from generations.upstream.outcomes import Cause
from tests.support.ark_answers import REQUEST_ID, error, refusal, task
from tests.support.ark_generations import lead_to, make_running
from tests.support.factories import Caller, make_generation
from tests.support.upstream import Upstream
from tests.support.worker import ledger_kinds, take_step

pytestmark = pytest.mark.one_database

TASKS: dict[str, tuple[Any, Cause]] = {
    "input": (task("failed", **error("InputImageSensitiveContentDetected")), Cause.INPUT_MODERATED),
    "output": (task("failed", **error("OutputVideoSensitiveContentDetected")), Cause.OUTPUT_MODERATED),
    "expired": (task("expired"), Cause.EXPIRED),
}


@pytest.fixture
def ark(upstream: Upstream, settings: Any, bucket: Any) -> Upstream:
    """Return a scripted upstream, which is the maker's account."""
    lead_to(upstream, settings)
    return upstream


def check_words(caller: Caller, generation: Generation, code: str, sentence: str) -> None:
    """Check that callers read code and sentence wherever they look, and nothing of the upstream's own words."""
    assert (generation.status, ledger_kinds(generation)) == ("failed", ["hold", "release"])
    read = caller.http.get(f"/v1/generations/{generation.pk}").json()
    assert read["error"] == {"code": code, "message": sentence}
    events = caller.http.get(f"/v1/generations/{generation.pk}/events").json()["events"]
    assert events[-1]["message"] == sentence
    result = caller.http.get(f"/v3/async/task-result?task_id={generation.pk}").json()
    assert (result["task"]["status"], result["task"]["reason"]) == ("TASK_STATUS_FAILED", sentence)
    delivery = Delivery.objects.get(generation=generation)
    assert delivery.type == "generation.failed"
    assert json.loads(delivery.body)["data"]["error"] == {"code": code, "message": sentence}
    assert REQUEST_ID not in json.dumps([read, events, result]) + delivery.body


@pytest.mark.parametrize(("answer", "cause"), TASKS.values(), ids=TASKS)
def test_a_task_that_fails_for_a_cause_fails_with_its_code_and_is_not_sent_again(
    alice: Caller, ark: Upstream, answer: Any, cause: Cause
) -> None:
    g = make_running(alice, webhook_url="https://hooks.example.com/x")
    ark.on_poll = answer
    check_words(alice, take_step(g), cause.value, causes.FAILED[cause])
    take_step(g)
    assert (ark.submits, Generation.objects.count()) == ([], 1)


def test_a_create_that_the_moderation_refuses_fails_with_its_code(alice: Caller, ark: Upstream) -> None:
    fields = {"model": "seedance-1-0-pro-fast", "image": None, "prompt": "a ship"}
    g = make_generation(alice, webhook_url="https://hooks.example.com/x", **fields)
    ark.on_submit = refusal(400, "InputTextSensitiveContentDetected")
    check_words(alice, take_step(g), "input_moderated", causes.REFUSED[Cause.INPUT_MODERATED])


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause])
def test_each_cause_has_a_page_of_the_documentation(alice: Caller, cause: Cause) -> None:
    page = alice.http.get(f"/docs/errors/{cause.value}")
    assert page.status_code == 200
    assert causes.FAILED[cause] in page.content.decode()


def test_the_page_of_a_withheld_video_says_that_a_rerun_is_paid_for(alice: Caller) -> None:
    page = alice.http.get("/docs/errors/output_moderated").content.decode()
    assert "A rerun may pass" in page
    assert "held and paid for as a new generation" in page
    assert "reruns nothing by itself" in page
