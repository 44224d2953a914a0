"""Lost answers at the sandbox as the model maker's API, over HTTP: the tasks that were paid for are counted there."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations.models import Attempt, Generation
from generations.upstream import circuit_breaker, list_scans
from tests.deploy.sandbox.conftest import CATALOG, LIVE, Ark, ark  # noqa: F401
from tests.generations.worker.test_task_search import now, outcomes_of, work_for
from tests.support.factories import Caller, make_generation
from tests.support.in_doubt import ledger_kinds

pytestmark = pytest.mark.story

Send = Callable[..., Generation]


@pytest.fixture
def time() -> Iterator[Any]:
    """Stop the clock, which the test moves on."""
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller


@pytest.fixture
def send(alice: Caller, ark: Ark, settings: Any, monkeypatch: Any, time: Any) -> Send:  # noqa: F811
    """Return a function that submits a generation with a prompt to the sandbox, and returns it."""
    settings.CATALOG_DIR, settings.ARK_BASE_URL, settings.ARK_API_KEY = str(CATALOG), f"{ark.url}{LIVE}", "key"
    monkeypatch.setattr(list_scans, "PACE", list_scans.PACE * 0)
    monkeypatch.setattr(circuit_breaker, "claim_submit", lambda account: 0)
    monkeypatch.setattr(circuit_breaker, "seconds_until_submit", lambda account: 0)

    def submit(prompt: str, **facts: Any) -> Generation:
        """Submit it."""
        generation = make_generation(alice, model="acme-ark-1", prompt=prompt, image=None, **facts)
        work_for(time, 20)
        return now(generation)

    return submit


def wait_for_seeds(ark: Ark) -> None:  # noqa: F811
    """Wait until each task at the sandbox shows its seed, as it does with its video.

    A task of another test that still renders may be the one that is looked for, so its list proves nothing yet.
    """
    for task_id in ark.list_ids(page_size=100):
        ark.wait(task_id, "succeeded")


@pytest.mark.parametrize("prompt", ["[lose]", "[500 created]"])
def test_a_task_whose_answer_was_lost_is_found_and_paid_for_once(send: Send, ark: Ark, time: Any, prompt: str) -> None:  # noqa: F811
    before = ark.count_paid()
    g = send(prompt)
    assert g.status == "in_doubt"
    work_for(time, 140)
    assert (now(g).status, outcomes_of(g)) == ("running", ["found"])
    assert ark.get(str(now(g).upstream_id))["safety_identifier"] == Attempt.objects.get(generation=g).reference
    assert ark.count_paid() == before + 1


def test_without_the_id_of_an_attempt_the_drawn_seed_finds_the_task(
    send: Send,
    ark: Ark,  # noqa: F811
    time: Any,
    settings: Any,
) -> None:
    settings.SAFETY_IDENTIFIER = False
    g = send("[lose]", seed=987_654, seed_source="drawn")
    wait_for_seeds(ark)
    work_for(time, 140)
    assert now(g).status == "running"
    assert "safety_identifier" not in ark.get(str(now(g).upstream_id))


def test_a_task_that_was_never_created_is_sent_twice_at_most_and_released(send: Send, ark: Ark, time: Any) -> None:  # noqa: F811
    before = ark.count_paid()
    g = send("[lose before]", seed=31337)
    wait_for_seeds(ark)
    work_for(time, 500)
    assert [attempt.outcome for attempt in Attempt.objects.filter(generation=g).order_by("number")] == [
        "not_found",
        "in_doubt",
    ]
    work_for(time, 600)
    assert (now(g).status, now(g).error_code, ledger_kinds(g)) == ("failed", "not_submitted", ["hold", "release"])
    assert ark.count_paid() == before
    assert Attempt.objects.filter(generation=g).count() == 2
