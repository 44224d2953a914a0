"""The indexes of generations, and the columns that indexes of several models have in common."""

from django.db import models
from django.db.models import F, Q

TENANT_AND_MODE = ("tenant", "test")  # how each index of a tenant's list begins
NEWEST_FIRST = (F("created_at").desc(), F("id").desc())

GENERATION_INDEXES = [
    # Serve the claims: by lane, and queued rows and waiting copies by tenant. Finished rows are in none of them.
    models.Index(fields=["status", "due_at"], condition=Q(due_at__isnull=False), name="generation_due_by_lane"),
    models.Index(fields=["tenant", "due_at"], condition=Q(status="queued"), name="generation_waiting"),
    models.Index(fields=["tenant", "due_at"], condition=Q(status="copying"), name="generation_copying"),
    # Serve GET /v1/generations, without a filter and by each filter; the first index serves GET /v1/usage too.
    # They are not ordered by id alone: PostgreSQL would read the primary key from the end, and skip all rows
    # that the filter leaves out.
    # A column that operators search across tenants comes first: the index then serves API and panel.
    models.Index(*TENANT_AND_MODE, *NEWEST_FIRST, name="generation_by_tenant"),
    models.Index("status", *TENANT_AND_MODE, *NEWEST_FIRST, name="generation_by_status"),
    models.Index("model", *TENANT_AND_MODE, *NEWEST_FIRST, name="generation_by_model"),
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
    # Serves the panel: the last success of a model.
    models.Index(
        F("model"),
        F("test"),
        F("finished_at").desc(),
        condition=Q(status="succeeded"),
        name="generation_last_success",
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
    # Serves the panel, and the deletion of files that were never delivered.
    models.Index(fields=["finished_at"], condition=Q(video_as_requested=False), name="generation_not_as_requested"),
    # Serves the panel: videos that cost more than was held.
    models.Index(
        fields=["finished_at"], condition=Q(charged_micro__gt=F("price_micro")), name="generation_charged_above"
    ),
    # Serves the deletion of files that has begun and not ended.
    models.Index(
        fields=["deleted_at"],
        condition=Q(deleted_at__isnull=False, purged_at=None),
        name="generation_to_purge",
    ),
]
