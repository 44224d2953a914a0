"""What both entrances read: a tenant's own rows."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from rest_framework.request import Request

from generations.errors import GenerationNotFound
from generations.models import Generation
from tenants.entrance import key_of
from tenants.models import ApiKey


def own_rows(request: Request) -> QuerySet[Generation]:
    """The caller's generations. A test key sees tests, a live one the rest."""
    key = key_of(request)
    return Generation.objects.filter(**of_its_world(key)).select_related("image", "last_image")


def of_its_world(key: ApiKey) -> dict[str, Any]:
    """The conditions on a row of the tenant's, as its indexes have them: SQLite reads none by `NOT test`."""
    return {"tenant": key.tenant_id, "test__in": [key.test]}


def own(request: Request, text: str) -> Generation:
    """The caller's generation of that id. Another tenant's, an unknown and a malformed id are the same to it."""
    try:
        return own_rows(request).get(pk=UUID(text))
    except (ValueError, Generation.DoesNotExist) as error:
        raise GenerationNotFound from error
