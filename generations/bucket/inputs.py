"""A generation's pictures: read from a caller's text or URL, checked, and kept in S3 under their SHA-256."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime

import pybase64
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from generations import errors
from generations.bucket import objects
from generations.media import images
from generations.models import Generation, InputImage
from generations.outbound import addresses, fetch
from generations.outbound.errors import FetchRefused, FetchTooLarge
from tenants.db.engine import engine
from tenants.db.prepared_statements import Insert, Select

READ_DEADLINE = 30.0  # seconds for the whole exchange


_insert = Insert(InputImage)
_known = Select(lambda tenant, sha256: InputImage.objects.filter(tenant=tenant, sha256=sha256), -1, "sha256")


def from_text(text: str) -> str | images.Image:
    """The URL that the text is, or the checked picture that it holds as Base64. Raises a BadImage."""
    if not images.is_url(text):
        return images.inspect(images.decode(text))
    try:
        addresses.check_url(text)
    except FetchRefused as error:
        raise errors.ImageUrlRefused(reason=error) from error
    return text


def from_url(url: str) -> images.Image:
    """The checked picture behind a caller's URL. Raises a BadImage, or FetchFailed where trying again may help."""
    try:
        return images.inspect(fetch.read(url, limit=images.MAX_BYTES, deadline=READ_DEADLINE))
    except FetchRefused as error:
        raise errors.ImageUrlRefused(reason=error) from error
    except FetchTooLarge as error:
        raise errors.ImageTooManyBytes(limit=images.MAX_BYTES) from error


def keep(tenant_id: int, image: images.Image) -> InputImage:
    """The row of a picture whose bytes lie in the bucket; what is there already is not stored again."""
    sha256 = image.sha256
    known: InputImage | None = next(_known(tenant_id, sha256), None)
    if known and known.gone_at:
        return _kept_anew(known, image)
    if known and objects.exists(known.key):  # an expiry rule may have deleted it since
        return known
    key = known.key if known else f"inputs/{tenant_id}/{sha256}"
    objects.put(key, image.content, f"image/{image.format}", sha256)
    if known is None:
        shape = {"format": image.format, "width": image.width, "height": image.height, "size": len(image.content)}
        sql, values = _insert.with_values(tenant_id=tenant_id, sha256=sha256, key=key, **shape)
        engine.write(f"{sql} ON CONFLICT (tenant_id, sha256) DO NOTHING", values)  # another one may come first
        known = next(_known(tenant_id, sha256))
    return known


def _kept_anew(known: InputImage, image: images.Image) -> InputImage:
    """Under a name of its own: who gave the picture up may still be deleting the old one."""
    old, key = known.key, f"inputs/{known.tenant_id}/{known.sha256}-{secrets.token_hex(8)}"
    objects.put(key, image.content, f"image/{image.format}", known.sha256)
    objects.delete(old)
    if not InputImage.objects.filter(pk=known.pk, key=old).update(key=key, gone_at=None):
        objects.delete(key)  # another one came first
    known.refresh_from_db()
    return known


def still_there(image: InputImage) -> InputImage:
    """The picture itself. Raises InputsGone where its bytes are no longer in the bucket."""
    image.refresh_from_db(fields=["gone_at", "key"])
    if image.gone_at or not objects.exists(image.key):
        raise errors.InputsGone
    return image


def give_up(image: InputImage) -> None:
    """Delete the picture's bytes, unless another generation was made from them that is not deleted."""
    with transaction.atomic():
        locked = InputImage.objects.select_for_update().get(pk=image.pk)
        alive = Generation.objects.filter(Q(image=locked) | Q(last_image=locked), deleted_at=None)
        if not locked.gone_at and alive.exists():
            return
        InputImage.objects.filter(pk=locked.pk, gone_at=None).update(gone_at=timezone.now())
    objects.delete(locked.key)


def unwanted(tenant_id: int, before: datetime) -> QuerySet[InputImage]:
    """The tenant's pictures from before then that no generation which is live, or was made since, was made from."""
    users = Generation.objects.filter(Q(created_at__gte=before) | Q(finished_at=None))
    used = [Exists(users.filter(**{field: OuterRef("pk")})) for field in ("image", "last_image")]
    return InputImage.objects.filter(~used[0], ~used[1], tenant=tenant_id, gone_at=None, created_at__lt=before)


def give_up_all(tenant_id: int, ids: Sequence[int], before: datetime) -> list[InputImage]:
    """Those of them that are unwanted still, now that their bytes are deleted."""
    with transaction.atomic():
        locked = InputImage.objects.filter(pk__in=ids).order_by("pk").select_for_update(skip_locked=True)
        mine = [one.pk for one in locked]  # whoever makes a generation from one waits until it is known to be gone
        gone = list(unwanted(tenant_id, before).filter(pk__in=mine))
        InputImage.objects.filter(pk__in=[one.pk for one in gone]).update(gone_at=timezone.now())
    objects.delete_all([one.key for one in gone])
    return gone


def data_uri(image: InputImage) -> str:
    """The form in which a picture goes upstream. Raises StorageTrouble where the bucket gives other bytes."""
    content = objects.read(image.key)
    if hashlib.sha256(content).hexdigest() != image.sha256:
        raise errors.StorageError("the bucket gave other bytes than the picture's")
    return f"data:image/{image.format};base64,{pybase64.b64encode(content).decode()}"
