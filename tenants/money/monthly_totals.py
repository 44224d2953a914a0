"""What all tenants spent and hold in a month, and the adjustments of their bills: the bills' totals, side by side.

A generation counts in the month that admitted it, as on a tenant's bill (`monthly_statement`). A month is that of each
tenant's own calendar.
"""

from dataclasses import dataclass
from datetime import date

from django.db.models import Sum

from tenants.db.engine import engine
from tenants.models import LedgerEntry, Tenant

Entry = LedgerEntry.Kind
# The tenants are named, since the index of bills begins with the tenant.
SUMS = """
SELECT hold.tenant_id, ending.kind, COUNT(*) AS generations,
       CAST(SUM(COALESCE(ending.amount_micro, hold.amount_micro)) AS bigint) AS micro
  FROM tenants_ledgerentry hold
  LEFT JOIN tenants_ledgerentry ending
         ON ending.generation_id = hold.generation_id AND ending.kind IN ('capture', 'release')
 WHERE hold.tenant_id IN (SELECT id FROM tenants_tenant) AND hold.month = %s AND hold.kind = 'hold' AND NOT hold.test
 GROUP BY hold.tenant_id, ending.kind
"""


@dataclass
class MonthlyTotal:
    """The bill of one tenant in one month, in micro-USD."""

    spent_micro: int = 0  # captured for videos
    held_micro: int = 0  # of generations that have not ended
    adjusted_micro: int = 0  # added by operators; less than 0 is a credit
    generations: int = 0  # that were charged

    @property
    def total_micro(self) -> int:
        """The amount to pay, without open holds."""
        return self.spent_micro + self.adjusted_micro

    @property
    def is_empty(self) -> bool:
        """True if nothing was bought, held or adjusted."""
        return self == MonthlyTotal()

    def __add__(self, other: "MonthlyTotal") -> "MonthlyTotal":
        return MonthlyTotal(
            self.spent_micro + other.spent_micro,
            self.held_micro + other.held_micro,
            self.adjusted_micro + other.adjusted_micro,
            self.generations + other.generations,
        )


def read(month: date) -> dict[int, MonthlyTotal]:
    """Return the totals of the month whose first day is `month` by tenant id, of every tenant."""
    totals = {pk: MonthlyTotal() for pk in Tenant.objects.values_list("pk", flat=True)}
    for tenant_id, end, generations, micro in engine.run(SUMS, [engine.adapt(month)]):
        total = totals.setdefault(tenant_id, MonthlyTotal())
        if end == Entry.CAPTURE:
            total.spent_micro, total.generations = micro, generations
        elif end is None:
            total.held_micro = micro
    adjustments = LedgerEntry.objects.filter(kind=Entry.ADJUST, month=month, test=False, tenant__in=[*totals])
    for tenant_id, micro in adjustments.order_by().values_list("tenant").annotate(Sum("amount_micro")):
        totals[tenant_id].adjusted_micro = micro
    return totals


def first_month() -> date | None:
    """Return the first day of the month of the oldest bill; None if there is none."""
    return LedgerEntry.objects.exclude(month=None).order_by("pk").values_list("month", flat=True).first()
