"""Generations in doubt, and the worker's steps that lead there and on."""

from collections.abc import Callable
from typing import Any

from generations.models import Generation
from generations.upstream import circuit_breaker
from generations.worker import steps
from tenants.audit import Actor
from tenants.models import LedgerEntry
from tests.support.upstream import task
from tests.support.worker import claim_due

OLGA = Actor(name="olga", reason="the upstream's support confirmed it")
MakeInDoubt = Callable[..., Generation]


def run_steps() -> None:
    """Take the next step of every due generation, with the circuit breaker closed."""
    circuit_breaker.resume("novita")
    for generation in claim_due(100):
        steps.advance(generation)


def status(generation: Generation) -> str:
    """Return the present status of the generation."""
    return Generation.objects.get(pk=generation.pk).status


def ledger_kinds(generation: Generation) -> list[str]:
    """Return the kinds of the generation's ledger entries, oldest first."""
    return list(LedgerEntry.objects.filter(generation_id=generation.pk).order_by("id").values_list("kind", flat=True))


def rendered(seed: Any) -> Any:
    """Return the upstream's answer for a finished task that was made from that seed."""
    return task("TASK_STATUS_SUCCEED", seed=seed, url="http://127.0.0.1:1/video.mp4")
