"""The generation that a caller may see: one of its own tenant and mode. Both APIs read generations here."""

from uuid import UUID

from rest_framework.request import Request

from generations.errors import GenerationNotFound
from generations.intake.generation_request import IMAGE_FIELDS
from generations.models import Generation
from tenants.api.base import key_of
from tenants.db.prepared_statements import Select

# Prepared, since this is the most frequent query of all. `test__in` is how the indexes have the mode: SQLite uses none
# of them for `NOT test`.
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
