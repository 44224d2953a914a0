"""The amounts that each tenant has spent this month, and the amounts held for generations in progress."""

import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce

from django.db.models import Q, Sum

from generations.models import Generation
from tenants import amounts
from tenants.admin import usage_bars
from tenants.admin.usage_bars import Bar
from tenants.limits.windows import Kind
from tenants.models import Tenant

MAX_READ_TENANTS, MAX_LISTED_TENANTS = 1000, 12


@dataclass(frozen=True)
class Spending:
    """The USD of one tenant in the tenant's present month."""

    tenant: Tenant
    bar: Bar  # the usage of the monthly limit, which counts both spent and held
    held_micro: int

    @property
    def spent(self) -> str:
        """Return the USD that were captured for videos or adjusted by an operator."""
        return amounts.format_usd(self.bar.usage.used - self.held_micro)

    @property
    def held(self) -> str:
        """Return the USD that are held for generations in progress: a hold is captured or released at the end."""
        return amounts.format_usd(self.held_micro)


def this_month(now: datetime) -> list[Spending]:
    """Return the tenants that use most of their monthly limit, then those that use most USD."""
    tenants = list(Tenant.objects.order_by("name")[:MAX_READ_TENANTS])
    bars = usage_bars.for_tenants(tenants, now)
    rows = [(tenant, bars[tenant.pk][Kind.USD_PER_MONTH]) for tenant in tenants]
    rows.sort(key=lambda row: (-row[1].percent, -row[1].usage.used, row[0].name))
    listed = rows[:MAX_LISTED_TENANTS]
    held = held_micro([bar for _, bar in listed])
    # The two queries are not of one moment: a hold that has just been placed may be missing in the usage.
    return [Spending(tenant, bar, min(held[tenant.pk], bar.usage.used)) for tenant, bar in listed]


def held_micro(bars: Sequence[Bar]) -> Counter[int]:
    """Return the micro-USD held in each bar's month, by tenant id.

    A hold is open exactly as long as its generation is in progress. Those generations are few, and an index holds
    them; the ledger would have to be searched for holds without an end.
    """
    if not bars:
        return Counter()
    months = [Q(tenant=bar.tenant, created_at__gte=bar.usage.starts_at) for bar in bars]
    in_progress = Generation.objects.filter(reduce(operator.or_, months), due_at__isnull=False, test=False)
    sums = in_progress.order_by().values_list("tenant").annotate(Sum("price_micro"))
    return Counter(dict(sums))
