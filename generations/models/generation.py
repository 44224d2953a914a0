"""A generation: the request, the state, the upstream's answers and the stored video.

The schema enforces the rules of the states. `lifecycle` writes the rows.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q, Value

from generations import ids
from generations.models.indexes import GENERATION_INDEXES
from generations.models.input_image import InputImage
from generations.models.upstream_task import UpstreamTask
from tenants.db import clock
from tenants.models import ApiKey, Tenant


class Generation(UpstreamTask):
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
        NONE = "none", "No seed"  # the model has none

    class WebhookFormat(models.TextChoices):
        """The payload that the own webhook receives."""

        STANDARD = "standard"
        NOVITA = "novita"  # the payload that Novita sends; for `extra.webhook.url`

    was_due: datetime | None = None  # the due time before the claim, set by `Engine.claim`; no column

    # The fields of a request that have a column. `parameters` has the others, but for the images.
    REQUEST_COLUMNS: ClassVar = ("prompt", "resolution", "aspect_ratio", "duration", "camera_fixed", "seed")
    LIVE: ClassVar = [Status.QUEUED, Status.SUBMITTING, Status.IN_DOUBT, Status.RUNNING, Status.COPYING]
    FINISHED: ClassVar = [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED]

    id = models.UUIDField(primary_key=True, default=ids.new, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="generations", db_index=False)
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    created_at = models.DateTimeField(default=clock.now)
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
    resolution = models.CharField(max_length=10, null=True, help_text="Empty, as the next fields: the model has none.")
    aspect_ratio = models.CharField(max_length=10, null=True)
    duration = models.PositiveSmallIntegerField(help_text="Seconds.")
    camera_fixed = models.BooleanField(null=True)
    seed = models.BigIntegerField(null=True)
    seed_source = models.CharField(max_length=10, choices=SeedSource.choices)
    parameters = models.JSONField(
        default=dict,
        blank=True,
        db_default=Value({}, models.JSONField()),
        help_text="The model's other fields by name, with the defaults of that time.",
    )
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
    rate_micro = models.BigIntegerField(
        null=True,
        help_text="Micro-USD per million tokens, fixed at admission, if the tokens decide. Empty: the price does.",
    )

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
    video_as_requested = models.BooleanField(
        null=True, help_text="Whether the video is what was requested. Empty without a video that was compared."
    )
    video_differences = models.JSONField(
        default=list,
        blank=True,
        db_default=Value([], models.JSONField()),
        help_text="What differs from the request, as a list of field, requested and received.",
    )
    unusable_files = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="How many files the upstream has served that are no whole video."
    )

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
            # Live and test keys never collide. Rows without an idempotency key are never equal.
            models.UniqueConstraint(
                fields=["tenant", "test", "idempotency_key"], name="an_idempotency_key_makes_one_generation"
            ),
        ]
        indexes = GENERATION_INDEXES

    def __str__(self) -> str:
        return str(self.id)

    @property
    def request_values(self) -> dict[str, Any]:
        """Return the fields of the request by name, without the images. None: the model has no such field."""
        return {**{name: getattr(self, name) for name in self.REQUEST_COLUMNS}, **self.parameters}

    @property
    def spent_micro(self) -> int:
        """Return the micro-USD charged for the video: by its tokens, or the price. Without a video nothing is."""
        if self.status != self.Status.SUCCEEDED:
            return 0
        return self.price_micro if self.charged_micro is None else self.charged_micro

    @property
    def has_video(self) -> bool:
        """Return whether there is a video to serve: the generation succeeded, and the video was not removed since."""
        return self.status == self.Status.SUCCEEDED and self.removed_at is None

    @property
    def has_mismatched_file(self) -> bool:
        """Return whether the bucket has a file that was never delivered, since it is far from what was requested.

        Operators may look at the file; callers never get it.
        """
        return self.error_code == "video_mismatch" and self.removed_at is None and self.purged_at is None

    @property
    def removed_at(self) -> datetime | None:
        """Return when the video was deleted by its caller or removed for its age; None if it was not."""
        return self.deleted_at or self.expired_at


class SeedRecord(Generation):
    """A generation as the seed log lists it."""

    class Meta:
        proxy = True
        verbose_name, verbose_name_plural = "seed", "seed log"
