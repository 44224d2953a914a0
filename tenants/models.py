"""Who is calling, what they may have, and what they have used."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, NoReturn
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from tenants import times


class Limits(models.Model):
    """Limits on creating generations; null means none. Days and months are the tenant's own."""

    NAMES: ClassVar = (
        "requests_per_minute",
        "in_flight",
        "per_day",
        "per_month",
        "seconds_per_month",
        "usd_per_month_micro",
    )

    COUNTS: ClassVar = NAMES[:-1]  # the last one is money

    requests_per_minute = models.PositiveIntegerField(null=True, blank=True, help_text="Creates a minute.")
    in_flight = models.PositiveIntegerField(null=True, blank=True, help_text="Generations that have not ended.")
    per_day = models.PositiveIntegerField(null=True, blank=True, help_text="Generations a day.")
    per_month = models.PositiveIntegerField(null=True, blank=True, help_text="Generations a month.")
    seconds_per_month = models.PositiveIntegerField(null=True, blank=True, help_text="Seconds of video a month.")
    usd_per_month_micro = models.PositiveBigIntegerField(
        "micro-USD per month", null=True, blank=True, help_text="Millionths of a dollar a month."
    )

    class Meta:
        abstract = True

    @property
    def limits(self) -> dict[str, int | None]:
        return {name: getattr(self, name) for name in self.NAMES}


@cache
def known_time_zones() -> set[str]:
    """Read once: they are hundreds of files."""
    return available_timezones()


def check_time_zone(name: str) -> None:
    if name not in known_time_zones():
        raise ValidationError(f"{name!r} is not a time zone's name, such as UTC or Europe/Berlin.")


class Tenant(Limits):
    class OnDoubt(models.TextChoices):
        HOLD = "hold", "hold: ops find out"
        FAIL = "fail", "fail: at once, its hold released"
        RESUBMIT = "resubmit", "resubmit: once more, which may pay twice"

    WANTS: ClassVar = ("on_doubt", "submit_deadline", "video_days", "input_days")  # how its generations are treated

    is_authenticated = True  # a view's `request.user` is its tenant, and REST framework's own permissions ask for it

    name = models.CharField(max_length=100, unique=True)
    time_zone = models.CharField(
        max_length=50, default="UTC", validators=[check_time_zone], help_text="In which its days and months begin."
    )
    on_doubt = models.CharField(
        max_length=10,
        choices=OnDoubt.choices,
        default=OnDoubt.HOLD,
        db_default=OnDoubt.HOLD.value,
        help_text="Where a submit's answer is lost: it may or may not have been paid for.",
    )
    submit_deadline = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Seconds that a generation waits for an upstream that takes none; empty: SUBMIT_DEADLINE.",
    )
    video_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Days for which its videos are kept; 0: for ever; empty: VIDEO_DAYS."
    )
    input_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Days for which its pictures are kept after they were last used; 0: for ever; empty: INPUT_DAYS.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    suspended_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


def every_scope() -> list[str]:
    return list(ApiKey.Scope.values)


