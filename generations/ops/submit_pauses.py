"""Pause and resume submits as operators order it, and cancel what is queued.

A pause is effective once it is committed: no attempt is recorded after it, and one that waits for its moment is not
sent. Submits that are under way are counted, since they may be paid for. Each action needs a reason and leaves an audit
entry. Each generation that it holds, releases or cancels gets an event.
"""

from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from generations import lifecycle, wakeups
from generations.catalog import video_models
from generations.models import Generation, ManualPause
from generations.ops.actions import OPERATORS
from generations.upstream import accounts, manual_pauses
from tenants import audit, locks
from tenants.audit import Actor
from tenants.errors import NotPossible
from tenants.models import ApiKey, Tenant

Scope, Status = ManualPause.Scope, Generation.Status
RESUMED = f"{OPERATORS} let submits go on"


@dataclass(frozen=True)
class Held:
    """The number of generations that a pause of submits holds, and of the submits that were under way."""

    queued: int
    submitting: int


def pause_submits(actor: Actor, scope: str, target: str = "") -> Held:
    """Pause the submits of that scope until `resume_submits`. Raise NotPossible for a target that does not exist.

    `target`: an account, or "live" for all but the sandbox; a tenant's number, or a model's name; "" for all submits.
    """
    audit.require_reason(actor)
    tenant, name = _check_target(scope, target)
    try:
        with transaction.atomic():
            locks.hold_submits()
            ManualPause.objects.create(scope=scope, target=target, actor=actor.name, reason=actor.reason)
            held = _count(manual_pauses.held_by(scope, target))
            audit.record(actor, "submits: pause", tenant, name, {"queued": held.queued, "submitting": held.submitting})
    except IntegrityError as error:
        if not ManualPause.objects.filter(scope=scope, target=target).exists():
            raise
        raise NotPossible(reason=f"Submits of {name} are paused already.") from error
    wakeups.wake_worker()  # which puts off what is queued, with an event each
    return held


def resume_submits(actor: Actor, scope: str, target: str = "") -> int:
    """End a pause of submits. Return how many generations waited. Raise NotPossible if there is no such pause."""
    audit.require_reason(actor)
    tenant, name = _describe(scope, target)
    with transaction.atomic():
        targets = manual_pauses.targets_within(scope, target)
        if not ManualPause.objects.filter(scope=scope, target__in=targets).delete()[0]:
            raise NotPossible(reason=f"Submits of {name} are not paused.")
        audit.record(actor, "submits: resume", tenant, name, {})
    return _release(manual_pauses.held_by(scope, target))


def cancel_queued(actor: Actor, queued: Q, description: dict[str, Any], tenant: Tenant | None = None) -> int:
    """Cancel the queued generations of that condition, and release their holds. Return how many were cancelled.

    Nothing was paid for them. A generation that a worker submits during this is left out. `description` is the
    condition for the audit log.
    """
    audit.require_reason(actor)
    matching = Generation.objects.filter(queued, status=Status.QUEUED)
    target = tenant.name if tenant else "all tenants"
    with transaction.atomic():
        audit.record(actor, "cancel queued", tenant, target, {**description, "matched": matching.count()})
    count, last = 0, None
    while rows := list(matching.filter(Q(pk__gt=last) if last else Q()).order_by("pk")[: lifecycle.RELEASED_AT_ONCE]):
        count += sum(lifecycle.cancel(generation, f"cancelled by {OPERATORS}") for generation in rows)
        last = rows[-1].pk
    return count


def count_queued(queued: Q) -> int:
    """Return how many queued generations `cancel_queued` would cancel now."""
    return Generation.objects.filter(queued, status=Status.QUEUED).count()


def cancel_queue(actor: Actor, tenant: Tenant, key: ApiKey | None, **_: Any) -> int:
    """Cancel what a tenant or one of its keys has queued. Receives `tenants.signals.queue_cancelled`."""
    owner = Q(api_key=key) if key else Q(tenant=tenant)
    return cancel_queued(actor.without_form(), owner, {"key": key.prefix} if key else {}, tenant)


def release_tenant(tenant: Tenant, **_: Any) -> None:
    """Let a tenant's generations go on. Receives `tenants.signals.suspension_ended`."""
    _release(Q(tenant=tenant))


def _release(held: Q) -> int:
    """Make the generations due that waited, and wake the worker. Return how many there were."""
    count = lifecycle.release_waiting(held, RESUMED)
    wakeups.wake_worker()
    return count


def _count(held: Q) -> Held:
    """Count the generations that a pause holds, and the submits under way."""
    rows = Generation.objects.filter(held)
    return Held(rows.filter(status=Status.QUEUED).count(), rows.filter(status=Status.SUBMITTING).count())


def _check_target(scope: str, target: str) -> tuple[Tenant | None, str]:
    """Return the tenant of the target, if it is one's, and the target in words. Raise NotPossible."""
    allowed = {Scope.ALL: ("",), Scope.ACCOUNT: account_targets(), Scope.MODEL: tuple(video_models.models())}
    tenant, name = _describe(scope, target)
    if (scope == Scope.TENANT and tenant is None) or (scope != Scope.TENANT and target not in allowed[Scope(scope)]):
        raise NotPossible(reason=f"There is no {scope} {target!r}.")
    return tenant, name


def account_targets() -> tuple[str, ...]:
    """Return the targets of pauses of accounts: "live" for all but the sandbox, and each account."""
    return (manual_pauses.LIVE, *accounts.names())


def name_of(pause: ManualPause) -> str:
    """Return what the pause holds, as the audit log names it."""
    return _describe(pause.scope, pause.target)[1]


def _describe(scope: str, target: str) -> tuple[Tenant | None, str]:
    """Return the tenant of the target, if it is one's, and the target in words."""
    if scope == Scope.TENANT and target.isdecimal() and (tenant := Tenant.objects.filter(pk=int(target)).first()):
        return tenant, f"tenant {tenant.name}"
    model, _, account = target.partition(manual_pauses.AT)
    if account:
        return None, f"{scope} {model} at the {account} account"
    return None, f"{scope} {target}" if target else "all"
