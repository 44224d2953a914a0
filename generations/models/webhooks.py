"""Who is told of what, and how far the telling is. endpoints.py writes the endpoints, deliveries.py the deliveries."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from generations import ids
from generations.models.generation import NEWEST_FIRST, OF_A_TENANT, Generation
from tenants.models import Tenant

DUE, OWN = Q(due_at__isnull=False), Q(endpoint=None)


class SigningSecret(models.Model):
    """A secret that deliveries are signed with, encrypted; while it is rotated, the one before signs too."""

    secret = models.TextField()
    previous_secret = models.TextField(blank=True)
    previous_until = models.DateTimeField(null=True)
    tenant_id: int  # both kinds have a tenant
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True


class WebhookSecret(SigningSecret):
    """What signs the deliveries to the `webhook_url` of a single generation."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    test = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "test"], name="one_webhook_secret_a_tenant")]

    def __str__(self) -> str:
        return f"webhook secret of {self.tenant_id}"


class WebhookEndpoint(SigningSecret):
    """Where a tenant is told of its generations: of live ones, or of those of its test keys."""

    id = models.UUIDField(primary_key=True, default=ids.new, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="webhook_endpoints", db_index=False)
    test = models.BooleanField(default=False)
    url = models.TextField()
    description = models.CharField(max_length=200, blank=True)
    events = models.JSONField(default=list, help_text="The types that it is told of; empty: all.")
    failing_since = models.DateTimeField(null=True, help_text="The first failure since the last success.")
    disabled_at = models.DateTimeField(null=True)
    disabled_reason = models.CharField(max_length=200, blank=True)
    deleted_at = models.DateTimeField(null=True, help_text="Its deliveries stay in the log.")

    class Meta:
        indexes = [
            # Serves its list, and each move that may be told of.
            models.Index(fields=["tenant", "test", "id"], name="webhook_endpoint_by_tenant"),
            # Serves the sweep, which asks each of these for what is due: of deleted ones there may be many.
            models.Index(
                fields=["id"], condition=Q(disabled_at=None, deleted_at=None), name="webhook_endpoint_enabled"
            ),
        ]

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    """One event on its way to one receiver. Its body is frozen, its id is the same at each attempt."""

    class Status(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"  # a 2xx came
        FAILED = "failed"  # the schedule is at its end, or the endpoint is gone

    id = models.UUIDField(primary_key=True, default=ids.new, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    test = models.BooleanField()
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.PROTECT, null=True, related_name="deliveries", db_index=False
    )
    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, null=True, related_name="deliveries")
    url = models.TextField(blank=True, help_text="Of the generation's own webhook; empty: the endpoint's.")
    format = models.CharField(max_length=10, choices=Generation.WebhookFormat.choices, default="standard")
    message_id = models.CharField(max_length=80, help_text="The same for every receiver of one event.")
    type = models.CharField(max_length=50)
    body = models.TextField(blank=True, help_text="Novita's is made at each attempt: it holds a signed URL.")
    created_at = models.DateTimeField(default=timezone.now)

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    due_at = models.DateTimeField(null=True)
    fencing_token = models.PositiveIntegerField(db_column="turn", default=0, help_text="Grows with each claim.")
    attempts = models.PositiveIntegerField(default=0, help_text="Of the schedule; a redelivery begins it anew.")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.CheckConstraint(
                name="a_pending_delivery_is_due",
                condition=Q(status="pending", due_at__isnull=False, finished_at=None)
                | Q(status__in=["delivered", "failed"], due_at=None, finished_at__isnull=False),
            ),
            models.UniqueConstraint(fields=["endpoint", "message_id"], name="an_endpoint_is_told_once"),
            models.UniqueConstraint(
                fields=["message_id"], condition=Q(endpoint=None), name="a_generations_own_webhook_is_told_once"
            ),
        ]
        indexes = [
            # Serve the sweep: whether any are due, the oldest of an endpoint, and of the generations' own webhooks of a
            # tenant those that were never tried and those that failed. A backlog costs a look nothing.
            models.Index(fields=["due_at"], condition=DUE, name="delivery_due"),
            models.Index(fields=["endpoint", "due_at"], condition=DUE, name="delivery_due_by_endpoint"),
            models.Index(fields=["tenant", "due_at"], condition=DUE & OWN & Q(attempts=0), name="delivery_own_first"),
            models.Index(
                fields=["tenant", "due_at"], condition=DUE & OWN & Q(attempts__gt=0), name="delivery_own_retry"
            ),
            # What a receiver knows of one, where ops look it up.
            models.Index(fields=["message_id"], name="delivery_by_message"),
            # Serve the log, whole and by its filters; that by generation has the foreign key's.
            models.Index(*OF_A_TENANT, *NEWEST_FIRST, name="delivery_by_tenant"),
            models.Index(*OF_A_TENANT, "status", *NEWEST_FIRST, name="delivery_by_status"),
            models.Index(F("endpoint"), *NEWEST_FIRST, name="delivery_by_endpoint"),
        ]

    def __str__(self) -> str:
        return self.message_id


class DeliveryAttempt(models.Model):
    """One POST to a receiver, and what came of it: never what the receiver said."""

    class Outcome(models.TextChoices):
        DELIVERED = "delivered"  # a 2xx
        REFUSED = "refused"  # any other answer; a redirect is not followed
        THROTTLED = "throttled"  # 429, 502, 503 or 504: it may say when to come again
        GONE = "gone"  # 410: it wants no more of them
        UNREACHABLE = "unreachable"  # no answer came in time
        BLOCKED = "blocked"  # its URL, or the address behind it, may not be called
        INTERNAL_ERROR = "internal_error"  # ours: the receiver is not to blame

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="log")
    at = models.DateTimeField(default=timezone.now)
    milliseconds = models.PositiveIntegerField()
    status_code = models.PositiveSmallIntegerField(null=True, help_text="None: no answer came.")
    outcome = models.CharField(max_length=20, choices=Outcome.choices)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.outcome} {self.status_code or ''}".strip()
