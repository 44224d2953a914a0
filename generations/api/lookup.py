"""What both entrances read: a tenant's own rows, and fresh signed URLs of what lies in the bucket."""

from uuid import UUID

from django.db.models import QuerySet
from rest_framework.request import Request

from generations import storage
from generations.errors import GenerationNotFound
from generations.models import Generation
from tenants.entrance import key_of


def own_rows(request: Request) -> QuerySet[Generation]:
    """The caller's generations, newest first: an id grows with its time. A test key sees tests, a live one the rest."""
    key = key_of(request)
    rows = Generation.objects.filter(tenant=key.tenant_id, test=key.test).select_related("image", "last_image")
    return rows.order_by("-id")


def own(request: Request, text: str) -> Generation:
    """The caller's generation of that id. Another tenant's, an unknown and a malformed id are the same to it."""
    try:
        return own_rows(request).get(pk=UUID(text))
    except (ValueError, Generation.DoesNotExist) as error:
        raise GenerationNotFound from error


def video_url(generation: Generation) -> str:
    return storage.signed_url(generation.video_key, content_type="video/mp4", file_name=f"{generation.pk}.mp4")


def poster_url(generation: Generation) -> str:
    return storage.signed_url(generation.poster_key, content_type="image/jpeg", file_name=f"{generation.pk}.jpg")
