"""How limits stand, as the panel draws them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tenants import times
from tenants.admin.charts import BLUE, Chart
from tenants.limits import counters, windows
from tenants.limits.windows import Kind, LimitUsage
from tenants.models import Limits, Tenant, Window

DAYS = 31  # of the chart
LISTED = (Kind.IN_FLIGHT, Kind.PER_DAY, Kind.USD_PER_MONTH)  # in the list of tenants


@dataclass(frozen=True)
class Bar:
    """How a limit stands, as the panel shows it."""

    usage: LimitUsage
    tenant: Tenant

    @property
    def name(self) -> str:
        return name_of(self.usage.kind)

    @property
    def used(self) -> int | str | None:
        return windows.format_amount(self.usage.kind, self.usage.used)

    @property
    def limit(self) -> int | str | None:
        return windows.format_amount(self.usage.kind, self.usage.limit)

    @property
    def remaining(self) -> int | str | None:
        return windows.format_amount(self.usage.kind, self.usage.remaining)

    @property
    def resets_at(self) -> str | None:
        """By the tenant's own clock: a template would turn a datetime to the panel's."""
        return times.local(self.usage.resets_at, self.tenant.zone) if self.usage.resets_at else None

    @property
    def percent(self) -> int:
        """Of the limit; a limit of 0, or one that was lowered below what is used, is full."""
        limit, used = self.usage.limit, self.usage.used
        if limit is None:
            return 0
        return min(100 * used // limit, 100) if limit else 100

    def __str__(self) -> str:
        return f"{self.used} / {'no limit' if self.limit is None else self.limit}"


def name_of(kind: Kind) -> str:
    return kind.value.replace("_", " ").replace("usd", "USD")


def limits_of(holder: Limits) -> list[tuple[str, int | str | None]]:
    """Those that are set, by name."""
    limits = [(kind, windows.limit(holder, kind)) for kind in Kind]
    return [(name_of(kind), windows.format_amount(kind, limit)) for kind, limit in limits if limit is not None]


def of_tenant(tenant: Tenant, at: datetime) -> list[Bar]:
    """Every limit of one tenant."""
    return [Bar(usage, tenant) for usage in counters.usage_for_tenant(tenant, at)]


def of_page(tenants: Sequence[Tenant], at: datetime) -> dict[int, dict[Kind, Bar]]:
    """The listed limits of each tenant, by one query for the windows of them all."""
    starts = {(tenant, kind): windows.start(kind, at, tenant.zone) for tenant in tenants for kind in LISTED}
    rows = Window.objects.filter(tenant__in=tenants, api_key=None, kind__in=LISTED, starts_at__in={*starts.values()})
    used = {(row.tenant_id, row.kind, row.starts_at): row.used for row in rows}
    bars: dict[int, dict[Kind, Bar]] = {tenant.pk: {} for tenant in tenants}
    for (tenant, kind), starts_at in starts.items():
        taken, limit = used.get((tenant.pk, kind.value, starts_at), 0), windows.limit(tenant, kind)
        bars[tenant.pk][kind] = Bar(LimitUsage(kind, False, limit, taken, starts_at, None), tenant)
    return bars


def days(tenant: Tenant, at: datetime) -> Chart:
    """How many generations each of its last days had, by its own clock: what failed was given back."""
    today = at.astimezone(tenant.zone).date()
    dates = [today - timedelta(days=number) for number in reversed(range(DAYS))]
    rows = Window.objects.filter(
        tenant=tenant, api_key=None, kind=Kind.PER_DAY, starts_at__gte=at - timedelta(days=DAYS + 1)
    )
    used = {row.starts_at.astimezone(tenant.zone).date(): row.used for row in rows}
    values = [used.get(date, 0) for date in dates]
    return Chart(
        "days", "Generations a day", "bar", [f"{date:%m-%d}" for date in dates], {"generations": (BLUE, values)}
    )
