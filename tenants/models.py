"""Who is calling, what they may have, and what they have used."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class Limits(models.Model):
    """Limits on creating generations; null means none."""

    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    in_flight = models.PositiveIntegerField(null=True, blank=True, help_text="Generations that have not ended.")
    per_day = models.PositiveIntegerField(null=True, blank=True, help_text="Generations a day, UTC.")
    per_month = models.PositiveIntegerField(null=True, blank=True, help_text="Generations a month, UTC.")
    usd_per_month_micro = models.PositiveBigIntegerField(
        "micro-USD per month", null=True, blank=True, help_text="Millionths of a dollar a month, UTC."
    )

    class Meta:
        abstract = True


class Tenant(Limits):
    name = models.CharField(max_length=100, unique=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    suspended_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


def every_scope() -> list[str]:
    return list(ApiKey.Scope.values)


class ApiKey(models.Model):
    """Only the digest is kept: the key itself is shown once, when it is made."""

    class Scope(models.TextChoices):
        WRITE = "generations:write"
        READ = "generations:read"
        USAGE = "usage:read"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="keys")
    prefix = models.CharField(max_length=40, unique=True)
    digest = models.CharField(max_length=64)
    label = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    scopes = models.JSONField(default=every_scope, help_text="What it may do.")
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To the minute.")

    def __str__(self) -> str:
        return self.prefix


class Window(models.Model):
    """How much of one limit is used in one stretch of time: a cache of the ledger, never the truth.

    A new month is a new row, not a reset; `in_flight` has one row for ever, starting at the epoch.
    """

    class Kind(models.TextChoices):
        REQUESTS_PER_MINUTE = "requests_per_minute"
        IN_FLIGHT = "in_flight"
        PER_DAY = "per_day"
        PER_MONTH = "per_month"
        USD_PER_MONTH = "usd_per_month"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="windows")
    kind = models.CharField(max_length=30, choices=Kind.choices)
    starts_at = models.DateTimeField()
    used = models.BigIntegerField(default=0, help_text="A count, or micro-USD for usd_per_month.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "kind", "starts_at"], name="one_row_a_window"),
            models.CheckConstraint(condition=Q(used__gte=0), name="window_never_gives_back_more_than_it_took"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} from {self.starts_at:%Y-%m-%d %H:%M}"


class LedgerEntry(models.Model):
    """Append-only: what was held, captured and released for each generation."""

    class Kind(models.TextChoices):
        HOLD = "hold"
        CAPTURE = "capture"
        RELEASE = "release"
        ADJUST = "adjust"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="ledger")
    generation_id = models.UUIDField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    amount_micro = models.BigIntegerField(help_text="Millionths of a US dollar.")
    # On a hold: [kind, start, amount] of each window charged, so that a release credits those very windows.
    windows = models.JSONField(default=list)
    reason = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["generation_id", "kind"], condition=~Q(kind="adjust"), name="ledger_each_kind_once"
            ),
            models.UniqueConstraint(
                fields=["generation_id"],
                condition=Q(kind__in=["capture", "release"]),
                name="ledger_capture_or_release_never_both",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "at"], name="ledger_by_tenant")]
        verbose_name_plural = "ledger entries"

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_micro}"
