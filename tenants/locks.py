"""Row locks of tenants and keys.

Counters change only under the tenant's row lock. So an admission comes wholly before or wholly after a changed limit.
"""

from tenants.models import ApiKey, Tenant


def lock_tenant(tenant_id: int) -> Tenant:
    """Lock the tenant until the transaction ends, and return it as it is once locked.

    Until then no other transaction changes the tenant or its counters.
    """
    return Tenant.objects.select_for_update(no_key=True).get(pk=tenant_id)


def lock_key(key_id: int) -> ApiKey:
    """Lock the key and its tenant until the transaction ends, and return both as they are once locked."""
    rows = ApiKey.objects.select_related("tenant").select_for_update(no_key=True, of=("self", "tenant"))
    return rows.get(pk=key_id)
