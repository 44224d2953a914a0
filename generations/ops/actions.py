"""Operators' actions on a generation. Each action needs a reason, and leaves an audit entry.

An action is one transition, in one transaction with the audit entry. Generations in doubt have their own actions, in
in_doubt.py. Callers read that operators acted, but never the reason.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction

from generations import lifecycle, wakeups
from generations.intake import create
from generations.models import Generation
from generations.ops import cancellation, deletion
from tenants import amounts, audit
from tenants.audit import Actor
from tenants.db.operations import Statement
from tenants.errors import DoneBefore, NotPossible

Status = Generation.Status
OPERATORS = "the service's operators"
CANCELLED = f"cancelled by {OPERATORS}"
ENDED_BY_OPERATORS = "The service's operators ended the generation. It was not charged. You can create it again."
# Not while a POST is in flight. Generations in doubt have their own actions.
INTERRUPTIBLE = (Status.QUEUED, Status.RUNNING, Status.COPYING)
REFUSALS = {
    Status.SUBMITTING: "The generation is being submitted. Within three minutes it will be running or in doubt.",
    Status.IN_DOUBT: "The generation is in doubt. Use the actions for generations in doubt.",
}


def cancel(actor: Actor, generation: Generation) -> None:
    """Cancel a generation that is queued, or that waits at an upstream which can cancel it, and release its hold."""
    audit.require_reason(actor)
    settle = partial(_settle, actor, "cancel", generation)
    if not cancellation.cancel(generation, CANCELLED, settle):
        raise NotPossible(reason=_explain_refusal(generation))


def cancel_queued(actor: Actor, generation: Generation) -> None:
    """Cancel a queued generation and release its hold: one of many, for which no upstream is asked."""
    _transition(actor, "cancel", generation, lambda: lifecycle.cancel(generation, CANCELLED))


def fail(actor: Actor, generation: Generation) -> None:
    """End a generation without a video and release its hold. The service bears what the upstream charges."""

    def transition() -> bool:
        """Fail the generation. Return False if its status forbids it."""
        return lifecycle.fail(generation, "ended_by_operators", ENDED_BY_OPERATORS, sources=INTERRUPTIBLE, fenced=False)

    facts = {"was": generation.status, "usd": amounts.format_usd(generation.price_micro)}
    _transition(actor, "fail and release", generation, transition, **facts)


def run_now(actor: Actor, generation: Generation) -> None:
    """Make the next step of a generation due now, although it would be retried later."""
    transition = partial(lifecycle.run_now, generation, INTERRUPTIBLE, f"next step run now by {OPERATORS}")
    _transition(actor, "nudge", generation, transition)
    wakeups.wake_worker()


def retry_copy(actor: Actor, generation: Generation) -> None:
    """Start the copy of the video again now, with a new URL from the upstream."""
    transition = partial(lifecycle.run_now, generation, [Status.COPYING], f"copy restarted by {OPERATORS}")
    _transition(actor, "retry copy", generation, transition)
    wakeups.wake_worker()


def rerun(actor: Actor, generation: Generation, *, seed: int | None = None) -> Generation:
    """Create a generation with the same inputs, charged to the key that created the first one.

    Without `seed` the new generation has the seed of the first one.
    """
    audit.require_reason(actor)

    def audit_entry(created: Generation) -> Statement:
        """Return the INSERT of the audit entry about the new generation."""
        facts = {"made": str(created.pk), "seed": created.seed, "usd": amounts.format_usd(created.price_micro)}
        return audit.insert_statement(actor, "generation: rerun", generation.tenant, str(generation.pk), facts)

    seed = generation.seed if seed is None else seed
    try:
        return create.rerun_generation(generation, seed=seed, audit_entry=audit_entry)
    except IntegrityError as error:
        if actor.form_token and audit.find_by_form(actor.form_token):
            raise DoneBefore from error
        raise


def delete_files(actor: Actor, generation: Generation) -> bool:
    """Delete the video and the input images from the bucket. Row and ledger stay.

    Return False if S3 failed: the worker deletes the rest later.
    """
    _transition(actor, "delete files", generation, lambda: lifecycle.delete(generation, OPERATORS))
    return deletion.purge(generation)


def _transition(
    actor: Actor, action: str, generation: Generation, transition: Callable[[], bool], **facts: Any
) -> None:
    """Make the transition and write the audit entry, in one transaction. Raise NotPossible if the status forbids it."""
    audit.require_reason(actor)
    if not _settle(actor, action, generation, transition, **facts):
        generation.refresh_from_db()
        raise NotPossible(reason=_explain_refusal(generation))


def _settle(actor: Actor, action: str, generation: Generation, transition: Callable[[], bool], **facts: Any) -> bool:
    """Make the transition and write the audit entry, in one transaction. Return False if the status forbids it."""
    with transaction.atomic():
        if not transition():
            return False
        audit.record(actor, f"generation: {action}", generation.tenant, str(generation.pk), facts)
    return True


def _explain_refusal(generation: Generation) -> str:
    """Return why no transition is possible now, as a sentence for the operator."""
    if generation.deleted_at:
        return "The generation's files were deleted before."
    present = f"The generation is {generation.get_status_display().lower()} now."
    return REFUSALS.get(Status(generation.status), present)
