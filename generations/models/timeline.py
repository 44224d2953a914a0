"""The events and the upstream attempts of a generation."""

from typing import ClassVar

from django.db import models

from generations.models.generation import Generation
from tenants.db import clock


class Event(models.Model):
    """An entry of a generation's timeline, stored in the transaction that caused it. Append-only."""

    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(default=clock.now)
    status = models.CharField(max_length=12, choices=Generation.Status.choices, help_text="The status after the event.")
    message = models.TextField(blank=True, help_text="A sentence of ours, which callers read.")
    detail = models.TextField(
        blank=True, db_default="", help_text="For operators alone: what another system said, without secrets."
    )

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.status} at {self.at:%H:%M:%S}"


class Attempt(models.Model):
    """A paid POST to the upstream, recorded before the first byte is sent."""

    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    account = models.CharField(max_length=20, blank=True, db_default="", help_text="The upstream account.")
    reference = models.CharField(
        max_length=64, blank=True, db_default="", help_text="An id that no one can guess, which went upstream with it."
    )
    started_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(
        max_length=20,
        blank=True,
        help_text="created, not_created, route_gone, create_failed, not_sent, refused, in_doubt, found or not_found.",
    )
    detail = models.TextField(blank=True)
    upstream_id = models.CharField(
        max_length=200, blank=True, db_default="", help_text="The task that the answer names, whatever the outcome."
    )
    answer = models.TextField(
        blank=True, db_default="", help_text="The answer, unless it was plain: its start, without secrets."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["generation", "number"], name="attempts_are_numbered")]
        indexes: ClassVar = [
            models.Index("reference", condition=~models.Q(reference=""), name="attempt_by_reference"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}"
