"""Does a worker's work in a test: claims due rows, takes their steps, and reads the queue of wake-ups."""

import threading

from django.utils import timezone
from django_q.models import OrmQ

from generations.models import Generation
from generations.worker import claims, steps
from tenants.models import LedgerEntry


def claim_due(limit: int) -> list[Generation]:
    """Claim up to `limit` due rows of every lane, as a worker run does."""
    claimed = claims.claim_others(limit)
    claimed += claims.claim_copies(limit - len(claimed))
    claimed += claims.claim_submits(limit - len(claimed))
    return claimed + claims.claim_polls(limit - len(claimed))


def claim(generation: Generation) -> Generation:
    """Make the generation due and claim it."""
    Generation.objects.filter(pk=generation.pk).update(due_at=timezone.now())
    [claimed] = claim_due(1)
    return claimed


def take_step(generation: Generation) -> Generation:
    """Make the generation due and take one step of each due row. Return the generation as it is afterwards."""
    Generation.objects.filter(pk=generation.pk, due_at__isnull=False).update(due_at=timezone.now())
    for claimed in claim_due(10):
        steps.advance(claimed)
    return Generation.objects.select_related("image").get(pk=generation.pk)


def take_steps_until(generation: Generation, *statuses: str) -> Generation:
    """Take up to five steps, until the generation has one of the statuses. Return the generation."""
    for _ in range(5):
        generation = take_step(generation)
        if generation.status in statuses:
            return generation
    raise AssertionError(f"The generation is {generation.status} after five steps.")


def due_in(generation: Generation) -> float:
    """Return the seconds until the generation is due."""
    assert generation.due_at is not None
    return (generation.due_at - timezone.now()).total_seconds()


def ledger_kinds(generation: Generation) -> list[str]:
    """Return the kinds of the generation's ledger entries, oldest first."""
    return list(LedgerEntry.objects.filter(generation_id=generation.pk).order_by("id").values_list("kind", flat=True))


def await_wakeup() -> None:
    """Wait until the wake-up that was delayed for a moment, if any, has been sent."""
    for thread in threading.enumerate():
        if thread.name == "wake-up":
            thread.join()


def count_wakeups() -> int:
    """Return how many wake-ups were sent, with the delayed one."""
    await_wakeup()
    return OrmQ.objects.count()


def clear_wakeups() -> None:
    """Delete the wake-ups that were sent, with the delayed one."""
    await_wakeup()
    OrmQ.objects.all().delete()
