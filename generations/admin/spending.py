"""What the videos of each tenant and model cost today, this month and last month, and what is held for more of them."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from generations.reports import costs
from generations.reports.costs import Cost
from tenants.admin import usage_bars
from tenants.admin.usage_bars import Bar
from tenants.limits.windows import Kind
from tenants.models import Tenant

MAX_LISTED_TENANTS = 12  # by cost; the page of bills has all
NEARLY_PERCENT = 80  # of the limit in USD: such a tenant is listed too


@dataclass(frozen=True)
class Row:
    """The costs of a tenant or a model."""

    name: str
    cost: Cost
    tenant: Tenant | None = None
    bar: Bar | None = None  # the tenant's limit in USD per month, which counts what is spent, held and adjusted


@dataclass(frozen=True)
class Spending:
    """The costs of all tenants."""

    tenants: list[Row]  # the dearest, and those that have used most of their limit
    models: list[Row]
    total: Cost
    unlisted: int  # tenants with costs that are not listed


def read(now: datetime) -> Spending:
    """Return the costs of the present day and month."""
    by_tenant, by_model = defaultdict[int, Cost](Cost), defaultdict[str, Cost](Cost)
    tenants = list(Tenant.objects.order_by("name"))
    for (tenant_id, model), cost in costs.read(now, (tenant.time_zone for tenant in tenants)).items():
        by_tenant[tenant_id] += cost
        by_model[model] += cost
    bars = usage_bars.for_tenants(tenants, now)
    rows = [Row(tenant.name, by_tenant[tenant.pk], tenant, bars[tenant.pk][Kind.USD_PER_MONTH]) for tenant in tenants]
    rows.sort(key=lambda row: (-row.cost.month - row.cost.held, row.name))
    listed = [
        row
        for place, row in enumerate(rows)
        if place < MAX_LISTED_TENANTS or (row.bar and row.bar.percent >= NEARLY_PERCENT)
    ]
    models = [Row(name, cost) for name, cost in by_model.items()]
    return Spending(
        tenants=listed,
        models=sorted(models, key=lambda row: (-row.cost.month - row.cost.held, row.name)),
        total=sum(by_model.values(), Cost()),
        unlisted=sum(row.cost != Cost() for row in rows) - sum(row.cost != Cost() for row in listed),
    )
