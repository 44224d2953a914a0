"""Pauses of submits that operators order: of all submits, or those to an account, of a tenant or of a model.

A generation whose model has another account goes there while submits to one account are paused.

The service itself orders one of a model whose route the upstream no longer has (`routes`), and asks again each minute.
A suspended tenant's submits are held as well. A worker that records an attempt reads them under a lock that it shares
with other workers; an operator's order takes it alone. So no attempt is recorded once the pause is committed.
"""

from datetime import timedelta

from django.db.models import Q

from generations.models import Generation, ManualPause
from generations.upstream import accounts
from tenants.db import clock
from tenants.models import Tenant

Scope = ManualPause.Scope

PAUSED = "held: the service's operators paused submits"
ASK_AGAIN_SECONDS = 60.0  # after an answer that a route is gone, which costs nothing
ROUTE_GONE = "held: the upstream no longer offers the model; the service's operators decide what follows"
LIVE = "live"  # as the target of a pause of accounts: all but the sandbox
SERVICE = "the service"  # as the actor of a pause: the name of no user, which has no space
AT = "@"  # between a model and an account, in the target of a pause of a model at one account
SUSPENDED = "held: the tenant is suspended"


def find_reason(generation: Generation) -> str:
    """Return why the generation may not be submitted to any account now, in words that its caller may read; or ""."""
    tenant = Q(scope=Scope.TENANT, target=str(generation.tenant_id))
    model = Q(scope=Scope.MODEL, target=generation.model)
    account = Q(scope=Scope.ACCOUNT, target=LIVE) if not generation.test else Q(pk__in=[])
    if ManualPause.objects.filter(Q(scope=Scope.ALL) | tenant | model | account).exists():
        return PAUSED
    if Tenant.objects.filter(pk=generation.tenant_id, suspended_at__isnull=False).exists():
        return SUSPENDED
    return ""


def find_reason_at(generation: Generation, account: str) -> str:
    """Return why the generation may not be submitted to the account now, in words that its caller may read; or "".

    A pause of the service's own holds until the route is asked again.
    """
    asked_again = Q(actor=SERVICE, since__lte=clock.now() - timedelta(seconds=ASK_AGAIN_SECONDS))
    of_account = Q(scope=Scope.ACCOUNT, target=account)
    of_model = Q(scope=Scope.MODEL, target=model_at(generation.model, account))
    holding = ManualPause.objects.filter(~asked_again, of_account | of_model)
    if actors := set(holding.values_list("actor", flat=True)):
        return ROUTE_GONE if actors == {SERVICE} else PAUSED
    return ""


def held_by(scope: str, target: str) -> Q:
    """Return the condition for the generations that a pause of that scope and target holds."""
    match scope:
        case Scope.ACCOUNT:
            return Q(test=False) if target == LIVE else accounts.waiting_at(target)
        case Scope.TENANT:
            return Q(tenant_id=int(target))
        case Scope.MODEL:
            model, _, account = target.partition(AT)
            return Q(model=model) & (accounts.waiting_at(account) if account else Q())
        case _:
            return Q()


def targets_within(scope: str, target: str) -> list[str]:
    """Return the targets of the pauses that end with that one: of a model, also those at one account."""
    if scope == Scope.MODEL and AT not in target:
        return [target, *(model_at(target, account) for account in accounts.names())]
    return [target]


def model_at(model: str, account: str) -> str:
    """Return the target of a pause of a model at one account."""
    return f"{model}{AT}{account}"
