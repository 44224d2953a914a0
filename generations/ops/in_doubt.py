"""Generations in doubt: the answer to their submit was lost, and the upstream may have charged for it.

A search of the upstream's list, the tenant's policy or an operator decides what happens. An operator's action needs a
reason. The action is one transition of the lifecycle, in one transaction with its audit entry.
"""

from collections.abc import Callable
from functools import partial

from django.db import IntegrityError, transaction

from generations import deadlines, lifecycle, wakeups
from generations.models import Attempt, AttemptSearch, Generation
from generations.telemetry.failpoints import failpoint
from generations.upstream import accounts, outcomes
from generations.upstream.errors import UpstreamError
from tenants import amounts, audit
from tenants.audit import Actor
from tenants.db import clock
from tenants.errors import NotPossible
from tenants.models import Tenant

UNCONFIRMED = "It is not known whether the upstream accepted the generation."
NOT_SUBMITTED = "The upstream never accepted the generation, and nothing was paid. You can create it again."


def apply_policy(generation: Generation, *, may_resubmit: bool = True) -> None:
    """Apply the tenant's policy: fail the generation, submit it a second time, or hold it for an operator.

    A generation that is in doubt for deadlines.FAIL_IN_DOUBT_AFTER fails under every policy. Without `may_resubmit`,
    because a search of the upstream's list was unclear, it is held in place of a second submit.
    """
    policy = generation.tenant.on_doubt
    if policy == Tenant.OnDoubt.FAIL or is_over(generation):
        # Fail it only if it is still in doubt: since the claim, an operator or a late answer may have resolved it.
        lifecycle.fail(generation, "submit_unconfirmed", UNCONFIRMED, sources=[Generation.Status.IN_DOUBT])
    elif policy == Tenant.OnDoubt.RESUBMIT and generation.resumed_at is None and may_resubmit:
        lifecycle.resubmit(generation, "resubmitted by the tenant's policy, which may pay twice")
    else:
        lifecycle.await_operator(generation)


def is_over(generation: Generation) -> bool:
    """Return whether the generation has been in doubt for as long as one may be."""
    return clock.now() >= deadlines.doubt_ends_at(generation)


def fail_not_submitted(generation: Generation) -> bool:
    """Fail a generation that the upstream surely never created, and release its hold."""
    return _failing_transition(generation, "not_submitted", NOT_SUBMITTED)()


def count_attempts(generation: Generation) -> int:
    """Return the number of attempts so far, which is also the number of the attempt that is in doubt."""
    return generation.attempts.count()


def find_named_task(generation: Generation) -> str:
    """Return the task that the answer in doubt names; "" if it names none."""
    attempt = generation.attempts.order_by("number").last()
    return attempt.upstream_id if attempt else ""


def find_last_search(generation: Generation) -> AttemptSearch | None:
    """Return the last search for the task of the generation; None if there was none."""
    return AttemptSearch.objects.filter(attempt__generation=generation).last()


def attach(actor: Actor, generation: Generation, upstream_id: str, *, attempt: int | None = None) -> None:
    """Continue with the task that the upstream created.

    The task is read first. Raise NotPossible if it failed, is still rendering, or belongs to another generation. For
    `attempt` see `_resolve`, also in the functions below.
    """
    upstream_id = upstream_id.strip()
    _check_task(generation, upstream_id)
    transition = partial(lifecycle.attach_task, generation, upstream_id, "task found at the upstream")
    try:
        _resolve(actor, "attach", generation, attempt, transition, upstream_id=upstream_id)
    except IntegrityError as error:
        raise NotPossible(reason="That task belongs to another generation.") from error


def resubmit(actor: Actor, generation: Generation, *, attempt: int | None = None) -> None:
    """Submit a generation again that the upstream never created. If it was created, it is paid for twice."""
    transition = partial(lifecycle.resubmit, generation, "confirmed as not created; resubmitted")
    _resolve(actor, "resubmit", generation, attempt, transition)


def release(actor: Actor, generation: Generation, *, attempt: int | None = None) -> None:
    """Fail a generation that the upstream never created, and release its hold."""
    transition = _failing_transition(generation, "not_submitted", NOT_SUBMITTED)
    _resolve(actor, "release", generation, attempt, transition)


def give_up(actor: Actor, generation: Generation, *, attempt: int | None = None) -> None:
    """Fail a generation as unconfirmed and release its hold. The service bears what the upstream charged."""
    transition = _failing_transition(generation, "submit_unconfirmed", UNCONFIRMED)
    _resolve(actor, "give up", generation, attempt, transition)


def _failing_transition(generation: Generation, code: str, message: str) -> Callable[[], bool]:
    """Return the transition that fails the generation, if no later attempt was sent than the one that was read."""
    sources, sent = [Generation.Status.IN_DOUBT], generation.submitted_at
    return partial(lifecycle.fail, generation, code, message, sources=sources, fenced=False, last_submitted_at=sent)


def _resolve(
    actor: Actor, action: str, generation: Generation, attempt: int | None, transition: Callable[[], bool], **facts: str
) -> None:
    """Make the transition and write the audit entry, in one transaction.

    `attempt` is the number of the attempt that the operator examined; None means any. Raise NotPossible if a later
    attempt was sent since, or if the generation is no longer in doubt.
    """
    audit.require_reason(actor)
    with transaction.atomic():
        in_doubt = Generation.objects.filter(pk=generation.pk, status=Generation.Status.IN_DOUBT).exists()
        if in_doubt and attempt not in (None, count_attempts(generation)):
            raise NotPossible(reason="Another attempt was sent since. Examine that attempt first.")
        if not transition():
            raise NotPossible(reason="The generation is no longer in doubt.")
        changes = {**facts, "usd_at_risk": amounts.format_usd(generation.price_micro)}
        audit.record(actor, f"doubt: {action}", generation.tenant, str(generation.pk), changes)
        failpoint("doubt_before_commit")
    wakeups.wake_worker()


def _check_task(generation: Generation, upstream_id: str) -> None:
    """Read the task from the upstream, and raise NotPossible unless it can be this generation's.

    Each upstream reports the seed; one that lists its tasks also reports the attempt's reference.
    """
    if not 0 < len(upstream_id) <= 200 or not upstream_id.isprintable():
        raise NotPossible(reason="An upstream's task id has 1 to 200 printable characters.")
    if owner := Generation.objects.filter(upstream_id=upstream_id).exclude(pk=generation.pk).first():
        raise NotPossible(reason=f"That task belongs to another generation: {owner.pk}.")
    account, wire = accounts.of(generation)
    try:
        result = wire.get(account, upstream_id)
        reference = wire.read_task(account, upstream_id).reference if account.has_list else ""
    except UpstreamError as error:
        raise NotPossible(reason=f"The upstream does not show that task: {error}.") from error
    others = Attempt.objects.exclude(generation=generation.pk)
    if reference and (other := others.filter(reference=reference).first()):
        raise NotPossible(reason=f"That task was made for another generation: {other.generation_id}.")
    match result:
        case outcomes.Rendering():
            raise NotPossible(
                reason="That task is still rendering. The upstream reports its seed at the end: try again then."
            )
        case outcomes.Failed(reason=reason):
            raise NotPossible(reason=f"That task failed ({reason}). Release the generation instead.")
        case outcomes.Cancelled():
            raise NotPossible(reason="That task was cancelled. Release the generation instead.")
        case outcomes.Rendered(seed=seed) if generation.seed is not None and seed not in (None, generation.seed):
            raise NotPossible(reason=f"That task was made from seed {seed}, this generation from {generation.seed}.")
