"""Objects that S3 did not delete: which, why, and when the next try is due."""

import uuid

from django.db import models

NO_GENERATION = uuid.UUID(int=0)


class UndeletedObject(models.Model):
    """An object that should be gone from the bucket, and that S3 refused or failed to delete.

    A deletion of a generation is tried again by its row, any other object by the search for orphans.
    """

    key = models.CharField(max_length=1024, help_text="The object's key, or how the keys of several begin.")
    # No foreign key: the row outlives nothing, and the generation's table is not locked to create this one.
    generation_id = models.UUIDField(
        default=NO_GENERATION,
        help_text="The deleted generation. Zeros: no deleted generation waits for it.",
    )
    reason = models.CharField(max_length=200, help_text="S3's error code, or what went wrong.")
    failures = models.PositiveIntegerField(default=1)
    failed_at = models.DateTimeField(help_text="The last try.")
    first_failed_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="The next try of a deleted generation.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["generation_id", "key"], name="one_row_for_each_undeleted_object")
        ]

    def __str__(self) -> str:
        return self.key
