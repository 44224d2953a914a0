"""The states of models as operators have set them."""

from __future__ import annotations

from django.db import models

from tenants.db import clock


class ModelState(models.Model):
    """A state that an operator has set for a model. It takes the place of what the model's file says."""

    class State(models.TextChoices):
        """The states of a model. From `retires_at` on a model is retired, whatever its state."""

        ACTIVE = "active"
        HIDDEN = "hidden"  # works, and is not listed
        DEPRECATED = "deprecated"
        RETIRED = "retired"  # creates are refused

    model = models.CharField(max_length=50, primary_key=True)
    state = models.CharField(max_length=10, choices=State.choices)
    retires_at = models.DateField(null=True, blank=True, help_text="The day, in UTC, from which the model is retired.")
    replacement = models.CharField(max_length=50, blank=True, help_text="The model that callers should use instead.")
    announced_at = models.DateField(
        null=True, blank=True, help_text="The day, in UTC, on which callers were first shown the end."
    )
    reason = models.CharField(max_length=200)
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name, verbose_name_plural = "model", "models"

    def __str__(self) -> str:
        return self.model
