"""What all tenants' videos cost: today, this month and last month, and what is held now, by tenant and model.

Days and months are those of each tenant's calendar, by the day that accepted the generation, as in usage and on bills.
The sums of `usage_sums` are read, what finished since they end is counted, and so is what is in progress: the cost does
not grow with the number of generations.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import astuple, dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import F, Min, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from generations.models import Generation, UsageSum, UsageSumState
from tenants.limits import windows
from tenants.models import Tenant

SUCCEEDED = Generation.Status.SUCCEEDED
CHARGED = Coalesce("charged_micro", "price_micro")
SPANS = ("of_today", "of_month", "of_last_month")

Name = tuple[int, str]  # tenant id and model


@dataclass
class Cost:
    """Micro-USD of one tenant and model, or of several. Adjustments are not in it."""

    today: int = 0  # charged for videos accepted today
    month: int = 0  # charged for videos accepted this month, today included
    last_month: int = 0
    held: int = 0  # for what is in progress, whenever it was accepted

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Calendar:
    """The present day, and the first days of the present and of the last month, in one time zone."""

    zone: ZoneInfo
    today: date

    @property
    def month(self) -> date:
        """The first day of this month."""
        return self.today.replace(day=1)

    @property
    def last_month(self) -> date:
        """The first day of last month."""
        return (self.month - timedelta(days=1)).replace(day=1)

    def midnight(self, day: date) -> datetime:
        """Return when the day begins."""
        return windows.midnight(day, self.zone)


def read(now: datetime, time_zones: Iterable[str]) -> dict[Name, Cost]:
    """Return the costs by tenant and model, without those that are 0. `time_zones` are those of all tenants."""
    costs: defaultdict[Name, Cost] = defaultdict(Cost)
    for name in sorted(set(time_zones)):
        calendar = Calendar(ZoneInfo(name), now.astimezone(ZoneInfo(name)).date())
        for rows in (_summed(name, calendar), *_counted(name, calendar)):
            for tenant_id, model, *sums in rows:
                costs[tenant_id, model] += Cost(*sums)
    for tenant_id, model, held in _held("tenant_id", "model"):
        costs[tenant_id, model].held = held
    return {name: cost for name, cost in costs.items() if cost != Cost()}


def held_by_tenant(tenants: Collection[Tenant], **_: Any) -> dict[int, int]:
    """Return the micro-USD that are held for the tenants. Receives `tenants.signals.holds_listed`."""
    return dict(_held("tenant_id").filter(tenant__in=tenants))


def _held(*columns: str) -> QuerySet[Any]:
    """Return rows of the columns and what is held for live generations in progress, which a partial index holds."""
    live = Generation.objects.filter(due_at__isnull=False, test=False).order_by()
    rows: QuerySet[Any] = live.values_list(*columns).annotate(Sum("price_micro"))
    return rows


def _summed(time_zone: str, calendar: Calendar) -> QuerySet[Any]:
    """Return rows of tenant, model, and the sums of today, this month and last month, from the stored sums."""
    rows = UsageSum.objects.filter(
        tenant__in=_has_sums(time_zone), test=False, status=SUCCEEDED, day__gte=calendar.last_month
    )
    return _add_up(rows, "micro", "day", calendar.today, calendar.month)


def _counted(time_zone: str, calendar: Calendar) -> Iterator[QuerySet[Any]]:
    """Yield such rows of what finished since the sums of its tenant end, and of tenants that have no sums yet."""
    today, month, last_month = map(calendar.midnight, (calendar.today, calendar.month, calendar.last_month))
    rows = Generation.objects.filter(test=False, status=SUCCEEDED, created_at__gte=last_month)
    oldest = UsageSumState.objects.filter(tenant__in=_has_sums(time_zone)).aggregate(oldest=Min("until"))["oldest"]
    parts = [rows.filter(tenant__in=Tenant.objects.filter(time_zone=time_zone).exclude(pk__in=_has_sums(time_zone)))]
    if oldest:  # the index of ends
        until = F("tenant__usage_sum_state__until")
        parts.append(
            rows.filter(tenant__in=_has_sums(time_zone), finished_at__gte=oldest).filter(finished_at__gte=until)
        )
    for part in parts:
        yield _add_up(part, CHARGED, "created_at", today, month)


def _has_sums(time_zone: str) -> QuerySet[Any]:
    """Return the ids of the tenants whose sums are by days of this time zone, which is theirs."""
    return Tenant.objects.filter(time_zone=time_zone, usage_sum_state__time_zone=time_zone).order_by().values("pk")


def _add_up(rows: QuerySet[Any], micro: Any, at: str, today: Any, month: Any) -> QuerySet[Any]:
    """Return the sums of `micro` by tenant and model, of the rows since today, since this month, and before it."""
    spans = (Q(**{f"{at}__gte": today}), Q(**{f"{at}__gte": month}), Q(**{f"{at}__lt": month}))
    sums = {name: Sum(micro, filter=span, default=0) for name, span in zip(SPANS, spans, strict=True)}
    added: QuerySet[Any] = rows.order_by().values_list("tenant_id", "model").annotate(**sums)
    return added
