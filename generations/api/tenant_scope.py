"""The rows that a caller may see: those of its own tenant and mode. Both APIs read generations here."""

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
    """Return the caller's generations. A test key sees those of test mode, a live key the others."""
    key = key_of(request)
    return Generation.objects.filter(**in_scope(key)).select_related(*IMAGE_FIELDS)


def in_scope(key: ApiKey) -> dict[str, Any]:
    """Return the conditions on rows of the key's tenant and mode.

    `test__in` is how the indexes have the mode: SQLite uses none of them for `NOT test`.
    """
    return {"tenant": key.tenant_id, "test__in": [key.test]}


# Prepared, since this is the most frequent query of all.
_select_own = Select(
    lambda pk, tenant, test: Generation.objects.filter(pk=pk, tenant=tenant, test__in=[test]).select_related(
        *IMAGE_FIELDS
    ),
    UUID(int=1),
    -1,
    True,
)


def get_own(request: Request, text: str) -> Generation:
    """Return the caller's generation with this id.

    Raise GenerationNotFound, in the same words, for an id of another tenant, an unknown id and a malformed one.
    """
    key = key_of(request)
    try:
        generation_id = UUID(text)
    except ValueError as error:
        raise GenerationNotFound from error
    generation: Generation | None = next(_select_own(generation_id, key.tenant_id, key.test), None)
    if generation is None:
        raise GenerationNotFound
    return generation
