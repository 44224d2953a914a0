"""The metadata of generations as rows, so that an index serves the list's filter by metadata."""

from django.db import models
from django.db.models import F

from generations.models.generation import Generation
from generations.models.indexes import TENANT_AND_MODE
from tenants.models import Tenant


class Label(models.Model):
    """A name and its value in the metadata of a generation, ordered as the list of generations is."""

    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="labels", db_index=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    test = models.BooleanField()
    name = models.CharField(max_length=64)
    value = models.CharField(max_length=512)
    created_at = models.DateTimeField(help_text="The creation time of the generation.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["generation", "name"], name="a_name_has_one_value")]
        indexes = [
            models.Index(
                *TENANT_AND_MODE,
                "name",
                "value",
                F("created_at").desc(),
                F("generation").desc(),
                name="label_by_name_and_value",
            ),
            models.Index(
                *TENANT_AND_MODE, "name", F("created_at").desc(), F("generation").desc(), name="label_by_name"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}={self.value}"
