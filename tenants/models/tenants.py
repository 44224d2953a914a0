"""Tenants and their API keys, with the limits of both."""

from __future__ import annotations

from functools import cache
from typing import ClassVar
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError
from django.db import models

from tenants.db import clock


class Limits(models.Model):
    """The limits of a tenant or of a key; null means unlimited. Days and months begin in the tenant's time zone."""

    NAMES: ClassVar = (
        "requests_per_minute",
        "in_flight",
        "per_day",
        "per_month",
        "seconds_per_month",
        "usd_per_month_micro",
    )

    COUNTS: ClassVar = NAMES[:-1]  # the last one is money

    requests_per_minute = models.PositiveIntegerField(null=True, blank=True, help_text="Create requests per minute.")
    in_flight = models.PositiveIntegerField(null=True, blank=True, help_text="Generations in progress at one time.")
    per_day = models.PositiveIntegerField(null=True, blank=True, help_text="Generations per day.")
    per_month = models.PositiveIntegerField(null=True, blank=True, help_text="Generations per month.")
    seconds_per_month = models.PositiveIntegerField(null=True, blank=True, help_text="Seconds of video per month.")
    usd_per_month_micro = models.PositiveBigIntegerField(
        "micro-USD per month", null=True, blank=True, help_text="Millionths of a US dollar per month."
    )

    class Meta:
        abstract = True

    @property
    def limits(self) -> dict[str, int | None]:
        """All limits by name, None for an unlimited one."""
        return {name: getattr(self, name) for name in self.NAMES}


class AllowLists(models.Model):
    """The models that a tenant or a key may use, and the networks that it may be used from. An empty list is all."""

    ALLOW_LISTS: ClassVar = ("allowed_models", "allowed_networks")

    allowed_models = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text="Ids of the models that may be used; empty: all.",
    )
    allowed_networks = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text="Networks that keys may be used from, such as 192.0.2.0/24 and 2001:db8::/32; empty: all.",
    )

    class Meta:
        abstract = True

    @property
    def allow_lists(self) -> dict[str, list[str]]:
        """Both lists by name."""
        return {name: getattr(self, name) for name in self.ALLOW_LISTS}


@cache
def time_zone_names() -> set[str]:
    """Return the names of all time zones, read once from hundreds of files."""
    return available_timezones()


def check_time_zone(name: str) -> None:
    """Raise ValidationError for a text that is no time zone's name."""
    if name not in time_zone_names():
        raise ValidationError(f"{name!r} is not a time zone's name, such as UTC or Europe/Berlin.")


class Tenant(Limits, AllowLists):
    """A service or team whose requests, limits and bill are separate from all others."""

    class OnDoubt(models.TextChoices):
        """The policies for a generation in doubt, after the upstream's answer to a submission was lost."""

        HOLD = "hold", "hold: an operator decides"
        FAIL = "fail", "fail: fail at once and release the hold"
        RESUBMIT = "resubmit", "resubmit: submit once more, which may pay twice"

    GENERATION_POLICY_FIELDS: ClassVar = ("on_doubt", "submit_deadline", "video_days", "input_days")

    is_authenticated = True  # REST framework's own permissions read it of `request.user`, which is the tenant

    name = models.CharField(max_length=100, unique=True)
    time_zone = models.CharField(
        max_length=50,
        default="UTC",
        validators=[check_time_zone],
        help_text="Time zone in which the tenant's days and months begin.",
    )
    on_doubt = models.CharField(
        max_length=10,
        choices=OnDoubt.choices,
        default=OnDoubt.HOLD,
        db_default=OnDoubt.HOLD.value,
        help_text="What happens to a generation in doubt, whose submission may or may not have been paid for.",
    )
    submit_deadline = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Seconds for which a generation waits while the upstream accepts none; empty: SUBMIT_DEADLINE.",
    )
    video_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Days for which videos are stored; 0: for ever; empty: VIDEO_DAYS."
    )
    input_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Days for which input images are stored after their last use; 0: for ever; empty: INPUT_DAYS.",
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)
    suspended_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> ZoneInfo:
        """The tenant's time zone."""
        return ZoneInfo(self.time_zone)


def every_scope() -> list[str]:
    """Return all scopes, the default of a new key."""
    return list(ApiKey.Scope.values)


class ApiKey(Limits, AllowLists):
    """An API key of a tenant. Only the digest is stored: the key's text is shown once, when the key is created.

    The key's limits and lists apply to this key alone, in addition to the tenant's.
    """

    class Scope(models.TextChoices):
        """The permissions that a key can have."""

        WRITE = "generations:write"
        READ = "generations:read"
        USAGE = "usage:read"
        WEBHOOKS = "webhooks:manage"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="keys")
    prefix = models.CharField(max_length=40, unique=True)
    digest = models.CharField(max_length=64)
    label = models.CharField(max_length=100, blank=True)
    test = models.BooleanField(default=False, help_text="Generations of a test key go to the sandbox and cost nothing.")
    created_at = models.DateTimeField(default=clock.now, editable=False)
    scopes = models.JSONField(default=every_scope, help_text="What the key may do.")
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="Precise to a minute.")

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.prefix

    @property
    def is_usable(self) -> bool:
        """True for a key that is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > clock.now())
