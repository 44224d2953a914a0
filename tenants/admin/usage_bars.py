"""The usage of limits as the panel shows it: bars on pages and lists, and a chart of the last days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Case, DateTimeField, OuterRef, QuerySet, Subquery, When
from django.db.models.functions import Coalesce

from tenants import times
from tenants.admin.charts import BLUE, Chart
from tenants.limits import counters, windows
from tenants.limits.windows import Kind, LimitUsage
from tenants.models import Limits, Tenant, Window

CHART_DAYS = 31
LISTED_KINDS = (Kind.IN_FLIGHT, Kind.PER_DAY, Kind.USD_PER_MONTH)  # in the list of tenants


@dataclass(frozen=True)
class Bar:
    """The usage of one limit, with its numbers as the panel writes them."""

    usage: LimitUsage
    tenant: Tenant

    @property
    def name(self) -> str:
        """Return the limit's name, for example "USD per month"."""
        return windows.name_of(self.usage.kind)

    @property
    def used(self) -> int | str | None:
        """Return the used amount: a count, seconds, or USD as text."""
        return windows.format_amount(self.usage.kind, self.usage.used)

    @property
    def limit(self) -> int | str | None:
        """Return the limit: a count, seconds, or USD as text. None means no limit."""
        return windows.format_amount(self.usage.kind, self.usage.limit)

    @property
    def remaining(self) -> int | str | None:
        """Return the remaining amount: a count, seconds, or USD as text. None means no limit."""
        return windows.format_amount(self.usage.kind, self.usage.remaining)

    @property
    def resets_at(self) -> str | None:
        """Return the reset time in the tenant's time zone, as text: a template would convert a datetime to UTC."""
        return times.local(self.usage.resets_at, self.tenant.zone) if self.usage.resets_at else None

    @property
    def percent(self) -> int:
        """Return the used share of the limit, at most 100.

        A limit of 0 is full, as is a limit that was lowered below the used amount.
        """
        limit, used = self.usage.limit, self.usage.used
        if limit is None:
            return 0
        return min(100 * used // limit, 100) if limit else 100

    def __str__(self) -> str:
        return f"{self.used} / {'no limit' if self.limit is None else self.limit}"


def limits_of(holder: Limits) -> list[tuple[str, int | str | None]]:
    """Return the limits that are set for a tenant or a key, each with its name."""
    limits = [(kind, windows.limit(holder, kind)) for kind in Kind]
    return [(windows.name_of(kind), windows.format_amount(kind, limit)) for kind, limit in limits if limit is not None]


def for_tenant(tenant: Tenant, at: datetime) -> list[Bar]:
    """Return the usage of every limit of one tenant."""
    return [Bar(usage, tenant) for usage in counters.usage_for_tenant(tenant, at)]


def for_tenants(tenants: Sequence[Tenant], at: datetime) -> dict[int, dict[Kind, Bar]]:
    """Return the usage of the listed limits, by tenant id: one query reads the windows of all tenants."""
    starts = {(tenant, kind): windows.start(kind, at, tenant.zone) for tenant in tenants for kind in LISTED_KINDS}
    rows = Window.objects.filter(
        tenant__in=tenants, api_key=None, kind__in=LISTED_KINDS, starts_at__in={*starts.values()}
    )
    amounts = {(row.tenant_id, row.kind, row.starts_at): row.used for row in rows}
    bars: dict[int, dict[Kind, Bar]] = {tenant.pk: {} for tenant in tenants}
    for (tenant, kind), starts_at in starts.items():
        used, limit = amounts.get((tenant.pk, kind.value, starts_at), 0), windows.limit(tenant, kind)
        bars[tenant.pk][kind] = Bar(LimitUsage(kind, False, limit, used, starts_at, None), tenant)
    return bars


def with_month(tenants: QuerySet[Tenant], at: datetime) -> QuerySet[Tenant]:
    """Add to each tenant what it used of the month's USD, limited or not, as `month_micro`.

    The counter of the month is one row, found by its index, however long the history is.
    """
    month = Window.objects.filter(
        tenant=OuterRef("pk"), api_key=None, kind=Kind.USD_PER_MONTH, starts_at=OuterRef("month_start")
    )
    zones = Tenant.objects.order_by().values_list("time_zone", flat=True).distinct()
    starts = [When(time_zone=name, then=windows.start(Kind.USD_PER_MONTH, at, ZoneInfo(name))) for name in zones]
    return tenants.alias(month_start=Case(*starts, default=None, output_field=DateTimeField())).annotate(
        month_micro=Coalesce(Subquery(month.values("used")[:1]), 0)
    )


def chart_of_days(tenant: Tenant, at: datetime) -> Chart:
    """Return a chart of the tenant's generations per day, in the tenant's time zone.

    Failed and cancelled generations are not counted: their usage was given back.
    """
    today = at.astimezone(tenant.zone).date()
    dates = [today - timedelta(days=number) for number in reversed(range(CHART_DAYS))]
    rows = Window.objects.filter(
        tenant=tenant, api_key=None, kind=Kind.PER_DAY, starts_at__gte=at - timedelta(days=CHART_DAYS + 1)
    )
    used = {row.starts_at.astimezone(tenant.zone).date(): row.used for row in rows}
    values = [used.get(date, 0) for date in dates]
    labels = [f"{date:%m-%d}" for date in dates]
    return Chart("days", "Generations per day", "bar", labels, {"Generations": (BLUE, values)})
