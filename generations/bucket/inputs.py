"""Input images in the bucket: store each once for a tenant, reuse it, delete it when no generation needs it."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

import pybase64
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from generations import errors
from generations.bucket import object_keys, objects, signed_urls, undeleted
from generations.bucket.errors import StorageError
from generations.bucket.objects import Undeleted
from generations.media.images import Image
from generations.models import Generation, InputImage
from tenants.db import clock
from tenants.db.engine import engine
from tenants.db.prepared_statements import Insert, Select

_insert = Insert(InputImage)
_select_existing = Select(lambda tenant, sha256: InputImage.objects.filter(tenant=tenant, sha256=sha256), -1, "sha256")


def store(tenant_id: int, image: Image) -> InputImage:
    """Return the row of the image once its bytes lie in the bucket. Bytes that are there already are not stored again.

    Raise StorageError.
    """
    sha256 = image.sha256
    existing: InputImage | None = next(_select_existing(tenant_id, sha256), None)
    if existing and existing.gone_at:
        return _store_again(existing, image)
    if existing and objects.exists(existing.key):  # an expiry rule of the bucket may have deleted it since
        return existing
    key = existing.key if existing else object_keys.input_key(tenant_id, sha256)
    objects.put(key, image.content, f"image/{image.format}", sha256)
    if existing is None:
        shape = {"format": image.format, "width": image.width, "height": image.height, "size": len(image.content)}
        sql, values = _insert.with_values(tenant_id=tenant_id, sha256=sha256, key=key, **shape)
        engine.write(f"{sql} ON CONFLICT (tenant_id, sha256) DO NOTHING", values)  # another request may be first
        existing = next(_select_existing(tenant_id, sha256))
    return existing


def _store_again(existing: InputImage, image: Image) -> InputImage:
    """Store the bytes of a deleted image under a new key: its deletion may still be going on under the old one."""
    old, key = existing.key, object_keys.new_input_key(existing.tenant_id, existing.sha256)
    objects.put(key, image.content, f"image/{image.format}", existing.sha256)
    undeleted.delete_or_record(old)
    if not InputImage.objects.filter(pk=existing.pk, key=old).update(key=key, gone_at=None):
        undeleted.delete_or_record(key)  # another request was first
    existing.refresh_from_db()
    return existing


def require_stored(image: InputImage) -> InputImage:
    """Return the image with its present key. Raise InputsGone if its bytes are no longer in the bucket."""
    image.refresh_from_db(fields=["gone_at", "key"])
    if image.gone_at or not objects.exists(image.key):
        raise errors.InputsGone
    return image


def write(image: InputImage, encoding: str) -> str:
    """Return the image as it goes upstream: "data_uri", "base64", or the "url" of the bucket that is signed for it.

    Raise StorageError, also if the bucket gives other bytes than were stored.
    """
    if encoding == "url":
        return str(signed_urls.signer().image_url(image))
    content = objects.read(image.key)
    if hashlib.sha256(content).hexdigest() != image.sha256:
        raise StorageError("the bucket gave other bytes than the image's")
    text = pybase64.b64encode(content).decode()
    return text if encoding == "base64" else f"data:image/{image.format};base64,{text}"


def delete_unless_used(image: InputImage) -> None:
    """Delete the image's bytes, unless a generation that is not deleted was created with it. Raise StorageError."""
    with transaction.atomic():
        locked = InputImage.objects.select_for_update().get(pk=image.pk)
        users = Generation.objects.filter(Q(image=locked) | Q(last_image=locked), deleted_at=None)
        if not locked.gone_at and users.exists():
            return
        InputImage.objects.filter(pk=locked.pk, gone_at=None).update(gone_at=clock.now())
    objects.delete(locked.key)


def find_unused(tenant_id: int, before: datetime) -> QuerySet[InputImage]:
    """Return the tenant's images that were stored before `before` and that no recent generation uses.

    A generation is recent if it has not finished, or was created at or after `before`.
    """
    recent = Generation.objects.filter(Q(created_at__gte=before) | Q(finished_at=None))
    is_used = [Exists(recent.filter(**{field: OuterRef("pk")})) for field in ("image", "last_image")]
    return InputImage.objects.filter(~is_used[0], ~is_used[1], tenant=tenant_id, gone_at=None, created_at__lt=before)


def delete_unused(tenant_id: int, ids: Sequence[int], before: datetime) -> tuple[list[InputImage], list[Undeleted]]:
    """Delete the bytes of those images that are still unused. Return these images, and what S3 refused to delete.

    Images that another transaction has locked are left out. Raise StorageError if S3 is away.
    """
    with transaction.atomic():
        locked = InputImage.objects.filter(pk__in=ids).order_by("pk").select_for_update(skip_locked=True)
        # A create that uses one of these images waits here, and then finds it deleted.
        locked_ids = [image.pk for image in locked]
        deleted = list(find_unused(tenant_id, before).filter(pk__in=locked_ids))
        InputImage.objects.filter(pk__in=[image.pk for image in deleted]).update(gone_at=clock.now())
    return deleted, objects.delete_many([image.key for image in deleted])
