"""Ledger entries and audit entries: rows that are never changed."""

from typing import Any, NoReturn

from django.db import models
from django.db.models import Q

from tenants.db import clock
from tenants.models.tenants import ApiKey, Tenant


class AppendOnlyQuerySet(models.QuerySet[Any]):
    """A query whose rows can be neither changed nor deleted."""

    def update(self, **columns: Any) -> NoReturn:
        """Raise TypeError."""
        raise TypeError(f"{self.model.__name__} is append-only")

    def delete(self) -> NoReturn:
        """Raise TypeError."""
        raise TypeError(f"{self.model.__name__} is append-only")


class AppendOnly(models.Model):
    """A row that is written once, and corrected by another row."""

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **options: Any) -> None:
        """Insert the row. Raise TypeError for a row that is stored already."""
        if not self._state.adding:
            raise TypeError(f"{type(self).__name__} is append-only")
        super().save(*args, **options)

    def delete(self, *args: Any, **options: Any) -> NoReturn:
        """Raise TypeError."""
        raise TypeError(f"{type(self).__name__} is append-only")


class LedgerEntry(AppendOnly):
    """A ledger entry: a hold, capture or release of a generation's price, or an adjustment by an operator."""

    class Kind(models.TextChoices):
        """The kinds of entries."""

        HOLD = "hold"
        CAPTURE = "capture"
        RELEASE = "release"
        ADJUST = "adjust"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="ledger")
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+")
    test = models.BooleanField(default=False, help_text="Created with a test key: on no bill.")
    generation_id = models.UUIDField(null=True, help_text="Empty for an adjustment.")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    amount_micro = models.BigIntegerField(help_text="Millionths of a US dollar.")
    item = models.CharField(max_length=80, blank=True, help_text="What was bought, as the bill names it.")
    seconds = models.PositiveIntegerField(default=0, help_text="Seconds of video.")
    account = models.CharField(
        max_length=20,
        blank=True,
        db_default="",
        help_text="The upstream account that the last attempt went to, of a capture or release.",
    )
    month = models.DateField(null=True, help_text="First day of the month whose bill has the entry.")
    # [kind, start, amount] of each window that the entry charges. A release gives back to the windows of its hold. A
    # hold charges the windows of the key and, unless it is a test, those of the tenant.
    windows = models.JSONField(default=list)
    reason = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(default=clock.now)

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
            models.Index(fields=["at", "id"], name="ledger_by_time"),
        ]
        verbose_name_plural = "ledger entries"

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_micro}"


class AuditEntry(AppendOnly):
    """An audit entry: the actor, time, action, changes and reason. It is written in the transaction of the action."""

    at = models.DateTimeField(default=clock.now)
    actor = models.CharField(max_length=150, help_text="A user of the panel, shell:NAME, or key:PREFIX.")
    action = models.CharField(max_length=40)
    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.PROTECT,
        null=True,
        related_name="audit",
        help_text="Empty for an action that concerns no tenant, or all of them.",
    )
    target = models.CharField(max_length=200, help_text="Name of the tenant, prefix of the key, or id of the row.")
    changes = models.JSONField(default=dict, help_text="Values before and after the action.")
    reason = models.TextField(blank=True)
    form_token = models.CharField(
        max_length=100, null=True, editable=False, help_text="The token of the panel's form: a form acts once."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["form_token"], condition=Q(form_token__isnull=False), name="a_form_acts_once"
            )
        ]
        indexes = [models.Index(fields=["tenant", "-at"], name="audit_by_tenant")]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.action} {self.target}"
