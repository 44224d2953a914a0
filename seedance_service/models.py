"""The table of the project itself; its apps have all others."""

from django.conf import settings
from django.db import models

MAX_ISSUER_CHARS, MAX_SUBJECT_CHARS = 500, 255  # a subject has 255 at most by OpenID Connect


class StaffIdentity(models.Model):
    """The account at the company's login that signs a user of the panel in.

    The pair of issuer and subject is the identity. A name or an e-mail is none: others may get it at the provider.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities")
    issuer = models.CharField(max_length=MAX_ISSUER_CHARS)
    subject = models.CharField(max_length=MAX_SUBJECT_CHARS)

    class Meta:
        default_permissions = ()  # no page shows the table
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="one_user_of_an_identity")]

    def __str__(self) -> str:
        return f"{self.issuer} {self.subject}"
