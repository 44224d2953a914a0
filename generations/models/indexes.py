"""The columns that indexes of several models have in common."""

from django.db.models import F

TENANT_AND_MODE = ("tenant", "test")  # how each index of a tenant's list begins
NEWEST_FIRST = (F("created_at").desc(), F("id").desc())
