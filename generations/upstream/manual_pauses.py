"""Pauses of submits that operators order: of all submits, or those of an account, a tenant or a model.

The service itself orders one of a model whose route the upstream no longer has (`routes`), and asks again each minute.
A suspended tenant's submits are held as well. A worker that records an attempt reads them under a lock that it shares
with other workers; an operator's order takes it alone. So no attempt is recorded once the pause is committed.
"""

from datetime import timedelta

from django.db.models import Q

from generations.deadlines import account_name
from generations.models import Generation, ManualPause
from tenants.db import clock
from tenants.models import Tenant

Scope = ManualPause.Scope

PAUSED = "held: the service's operators paused submits"
ASK_AGAIN_SECONDS = 60.0  # after an answer that a route is gone, which costs nothing
ROUTE_GONE = "held: the upstream no longer offers the model; the service's operators decide what follows"
SERVICE = "the service"  # as the actor of a pause: the name of no user, which has no space
AT = "@"  # between a model and an account, in the target of a pause of a model at one account
SUSPENDED = "held: the tenant is suspended"


def find_reason(generation: Generation) -> str:
    """Return why the generation may not be submitted now, in words that its caller may read; "" if it may.

    A pause of the service's own holds until the route is asked again.
    """
    asked_again = Q(actor=SERVICE, since__lte=clock.now() - timedelta(seconds=ASK_AGAIN_SECONDS))
    holding = ManualPause.objects.filter(~asked_again, _holding(generation))
    if actors := set(holding.values_list("actor", flat=True)):
        return ROUTE_GONE if actors == {SERVICE} else PAUSED
    if Tenant.objects.filter(pk=generation.tenant_id, suspended_at__isnull=False).exists():
        return SUSPENDED
    return ""


def held_by(scope: str, target: str) -> Q:
    """Return the condition for the generations that a pause of that scope and target holds."""
    match scope:
        case Scope.ACCOUNT:
            return Q(test=target == account_name(test=True))
        case Scope.TENANT:
            return Q(tenant_id=int(target))
        case Scope.MODEL:
            model, _, account = target.partition(AT)
            return Q(model=model) & (Q(test=account == account_name(test=True)) if account else Q())
        case _:
            return Q()


def targets_within(scope: str, target: str) -> list[str]:
    """Return the targets of the pauses that end with that one: of a model, also those at one account."""
    if scope == Scope.MODEL and AT not in target:
        return [target, *(model_at(target, test=test) for test in (False, True))]
    return [target]


def _holding(generation: Generation) -> Q:
    """Return the condition for the pauses that hold the generation."""
    account = Q(scope=Scope.ACCOUNT, target=account_name(test=generation.test))
    tenant = Q(scope=Scope.TENANT, target=str(generation.tenant_id))
    at_account = model_at(generation.model, test=generation.test)
    model = Q(scope=Scope.MODEL, target__in=[generation.model, at_account])
    return Q(scope=Scope.ALL) | account | tenant | model


def model_at(model: str, *, test: bool) -> str:
    """Return the target of a pause of a model at one account."""
    return f"{model}{AT}{account_name(test=test)}"
