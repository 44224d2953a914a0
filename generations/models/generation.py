"""A generation: the request, the state, the upstream's answers and the stored video.

The schema enforces the rules of the states. `lifecycle` writes the rows.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q, Value
from django.utils import timezone

from generations import ids
from generations.models.indexes import NEWEST_FIRST, TENANT_AND_MODE
from generations.models.input_image import InputImage
from tenants.models import ApiKey, Tenant


class Generation(models.Model):
    """A requested video. The id is `task_id` in the Novita-compatible API."""

    class Status(models.TextChoices):
        """The status of a generation. `lifecycle` says which transitions exist."""

        QUEUED = "queued"  # stored, not yet sent
        SUBMITTING = "submitting"  # a paid POST may be in flight
        IN_DOUBT = "in_doubt"  # the answer to the POST was lost: the task may have been paid for
        RUNNING = "running"  # the upstream renders the video
        COPYING = "copying"  # the upstream has finished, and the video is being copied to our bucket
        SUCCEEDED = "succeeded"  # the video in our bucket was verified
        FAILED = "failed"
        CANCELLED = "cancelled"

    class SeedSource(models.TextChoices):
        """The origin of a seed: the caller, or a random draw by this service."""

        CALLER = "caller"
        DRAWN = "drawn"

    class WebhookFormat(models.TextChoices):
        """The payload that the own webhook receives."""

        STANDARD = "standard"
        NOVITA = "novita"  # the payload that Novita sends; for `extra.webhook.url`

    was_due: datetime | None = None  # the due time before the claim, set by `Engine.claim`; no column

    LIVE: ClassVar = [Status.QUEUED, Status.SUBMITTING, Status.IN_DOUBT, Status.RUNNING, Status.COPYING]
    FINISHED: ClassVar = [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED]

    id = models.UUIDField(primary_key=True, default=ids.new, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="generations", db_index=False)
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    created_at = models.DateTimeField(default=timezone.now)
    test = models.BooleanField(
        default=False, help_text="Created with a test key: rendered by the sandbox and never billed."
    )
    idempotency_key = models.CharField(
        max_length=255, null=True, help_text="The caller's key: another create with this key returns this generation."
    )
    idempotency_digest = models.CharField(
        max_length=64, blank=True, db_default="", help_text="The digest of the request that came with the key."
    )

    external_id = models.CharField(max_length=255, blank=True, db_default="", help_text="The caller's own identifier.")
    metadata = models.JSONField(default=dict, db_default=Value({}, models.JSONField()))
    rerun_of = models.UUIDField(null=True, help_text="The generation whose inputs were used again.")
    traceparent = models.CharField(
        max_length=55, blank=True, db_default="", help_text="The W3C Trace Context of the create."
    )
    webhook_url = models.TextField(
        blank=True, db_default="", help_text="Notified when the generation finishes, in addition to the endpoints."
    )
    webhook_format = models.CharField(
        max_length=10, choices=WebhookFormat.choices, default=WebhookFormat.STANDARD, db_default="standard"
    )

    # The request: enough to repeat it exactly.
    model = models.CharField(max_length=50)
    prompt = models.TextField(blank=True)
    resolution = models.CharField(max_length=10)
    aspect_ratio = models.CharField(max_length=10)
    duration = models.PositiveSmallIntegerField(help_text="Seconds.")
    camera_fixed = models.BooleanField(default=False)
    seed = models.BigIntegerField()
    seed_source = models.CharField(max_length=10, choices=SeedSource.choices)
    image_url = models.TextField(
        blank=True, help_text="The URL, if the caller sent a URL. `image` is the image behind the URL."
    )
    image = models.ForeignKey(InputImage, on_delete=models.PROTECT, null=True, related_name="+")
    last_image_url = models.TextField(blank=True)
    last_image = models.ForeignKey(InputImage, on_delete=models.PROTECT, null=True, related_name="+")
    first_eta = models.PositiveIntegerField(
        "first estimate",
        null=True,
        help_text="Seconds until the finish, as estimated at the create. A repeated create returns the same value.",
    )
    price_micro = models.BigIntegerField(help_text="The maximum price in micro-USD, fixed at admission.")

    # The state.
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.QUEUED)
    due_at = models.DateTimeField(
        null=True, help_text="The time of the next step. Empty if the generation is finished."
    )
    fencing_token = models.PositiveIntegerField(
        db_column="turn", default=0, help_text="Counts the claims. A worker with an older number writes nothing."
    )
    consecutive_failures = models.PositiveIntegerField(
        db_column="tries", default=0, help_text="How often the present step has failed in a row."
    )
    progress_percent = models.PositiveSmallIntegerField(default=0)
    resumed_at = models.DateTimeField(
        null=True,
        help_text="When the status in_doubt ended, by a task at the upstream or by another attempt.",
    )
    outage_since = models.DateTimeField(
        null=True,
        help_text="Since when submits are held, or the bucket or the upstream is away: no deadline counts this time.",
    )
    outage_time = models.DurationField(
        default=timedelta(0),
        db_default=timedelta(0),
        help_text="The length of such times that have ended, since the status began.",
    )
    finished_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=50, blank=True)
    error_message = models.TextField(blank=True)

    # The upstream's answers.
    submitted_at = models.DateTimeField(null=True)
    upstream_id = models.CharField(max_length=200, null=True, unique=True)
    upstream_seed = models.BigIntegerField(null=True, help_text="The seed that the upstream reports.")

    # The objects in the bucket.
    video_key = models.CharField(max_length=200, blank=True)
    video_size = models.PositiveBigIntegerField(null=True, help_text="Bytes.")
    video_sha256 = models.CharField(max_length=64, blank=True)
    video_codec = models.CharField(max_length=20, blank=True)
    video_width = models.PositiveIntegerField(null=True)
    video_height = models.PositiveIntegerField(null=True)
    video_fps = models.FloatField(null=True)
    video_duration = models.FloatField(null=True, help_text="Seconds.")
    poster_key = models.CharField(max_length=200, blank=True)

    # Deletion. The row and the ledger stay.
    expired_at = models.DateTimeField(null=True, help_text="When the video was removed because of its age.")
    deleted_at = models.DateTimeField(null=True, help_text="From this time on nothing of the generation is served.")
    purged_at = models.DateTimeField(null=True, help_text="When the files were deleted from the bucket.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="a_live_row_is_due_and_a_finished_one_is_not",
                condition=Q(status__in=["succeeded", "failed", "cancelled"], due_at=None, finished_at__isnull=False)
                | Q(
                    status__in=["queued", "submitting", "in_doubt", "running", "copying"],
                    due_at__isnull=False,
                    finished_at=None,
                ),
            ),
            models.CheckConstraint(
                name="a_succeeded_row_has_key_size_and_hash",
                condition=~Q(status="succeeded") | (~Q(video_key="") & ~Q(video_sha256="") & Q(video_size__gt=0)),
            ),
            models.CheckConstraint(
                name="a_failed_row_says_why", condition=~Q(status="failed") | (~Q(error_code="") & ~Q(error_message=""))
            ),
            models.CheckConstraint(
                name="a_row_at_the_upstream_has_its_id",
                condition=~Q(status__in=["running", "copying", "succeeded"]) | Q(upstream_id__isnull=False),
            ),
            models.CheckConstraint(
                name="an_image_is_kept_or_has_a_url", condition=Q(image__isnull=False) | ~Q(image_url="")
            ),
            # Live and test keys never collide. Rows without an idempotency key are never equal.
            models.UniqueConstraint(
                fields=["tenant", "test", "idempotency_key"], name="an_idempotency_key_makes_one_generation"
            ),
        ]
        indexes = [
            # Serve the claims: by lane, and queued rows by tenant. Finished rows are in neither index.
            models.Index(fields=["status", "due_at"], condition=Q(due_at__isnull=False), name="generation_due_by_lane"),
            models.Index(fields=["tenant", "due_at"], condition=Q(status="queued"), name="generation_waiting"),
            # Serve GET /v1/generations, without a filter and by each filter; the first index serves GET /v1/usage too.
            # They are not ordered by id alone: PostgreSQL would read the primary key from the end, and skip all rows
            # that the filter leaves out. `model` needs no index yet, because there is only one model.
            # A column that operators search across tenants comes first: the index then serves API and panel.
            models.Index(*TENANT_AND_MODE, *NEWEST_FIRST, name="generation_by_tenant"),
            models.Index("status", *TENANT_AND_MODE, *NEWEST_FIRST, name="generation_by_status"),
            models.Index("seed", *TENANT_AND_MODE, *NEWEST_FIRST, name="generation_by_seed"),
            models.Index("api_key", *TENANT_AND_MODE, *NEWEST_FIRST, name="generation_by_key"),
            models.Index(
                "external_id",
                *TENANT_AND_MODE,
                *NEWEST_FIRST,
                condition=~Q(external_id=""),
                name="generation_by_external_id",
            ),
            # Serves the estimate of the duration: the last generations of the same kind.
            models.Index(
                F("model"),
                F("resolution"),
                F("duration"),
                F("test"),
                F("finished_at").desc(),
                condition=Q(status="succeeded"),
                name="generation_by_kind",
            ),
            # Serve the panel: what finished in an hour, and the generation of a video. Each row enters each index once.
            models.Index(fields=["finished_at"], condition=Q(finished_at__isnull=False), name="generation_finished"),
            models.Index(fields=["video_sha256"], condition=~Q(video_sha256=""), name="generation_by_video"),
            # Serves the deletion of videos by age.
            models.Index(
                fields=["tenant", "finished_at"],
                condition=Q(status="succeeded", deleted_at=None, expired_at=None),
                name="generation_with_video",
            ),
            # Serves the deletion of files that has begun and not ended.
            models.Index(
                fields=["deleted_at"],
                condition=Q(deleted_at__isnull=False, purged_at=None),
                name="generation_to_purge",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def has_video(self) -> bool:
        """Return whether there is a video to serve: the generation succeeded, and the video was not removed since."""
        return self.status == self.Status.SUCCEEDED and self.removed_at is None

    @property
    def removed_at(self) -> datetime | None:
        """Return when the video was deleted by its caller or removed for its age; None if it was not."""
        return self.deleted_at or self.expired_at


class SeedRecord(Generation):
    """A generation as the seed log lists it."""

    class Meta:
        proxy = True
        verbose_name, verbose_name_plural = "seed", "seed log"