class ApiKey(Limits):
    """Only the digest is kept: the key itself is shown once, when it is made. Its own limits cap this key alone."""

    class Scope(models.TextChoices):
        WRITE = "generations:write"
        READ = "generations:read"
        USAGE = "usage:read"
        WEBHOOKS = "webhooks:manage"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="keys")
    prefix = models.CharField(max_length=40, unique=True)
    digest = models.CharField(max_length=64)
    label = models.CharField(max_length=100, blank=True)
    test = models.BooleanField(default=False, help_text="Its generations go to the sandbox and cost nothing.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    scopes = models.JSONField(default=every_scope, help_text="What it may do.")
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To the minute.")

    def __str__(self) -> str:
        return self.prefix

    @property
    def is_usable(self) -> bool:
        """Whether it may be used now: it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())


class Window(models.Model):
    """How much a tenant, or one of its keys, used in one stretch of time: a cache of the ledger, never the truth.

    A new month is a new row, not a reset; `in_flight` has one row for ever, starting at the epoch.
    """

    class Kind(models.TextChoices):
        REQUESTS_PER_MINUTE = "requests_per_minute"
        IN_FLIGHT = "in_flight"
        PER_DAY = "per_day"
        PER_MONTH = "per_month"
        SECONDS_PER_MONTH = "seconds_per_month"
        USD_PER_MONTH = "usd_per_month"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="windows")
    api_key = models.ForeignKey(
        ApiKey, on_delete=models.PROTECT, null=True, related_name="windows", help_text="None: the whole tenant's."
    )
    kind = models.CharField(max_length=30, choices=Kind.choices)
    starts_at = models.DateTimeField()
    used = models.BigIntegerField(default=0, help_text="A count, or micro-USD for usd_per_month.")

    class Meta:
        constraints = [
            # An expression, since two NULLs are never equal: it holds for the tenant's own windows too.
            models.UniqueConstraint(
                "tenant", "kind", "starts_at", Coalesce("api_key", 0), name="one_row_a_window_and_holder"
            ),
            models.CheckConstraint(condition=Q(used__gte=0), name="window_never_gives_back_more_than_it_took"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} from {times.readable(self.starts_at)}"


class AppendOnlyQuerySet(models.QuerySet[Any]):
    def update(self, **columns: Any) -> NoReturn:
        raise TypeError(f"{self.model.__name__} is append-only")

    def delete(self) -> NoReturn:
        raise TypeError(f"{self.model.__name__} is append-only")


class AppendOnly(models.Model):
    """Rows are written once: what was wrong is set right by another row."""

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **options: Any) -> None:
        if not self._state.adding:
            raise TypeError(f"{type(self).__name__} is append-only")
        super().save(*args, **options)

    def delete(self, *args: Any, **options: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is append-only")


class LedgerEntry(AppendOnly):
    """What was held, captured and released for each generation, and what was set right by hand."""

    class Kind(models.TextChoices):
        HOLD = "hold"
        CAPTURE = "capture"
        RELEASE = "release"
        ADJUST = "adjust"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="ledger")
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+")
    test = models.BooleanField(default=False, help_text="Made with a test key: on no bill.")
    generation_id = models.UUIDField(null=True, help_text="None where it was set right by hand.")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    amount_micro = models.BigIntegerField(help_text="Millionths of a US dollar.")
    item = models.CharField(max_length=80, blank=True, help_text="What was bought, as a bill names it.")
    seconds = models.PositiveIntegerField(default=0, help_text="Of video.")
    month = models.DateField(null=True, help_text="The first day of the tenant's month whose bill it is on.")
    # [kind, start, amount] of each window that it changes: a release credits the very windows of its hold.
    # A hold's are charged to the tenant, where it is no test, and to the key.
    windows = models.JSONField(default=list)
    reason = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="only_an_adjustment_has_no_generation", condition=Q(kind="adjust") | Q(generation_id__isnull=False)
            ),
            models.UniqueConstraint(
                fields=["generation_id", "kind"], condition=~Q(kind="adjust"), name="ledger_each_kind_once"
            ),
            models.UniqueConstraint(
                fields=["generation_id"],
                condition=Q(kind__in=["capture", "release"]),
                name="ledger_capture_or_release_never_both",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "at"], name="ledger_by_tenant"),
            models.Index(fields=["tenant", "month"], name="ledger_by_bill"),
        ]
        verbose_name_plural = "ledger entries"

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_micro}"


class AuditEntry(AppendOnly):
    """One act of ops on a tenant or a key: who, when, what and why. Written in the transaction of the act."""

    at = models.DateTimeField(default=timezone.now)
    actor = models.CharField(max_length=150, help_text="A user of the panel, or shell:NAME.")
    action = models.CharField(max_length=40)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="audit")
    target = models.CharField(max_length=200, help_text="The tenant's name, or a key's prefix.")
    changes = models.JSONField(default=dict, help_text="What it was and what it became.")
    reason = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "-at"], name="audit_by_tenant")]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.action} {self.target}"
