"""What the panel adds up, so that no page of it counts a million rows. tally.py writes it."""

from typing import Any

from django.db import models

from tenants import times


class Tally(models.Model):
    """What was accepted and what ended in one hour that is over: of live generations, or of those of test keys."""

    hour = models.DateTimeField(help_text="Its start.")
    test = models.BooleanField()
    accepted = models.PositiveIntegerField(default=0)
    succeeded = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    took: Any = models.JSONField(default=list, help_text="How many videos came within each bound of tally.BOUNDS.")

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [models.UniqueConstraint(fields=["hour", "test"], name="an_hour_is_tallied_once")]

    def __str__(self) -> str:
        return times.readable(self.hour)


class StorageUse(models.Model):
    """What lies in the bucket as the rows have it, counted anew every few minutes. One row."""

    at = models.DateTimeField()
    videos = models.PositiveBigIntegerField(help_text="Bytes.")
    pictures = models.PositiveBigIntegerField(help_text="Bytes.")

    def __str__(self) -> str:
        return f"storage at {times.readable(self.at)}"
