"""Counts of refused creates."""

from django.db import models

from tenants.models.tenants import ApiKey, Tenant
from tenants.models.windows import Window


class RefusalCount(models.Model):
    """The number of creates that a limit refused to a key in one hour. A statistic: no admission reads it."""

    SUSPENDED = "suspended"
    LIMIT_NAMES = [*Window.Kind.choices, (SUSPENDED, "Suspended")]

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="+", db_index=False)
    limit_name = models.CharField(
        max_length=30, choices=LIMIT_NAMES, help_text="The limit that was reached, or the tenant's suspension."
    )
    hour = models.DateTimeField(help_text="Start of the hour.")
    refused = models.BigIntegerField(help_text="Creates that were refused.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "api_key", "limit_name", "hour"], name="one_count_of_a_limit_and_hour"
            )
        ]
        indexes = [models.Index(fields=["hour"], name="refusals_by_hour")]
        verbose_name_plural = "refused creates"

    def __str__(self) -> str:
        return f"{self.refused} by {self.limit_name}"
