"""What ops do to a generation that does not go its way, each act with a reason and its line in the audit log.

Each is one move of the lifecycle, in one transaction with that line; what is in doubt has its own acts (doubts.py).
The reason stays in the audit log: its caller reads that the operators did it, and no more.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import transaction

from generations import lifecycle, wakeups
from generations.intake import create
from generations.models import Generation
from generations.ops import deletion
from tenants import amounts, audit
from tenants.audit import Actor
from tenants.db.operations import Statement
from tenants.errors import NotPossible

Status = Generation.Status
OPERATORS = "the service's operators"
ENDED = "The service's operators ended it. It was not charged, and can be asked for again."
MOVABLE = (Status.QUEUED, Status.RUNNING, Status.COPYING)  # not while a POST is under way, nor what is in doubt
ELSEWHERE = {
    Status.SUBMITTING: "It is being submitted: within three minutes it is running, or in doubt.",
    Status.IN_DOUBT: "It is in doubt, which has its own acts.",
}


def cancel(actor: Actor, generation: Generation) -> None:
    """Before it is submitted: nothing was paid, and its hold goes back."""
    _do(actor, "cancel", generation, lambda: lifecycle.cancel(generation, f"cancelled by {OPERATORS}"))


def fail(actor: Actor, generation: Generation) -> None:
    """Whatever the upstream does with it: its hold goes back, and what the upstream charges is ours to bear."""

    def move() -> bool:
        return lifecycle.fail(generation, "ended_by_operators", ENDED, sources=MOVABLE, fenced=False)

    _do(
        actor,
        "fail and release",
        generation,
        move,
        was=generation.status,
        usd=amounts.format_usd(generation.price_micro),
    )


def run_now(actor: Actor, generation: Generation) -> None:
    """Its next step is due now, whatever pause its earlier tries have earned it."""
    _do(actor, "nudge", generation, lambda: lifecycle.run_now(generation, MOVABLE, f"nudged by {OPERATORS}"))
    wakeups.ring()


def retry_copy(actor: Actor, generation: Generation) -> None:
    """The copy begins anew, from a fresh URL of the upstream."""
    move = partial(lifecycle.run_now, generation, [Status.COPYING], f"its copy was begun anew by {OPERATORS}")
    _do(actor, "retry copy", generation, move)
    wakeups.ring()


def rerun(actor: Actor, generation: Generation, *, seed: int | None = None) -> Generation:
    """The same pictures, fields and, unless another is given, seed once more: on the bill of the key that made it."""
    audit.require_reason(actor)

    def audit_entry(made: Generation) -> Statement:
        facts = {"made": str(made.pk), "seed": made.seed, "usd": amounts.format_usd(made.price_micro)}
        return audit.insert_statement(actor, "generation: rerun", generation.tenant, str(generation.pk), facts)

    return create.rerun_generation(generation, seed=generation.seed if seed is None else seed, audit_entry=audit_entry)


def delete_files(actor: Actor, generation: Generation) -> bool:
    """Its video and pictures leave the bucket; the row and the ledger stay. Whether they are gone already."""
    _do(actor, "delete files", generation, lambda: lifecycle.delete(generation, OPERATORS))
    return deletion.purge(generation)


def _do(actor: Actor, action: str, generation: Generation, move: Callable[[], bool], **facts: Any) -> None:
    audit.require_reason(actor)
    with transaction.atomic():
        if not move():
            generation.refresh_from_db()
            raise NotPossible(reason=_why_not(generation))
        audit.record(actor, f"generation: {action}", generation.tenant, str(generation.pk), facts)


def _why_not(generation: Generation) -> str:
    if generation.deleted_at:
        return "Its files were deleted before."
    return ELSEWHERE.get(Status(generation.status), f"It is {generation.get_status_display().lower()} now.")
