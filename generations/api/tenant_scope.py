"""What both entrances read: a tenant's own rows."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from rest_framework.request import Request

from generations.errors import GenerationNotFound
from generations.intake.generation_request import IMAGE_FIELDS
from generations.models import Generation
from tenants.api.base import key_of
from tenants.db.prepared_statements import Select
from tenants.models import ApiKey


def own_rows(request: Request) -> QuerySet[Generation]:
    """The caller's generations. A test key sees tests, a live one the rest."""
    key = key_of(request)
    return Generation.objects.filter(**of_its_world(key)).select_related(*IMAGE_FIELDS)


def of_its_world(key: ApiKey) -> dict[str, Any]:
    """The conditions on a row of the tenant's, as its indexes have them: SQLite reads none by `NOT test`."""
    return {"tenant": key.tenant_id, "test__in": [key.test]}


# The most frequent question of all.
_own = Select(
    lambda pk, tenant, test: Generation.objects.filter(pk=pk, tenant=tenant, test__in=[test]).select_related(
        *IMAGE_FIELDS
    ),
    UUID(int=1),
    -1,
    True,
)


def own(request: Request, text: str) -> Generation:
    """Return the caller's generation of that id. Raises GenerationNotFound, the same for another tenant's, an unknown
    and a malformed id."""
    key = key_of(request)
    try:
        wanted = UUID(text)
    except ValueError as error:
        raise GenerationNotFound from error
    found: Generation | None = next(_own(wanted, key.tenant_id, key.test), None)
    if found is None:
        raise GenerationNotFound
    return found
