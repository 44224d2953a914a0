"""The input images of a tenant, which generations share."""

from django.db import models
from django.db.models import Q

from tenants.db import clock
from tenants.models import Tenant


class InputImage(models.Model):
    """An input image of one tenant, stored in S3 under its SHA-256 so that other generations can use it too."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="images")
    sha256 = models.CharField(max_length=64)
    key = models.CharField(max_length=200, help_text="The name of the object in the bucket.")
    format = models.CharField(max_length=10)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    size = models.PositiveIntegerField(help_text="Bytes.")
    created_at = models.DateTimeField(default=clock.now)
    gone_at = models.DateTimeField(
        "deleted at",
        null=True,
        help_text="The time when the image was deleted, after every generation that uses it was deleted.",
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "sha256"], name="an_image_is_kept_once_a_tenant")]
        indexes = [
            models.Index(fields=["sha256"], name="image_by_sha256"),  # serves the panel's search
            models.Index(fields=["tenant", "created_at"], condition=Q(gone_at=None), name="image_by_age"),
        ]

    def __str__(self) -> str:
        return self.sha256
