"""Webhook endpoints, signing secrets, deliveries and their attempts.

`webhooks.endpoints` writes the endpoints, `webhooks.outbox` inserts deliveries and `webhooks.deliveries` updates them.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from generations import ids
from generations.models.generation import Generation
from generations.models.indexes import NEWEST_FIRST, TENANT_AND_MODE
from tenants import masked_urls
from tenants.db import clock
from tenants.models import Tenant

IS_DUE, IS_OWN_WEBHOOK = Q(due_at__isnull=False), Q(endpoint=None)


class SigningSecret(models.Model):
    """An encrypted secret that signs deliveries. While it is rotated, the previous secret signs too."""

    secret = models.TextField()
    previous_secret = models.TextField(blank=True)
    previous_until = models.DateTimeField(null=True)
    tenant_id: int  # both subclasses have a tenant
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        abstract = True


class WebhookSecret(SigningSecret):
    """A tenant's secret that signs deliveries to the `webhook_url` of a generation."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    test = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "test"], name="one_webhook_secret_a_tenant")]

    def __str__(self) -> str:
        return f"webhook secret of {self.tenant_id}"


class WebhookEndpoint(SigningSecret):
    """A tenant's registered receiver of events, either of live generations or of test generations."""

    id = models.UUIDField(primary_key=True, default=ids.new, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="webhook_endpoints", db_index=False)
    test = models.BooleanField(default=False)
    url = models.TextField()
    description = models.CharField(max_length=200, blank=True)
    events = models.JSONField(
        default=list, help_text="The event types that are sent. Empty: all, except generation.running."
    )
    failing_since = models.DateTimeField(null=True, help_text="The time of the first failure after the last success.")
    disabled_at = models.DateTimeField(null=True)
    disabled_reason = models.CharField(max_length=200, blank=True)
    deleted_at = models.DateTimeField(null=True, help_text="The deliveries stay in the log.")

    class Meta:
        indexes = [
            # Serves the list of endpoints, and each transition that is published.
            models.Index(fields=["tenant", "test", "id"], name="webhook_endpoint_by_tenant"),
            # Serves the worker run, which reads the due delivery of each enabled endpoint. Many may be deleted.
            models.Index(
                fields=["id"], condition=Q(disabled_at=None, deleted_at=None), name="webhook_endpoint_enabled"
            ),
        ]

    def __str__(self) -> str:
        return masked_urls.mask_urls(self.url)


class Delivery(models.Model):
    """An event for one receiver. The body and the id are the same at each attempt."""

    class Status(models.TextChoices):
        """The status of a delivery. `webhooks.deliveries` says which transitions exist."""

        PENDING = "pending"
        DELIVERED = "delivered"  # the receiver answered 2xx
        FAILED = "failed"  # the schedule has ended, or the endpoint is disabled or deleted

    id = models.UUIDField(primary_key=True, default=ids.new, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    test = models.BooleanField()
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.PROTECT, null=True, related_name="deliveries", db_index=False
    )
    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, null=True, related_name="deliveries")
    url = models.TextField(
        blank=True, help_text="The URL of the generation's own webhook. Empty: the URL of the endpoint."
    )
    format = models.CharField(max_length=10, choices=Generation.WebhookFormat.choices, default="standard")
    message_id = models.CharField(max_length=80, help_text="The id of the event, the same for every receiver.")
    type = models.CharField(max_length=50)
    body = models.TextField(
        blank=True, help_text="Empty in Novita's format: the body is rendered at each attempt, with a signed URL."
    )
    created_at = models.DateTimeField(default=clock.now)

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    due_at = models.DateTimeField(null=True)
    fencing_token = models.PositiveIntegerField(db_column="turn", default=0, help_text="Counts the claims.")
    attempts = models.PositiveIntegerField(
        default=0, help_text="Attempts of the present schedule. A redelivery starts a new schedule."
    )
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
            # Serve the worker run: whether any delivery is due, the oldest delivery of an endpoint, and the untried and
            # the failed deliveries of a tenant's own webhooks. A backlog makes no query slower.
            models.Index(fields=["due_at"], condition=IS_DUE, name="delivery_due"),
            models.Index(fields=["endpoint", "due_at"], condition=IS_DUE, name="delivery_due_by_endpoint"),
            models.Index(
                fields=["tenant", "due_at"],
                condition=IS_DUE & IS_OWN_WEBHOOK & Q(attempts=0),
                name="delivery_own_first",
            ),
            models.Index(
                fields=["tenant", "due_at"],
                condition=IS_DUE & IS_OWN_WEBHOOK & Q(attempts__gt=0),
                name="delivery_own_retry",
            ),
            # Serves the search by operators: a receiver knows the message id.
            models.Index(fields=["message_id"], name="delivery_by_message"),
            # Serve the delivery log, without a filter and by each filter. The foreign key's index serves the filter by
            # generation.
            models.Index(*TENANT_AND_MODE, *NEWEST_FIRST, name="delivery_by_tenant"),
            models.Index(*TENANT_AND_MODE, "status", *NEWEST_FIRST, name="delivery_by_status"),
            models.Index(F("endpoint"), *NEWEST_FIRST, name="delivery_by_endpoint"),
        ]

    def __str__(self) -> str:
        return self.message_id


class DeliveryAttempt(models.Model):
    """A POST to a receiver and its outcome. The receiver's answer is never stored."""

    class Outcome(models.TextChoices):
        """The outcome of an attempt."""

        DELIVERED = "delivered"  # a 2xx
        REFUSED = "refused"  # any other answer; a redirect is not followed
        THROTTLED = "throttled"  # 429, 502, 503 or 504: a Retry-After header is honoured
        GONE = "gone"  # 410: the receiver accepts no more deliveries
        UNREACHABLE = "unreachable"  # no answer within the deadline
        BLOCKED = "blocked"  # the URL, or the address behind it, may not be called
        INTERNAL_ERROR = "internal_error"  # an error of this service, not of the receiver

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="log")
    at = models.DateTimeField(default=clock.now)
    milliseconds = models.PositiveIntegerField()
    status_code = models.PositiveSmallIntegerField(null=True, help_text="Empty if no answer came.")
    outcome = models.CharField(max_length=20, choices=Outcome.choices)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.outcome} {self.status_code or ''}".strip()
