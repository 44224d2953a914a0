"""Numbers that are counted once and stored, so that no page of the panel counts a million rows.

`generations/reports/hourly_statistics.py` writes them.
"""

from typing import Any

from django.db import models

from tenants import times


class HourlyStatistics(models.Model):
    """The generations that were accepted and that finished in one past hour, of live keys or of test keys."""

    hour = models.DateTimeField(help_text="Start of the hour.")
    test = models.BooleanField()
    accepted = models.PositiveIntegerField(default=0)
    succeeded = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    duration_histogram: Any = models.JSONField(
        db_column="took",
        default=list,
        help_text="Number of videos in each bucket of hourly_statistics.BUCKET_BOUNDS.",
    )

    class Meta:
        db_table = "generations_tally"
        verbose_name_plural = "hourly statistics"
        constraints = [models.UniqueConstraint(fields=["hour", "test"], name="an_hour_is_tallied_once")]

    def __str__(self) -> str:
        return times.readable(self.hour)


class StorageUse(models.Model):
    """The bytes in the bucket according to the rows. There is one row, updated every few minutes."""

    at = models.DateTimeField()
    videos = models.PositiveBigIntegerField(help_text="Bytes.")
    images = models.PositiveBigIntegerField(db_column="pictures", help_text="Bytes.")

    def __str__(self) -> str:
        return f"storage at {times.readable(self.at)}"
