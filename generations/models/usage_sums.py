"""Sums over finished generations, so that a tenant's usage is read without its history.

`generations/reports/usage_sums.py` writes them.
"""

from django.db import models
from django.db.models.functions import Coalesce

from generations.models.generation import Generation
from tenants import times
from tenants.models import ApiKey, Tenant


class UsageSum(models.Model):
    """The finished generations of one tenant, mode, day, key, model, resolution and status, added up."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    test = models.BooleanField()
    day = models.DateField(help_text="The day on which they were accepted, in the time zone of the state.")
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    model = models.CharField(max_length=50)
    resolution = models.CharField(max_length=10, null=True)
    status = models.CharField(max_length=12, choices=Generation.Status.choices)
    generations = models.PositiveBigIntegerField()
    seconds = models.PositiveBigIntegerField(help_text="Seconds of video requested.")
    micro = models.PositiveBigIntegerField(help_text="Micro-USD charged, or the price where nothing was.")

    class Meta:
        constraints = [
            # The index of this constraint finds the days of a tenant and mode. Two NULLs are never equal: hence the
            # expressions.
            models.UniqueConstraint(
                "tenant",
                "test",
                "day",
                Coalesce("api_key", 0),
                "model",
                Coalesce("resolution", models.Value("")),
                "status",
                name="usage_is_summed_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.generations} {self.status} on {self.day}"


class UsageSumState(models.Model):
    """How far the sums of one tenant go: what finished before `until` is in them, by days of `time_zone`."""

    tenant = models.OneToOneField(Tenant, on_delete=models.PROTECT, primary_key=True, related_name="usage_sum_state")
    time_zone = models.CharField(max_length=50)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"sums until {times.readable(self.until)}"
