"""Warnings that a limit is used up to a share of it. `ops.limit_warnings` writes them."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce

from tenants.db import clock
from tenants.models import ApiKey, Tenant, Window


class LimitWarning(models.Model):
    """A share of a limit that a tenant or a key has used in one window: each share once."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    api_key = models.ForeignKey(
        ApiKey, on_delete=models.PROTECT, null=True, related_name="+", help_text="Empty: a limit of the whole tenant."
    )
    kind = models.CharField(max_length=30, choices=Window.Kind.choices)
    starts_at = models.DateTimeField(help_text="When the window began.")
    ends_at = models.DateTimeField(help_text="When the window ends, and the limit begins again.")
    percent = models.PositiveSmallIntegerField(help_text="The share of the limit that was reached.")
    used = models.BigIntegerField(help_text="A count, seconds, or micro-USD, when the warning was written.")
    limit = models.BigIntegerField(help_text="The limit at that time, in the same unit.")
    at = models.DateTimeField(default=clock.now)
    mail_due_at = models.DateTimeField(null=True, help_text="When its e-mail is to be sent. Empty: sent, or none.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "tenant", Coalesce("api_key", 0), "kind", "starts_at", "percent", name="a_share_is_warned_of_once"
            )
        ]
        indexes = [
            models.Index(fields=["ends_at"], name="limit_warning_by_end"),  # the dashboard shows those of now
            models.Index(fields=["mail_due_at"], condition=Q(mail_due_at__isnull=False), name="limit_warning_to_mail"),
        ]

    def __str__(self) -> str:
        return f"{self.percent} % of {self.kind}"
