"""The books of an account at an upstream: its balance, its hourly bills, and the model that each billed product is.

`ops.upstream_books` writes them, `reports.bill_comparison` compares the bills with the ledger.
"""

from django.db import models

from tenants import times
from tenants.db import clock


class UpstreamBooks(models.Model):
    """The money of one account, and how far its bills were read."""

    account = models.CharField(max_length=20, primary_key=True)
    available_micro = models.BigIntegerField(null=True, help_text="Micro-USD that can be spent there.")
    balance = models.JSONField(default=dict, help_text="The upstream's answer about the balance.")
    balance_at = models.DateTimeField(null=True, help_text="When the balance was read.")
    daily_micro = models.BigIntegerField(
        null=True, help_text="Micro-USD spent a day, the mean of the last seven days: by the bills, or by the ledger."
    )
    daily_at = models.DateTimeField(null=True, help_text="When that mean was computed.")
    first_hour = models.DateTimeField(help_text="The first hour whose bills are stored.")
    bills_until = models.DateTimeField(help_text="The bills of the hours before were read.")
    checked_until = models.DateTimeField(
        help_text="The bills of the hours before were read again after the end of their month."
    )
    bills_at = models.DateTimeField(null=True, help_text="When bills were last read.")
    difference_micro = models.BigIntegerField(
        default=0, help_text="Micro-USD by which bills and ledger differ, over the last 24 hours that were read."
    )
    differs_since = models.DateTimeField(null=True, help_text="When the difference was first seen.")
    error = models.TextField(blank=True, help_text="Why the last call came to nothing.")
    failing_since = models.DateTimeField(null=True)
    failures = models.PositiveSmallIntegerField(
        default=0, help_text="In a row; each doubles the time to the next call."
    )
    next_call_at = models.DateTimeField(default=clock.now, help_text="No host calls before.")

    class Meta:
        verbose_name = verbose_name_plural = "upstream books"

    def __str__(self) -> str:
        return self.account

    @property
    def days_left(self) -> float | None:
        """The days that the balance lasts at the present spend; None if nothing is spent, or nothing known."""
        if self.available_micro is None or not self.daily_micro:
            return None
        return max(self.available_micro, 0) / self.daily_micro


class UpstreamBill(models.Model):
    """The bill of one product, key and hour, as it was last read."""

    account = models.CharField(max_length=20)
    hour = models.DateTimeField(help_text="When the hour begins, in UTC.")
    product = models.CharField(max_length=200)
    owner = models.CharField("key", max_length=200, blank=True, help_text="The id of the key at the upstream.")
    amount_micro = models.BigIntegerField(help_text="Micro-USD, with what vouchers paid.")
    units = models.BigIntegerField(null=True, help_text="Calls, seconds or tokens; the upstream does not say which.")
    rows = models.JSONField(default=list, help_text="The upstream's own rows.")
    read_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "hour", "product", "owner"], name="an_hour_is_billed_once")
        ]

    def __str__(self) -> str:
        return f"{self.product} at {times.readable(self.hour)}"


class BilledProduct(models.Model):
    """A product that was on a bill, and the model whose videos it bills."""

    account = models.CharField(max_length=20)
    product = models.CharField(max_length=200)
    model = models.CharField(max_length=50, blank=True, help_text="Empty: not known.")
    is_ours = models.BooleanField("compared", default=True, help_text="No: others use it with the same account.")
    seen_at = models.DateTimeField("first seen", default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "product"], name="a_product_is_known_once")]

    def __str__(self) -> str:
        return self.product
