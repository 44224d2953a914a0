"""Usage windows with their counters."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce

from tenants import times
from tenants.models.tenants import ApiKey, Tenant


class Window(models.Model):
    """A usage window and its counter: what a tenant, or one of its keys, used in it. A cache of the ledger.

    A new month is a new row, not a reset. `in_flight` has one row for ever, which starts at the epoch.
    """

    class Kind(models.TextChoices):
        """The kinds of windows, one for each limit."""

        REQUESTS_PER_MINUTE = "requests_per_minute"
        IN_FLIGHT = "in_flight"
        PER_DAY = "per_day"
        PER_MONTH = "per_month"
        SECONDS_PER_MONTH = "seconds_per_month"
        USD_PER_MONTH = "usd_per_month"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="windows")
    api_key = models.ForeignKey(
        ApiKey,
        on_delete=models.PROTECT,
        null=True,
        related_name="windows",
        help_text="Empty: the window of the whole tenant.",
    )
    kind = models.CharField(max_length=30, choices=Kind.choices)
    starts_at = models.DateTimeField()
    used = models.BigIntegerField(default=0, help_text="A count, or micro-USD for usd_per_month.")

    class Meta:
        constraints = [
            # By an expression, since two NULLs are never equal: so the tenant's own windows are unique too.
            models.UniqueConstraint(
                "tenant", "kind", "starts_at", Coalesce("api_key", 0), name="one_row_a_window_and_holder"
            ),
            models.CheckConstraint(condition=Q(used__gte=0), name="window_never_gives_back_more_than_it_took"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} from {times.readable(self.starts_at)}"
