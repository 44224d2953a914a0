"""Pauses of submits that operators order: of all submits, or those of an account, a tenant or a model.

A suspended tenant's submits are held as well. A worker that records an attempt reads them under a lock that it shares
with other workers; an operator's order takes it alone. So no attempt is recorded once the pause is committed.
"""

from django.db.models import Q

from generations.deadlines import account_name
from generations.models import Generation, ManualPause
from tenants.models import Tenant

Scope = ManualPause.Scope

PAUSED = "held: the service's operators paused submits"
SUSPENDED = "held: the tenant is suspended"


def find_reason(generation: Generation) -> str:
    """Return why the generation may not be submitted now, in words that its caller may read; "" if it may."""
    if ManualPause.objects.filter(_holding(generation)).exists():
        return PAUSED
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
            return Q(model=target)
        case _:
            return Q()


def _holding(generation: Generation) -> Q:
    """Return the condition for the pauses that hold the generation."""
    account = Q(scope=Scope.ACCOUNT, target=account_name(test=generation.test))
    tenant = Q(scope=Scope.TENANT, target=str(generation.tenant_id))
    return Q(scope=Scope.ALL) | account | tenant | Q(scope=Scope.MODEL, target=generation.model)
