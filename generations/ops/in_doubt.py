"""RESOLVE: what becomes of a generation whose submit's answer was lost: its tenant's policy, or ops with a reason.

Each act of ops is one move of the lifecycle, in one transaction with its line in the audit log.
"""

from collections.abc import Callable
from functools import partial

from django.db import IntegrityError, transaction
from django.utils import timezone

from generations import lifecycle, wakeups
from generations.models import Generation
from generations.telemetry.failpoints import failpoint
from generations.upstream.errors import UpstreamError
from generations.upstream.novita import client as novita
from tenants import amounts, audit
from tenants.audit import Actor
from tenants.errors import NotPossible
from tenants.models import Tenant

UNCONFIRMED = "Nobody could find out whether the upstream took it."
NOT_SUBMITTED = "The upstream never took it, and nothing was paid. It can be asked for again."


def settle(generation: Generation) -> None:
    """By the tenant's policy: hold it for ops, fail it, or send it once more; one that is too old fails in any case."""
    assert generation.submitted_at is not None  # it was sent
    policy = generation.tenant.on_doubt
    if policy == Tenant.OnDoubt.FAIL or timezone.now() >= generation.submitted_at + lifecycle.FAIL_IN_DOUBT_AFTER:
        # From the doubt alone: ops, or a late answer, may have resolved it since it was claimed.
        lifecycle.fail(generation, "submit_unconfirmed", UNCONFIRMED, sources=[Generation.Status.IN_DOUBT])
    elif policy == Tenant.OnDoubt.RESUBMIT and generation.resumed_at is None:
        lifecycle.resubmit(generation, "the tenant's policy: sent once more, which may pay twice")
    else:
        lifecycle.await_operator(generation)


def attempt_of(generation: Generation) -> int:
    """The number of the attempt that is in doubt, which an act must be about."""
    return generation.attempts.count()


def attach(actor: Actor, generation: Generation, upstream_id: str, *, attempt: int | None = None) -> None:
    """It was created, as the task `upstream_id`, which is read first. Raises NotPossible where that is another's."""
    upstream_id = upstream_id.strip()
    _check_task(generation, upstream_id)
    move = partial(lifecycle.attach_task, generation, upstream_id, "found at the upstream")
    try:
        _do(actor, "attach", generation, attempt, move, upstream_id=upstream_id)
    except IntegrityError as error:
        raise NotPossible(reason="That task belongs to another generation.") from error


def resubmit(actor: Actor, generation: Generation, *, attempt: int | None = None) -> None:
    """It was surely not created: it goes out once more. Where that is wrong, it is paid for twice."""
    move = partial(lifecycle.resubmit, generation, "confirmed not created; sent once more")
    _do(actor, "resubmit", generation, attempt, move)


def release(actor: Actor, generation: Generation, *, attempt: int | None = None) -> None:
    """It was surely not created: it fails, and its hold goes back."""
    _do(actor, "release", generation, attempt, _failing(generation, "not_submitted", NOT_SUBMITTED))


def give_up(actor: Actor, generation: Generation, *, attempt: int | None = None) -> None:
    """Nobody knows, or ever will: it fails and its hold goes back; what the upstream charged is ours to bear."""
    _do(actor, "give up", generation, attempt, _failing(generation, "submit_unconfirmed", UNCONFIRMED))


def _failing(generation: Generation, code: str, message: str) -> Callable[[], bool]:
    """Return the move that fails it: only while the attempt that was looked at is its newest."""
    sources, sent = [Generation.Status.IN_DOUBT], generation.submitted_at
    return partial(lifecycle.fail, generation, code, message, sources=sources, fenced=False, last_submitted_at=sent)


def _do(
    actor: Actor, action: str, generation: Generation, attempt: int | None, move: Callable[[], bool], **facts: str
) -> None:
    """`attempt`: which one was looked at; where another was sent since, what was found out is not about it."""
    audit.require_reason(actor)
    with transaction.atomic():
        in_doubt = Generation.objects.filter(pk=generation.pk, status=Generation.Status.IN_DOUBT).exists()
        if in_doubt and attempt not in (None, attempt_of(generation)):
            raise NotPossible(reason="Another attempt was sent since: what was found out is not about it.")
        if not move():
            raise NotPossible(reason="It is no longer in doubt.")
        changes = {**facts, "usd_at_risk": amounts.format_usd(generation.price_micro)}
        audit.record(actor, f"doubt: {action}", generation.tenant, str(generation.pk), changes)
        failpoint("doubt_before_commit")
    wakeups.ring()


def _check_task(generation: Generation, upstream_id: str) -> None:
    """That it is there, and made from this generation's seed: the one thing of ours that the upstream tells."""
    if not 0 < len(upstream_id) <= 200 or not upstream_id.isprintable():
        raise NotPossible(reason="An upstream's task id has 1 to 200 printable characters.")
    if Generation.objects.filter(upstream_id=upstream_id).exclude(pk=generation.pk).exists():
        raise NotPossible(reason="That task belongs to another generation.")
    try:
        seen = novita.poll(novita.account(test=generation.test), upstream_id)
    except UpstreamError as trouble:
        raise NotPossible(reason=f"The upstream does not show that task: {trouble}.") from trouble
    match seen:
        case novita.Rendering():
            raise NotPossible(
                reason="That task is still rendering, and tells its seed when it is done. Try again then."
            )
        case novita.Failed(reason):
            raise NotPossible(reason=f"That task failed ({reason}). Release the generation instead.")
        case novita.Rendered(seed=seed) if seed not in (None, generation.seed):
            raise NotPossible(reason=f"That task was made from seed {seed}, this generation from {generation.seed}.")
