"""Locks of tenants, keys and submits, each until the transaction ends.

Counters change only under the tenant's row lock. So an admission comes wholly before or wholly after a changed limit.
"""

from tenants.db.engine import engine
from tenants.models import ApiKey, Tenant

SUBMITS = "submits"


def share_submits() -> None:
    """Let no operator hold submits until the transaction ends, which records an attempt.

    So the attempt comes wholly before or wholly after a pause or a suspension.
    """
    engine.lock(SUBMITS, shared=True)


def hold_submits() -> None:
    """Let no worker record an attempt until the transaction ends, which orders a pause or a suspension."""
    engine.lock(SUBMITS, shared=False)


def lock_tenant(tenant_id: int) -> Tenant:
    """Lock the tenant until the transaction ends, and return it as it is once locked.

    Until then no other transaction changes the tenant or its counters.
    """
    return Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)


def lock_key(key_id: int) -> ApiKey:
    """Lock the key and its tenant until the transaction ends, and return both as they are once locked."""
    rows = ApiKey.objects.select_related("tenant").select_for_update(no_key=True, of=("self", "tenant"))
    return rows.get(pk=key_id)
