"""Generations at the model maker's own account, with a scripted upstream."""

from typing import Any

from generations import lifecycle
from generations.catalog.offers import Offer
from generations.models import Generation
from tests.support.ark_answers import ID, MODEL
from tests.support.factories import Caller, make_generation
from tests.support.upstream import Answer, Upstream

OFFER = Offer("ark", "ark", MODEL)


def lead_to(upstream: Upstream, settings: Any) -> None:
    """Let the settings of the maker's account lead to the scripted upstream."""
    settings.ARK_BASE_URL, settings.ARK_API_KEY = f"{upstream.url}/api/v3", "key-of-ark-in-the-tests"


def make_running(caller: Caller, upstream_id: str = ID, **facts: Any) -> Generation:
    """Return a generation whose task the maker's account has."""
    generation = make_generation(caller, **facts)
    attempt = lifecycle.start_submitting(generation, OFFER, "")
    assert attempt is not None
    assert lifecycle.mark_running(generation, attempt, upstream_id, 2)
    return generation


def answer_in_turn(upstream: Upstream, *answers: Answer | None) -> None:
    """Let the upstream answer each question about a task by the next of these; None: the connection is closed."""
    remaining = iter(answers)
    upstream.on_poll = lambda handler: next(remaining)
