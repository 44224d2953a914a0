"""The events and the upstream attempts of a generation."""

from typing import ClassVar

from django.db import models

from generations.models.generation import Generation
from tenants import times
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
    target = models.CharField(
        max_length=200, blank=True, db_default="", help_text="The route, or the model's id at the upstream."
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
        max_length=200,
        blank=True,
        db_default="",
        help_text="The task that the answer or a callback names, or that was found.",
    )
    answer = models.TextField(
        blank=True, db_default="", help_text="The answer, unless it was plain: its start, without secrets."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["generation", "number"], name="attempts_are_numbered")]
        indexes: ClassVar = [
            models.Index("reference", condition=~models.Q(reference=""), name="attempt_by_reference"),
            # Serve the search for lost answers: whose a task is, and what else was sent at that time.
            models.Index("upstream_id", condition=~models.Q(upstream_id=""), name="attempt_by_task"),
            models.Index("account", "started_at", name="attempt_by_account"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}"


class AttemptSearch(models.Model):
    """A search of the upstream for the task of an attempt whose answer was lost: of its list, or of one task."""

    class Outcome(models.TextChoices):
        """The results that a search can have."""

        FOUND = "found"  # the task, which now is the generation's
        NOT_THERE = "not_there", "Not there"  # the upstream has surely created none
        NOT_YET = "not_yet", "Not yet"  # it is not there, but it is too early to be sure
        BROKEN = "broken"  # the upstream was not read to the end, which proves nothing
        UNCLEAR = "unclear"  # what the upstream shows proves nothing either: people decide

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="searches")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    pages = models.PositiveIntegerField(default=0, help_text="Pages of the list that were read. 0: one task was read.")
    tasks = models.PositiveIntegerField(default=0, help_text="Tasks that were seen.")
    is_complete = models.BooleanField(default=False, help_text="Whether the list was read to its end.")
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    detail = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.outcome} at {self.finished_at:%H:%M:%S}"

    def describe(self) -> str:
        """Return in words what was read, when, and what it showed."""
        read = f"{self.tasks} tasks on {self.pages} pages" if self.pages else "one task by its id"
        part = "" if self.is_complete or not self.pages else ", not to the end"
        reason = f": {self.detail}" if self.detail else ""
        at = times.readable(self.started_at, "seconds")
        return f"{self.get_outcome_display()}, {at} UTC, {read}{part}{reason}"
