"""A generation's pictures: read from a caller's text or URL, checked, and kept in S3 under their SHA-256."""

import hashlib

import pybase64

from generations import errors, fetch, images, storage
from generations.models import InputImage

READ_DEADLINE = 30.0  # seconds for the whole exchange


def from_text(text: str) -> str | images.Image:
    """The URL that the text is, or the checked picture that it holds as Base64. Raises a BadImage."""
    if not images.is_url(text):
        return images.inspect(images.decode(text))
    try:
        fetch.check_url(text)
    except errors.FetchRefused as error:
        raise errors.ImageUrlRefused(reason=error) from error
    return text


def from_url(url: str) -> images.Image:
    """The checked picture behind a caller's URL. Raises a BadImage, or FetchFailed where trying again may help."""
    try:
        return images.inspect(fetch.read(url, limit=images.MAX_BYTES, deadline=READ_DEADLINE))
    except errors.FetchRefused as error:
        raise errors.ImageUrlRefused(reason=error) from error
    except errors.FetchTooLarge as error:
        raise errors.ImageTooManyBytes(limit=images.MAX_BYTES) from error


def keep(tenant_id: int, image: images.Image) -> InputImage:
    """The row of a picture whose bytes lie in the bucket; what is there already is not stored again."""
    sha256 = image.sha256
    known = InputImage.objects.filter(tenant_id=tenant_id, sha256=sha256).first()
    if known and storage.exists(known.key):  # an expiry rule may have deleted it since
        return known
    key = f"inputs/{tenant_id}/{sha256}"
    storage.put(key, image.content, f"image/{image.format}")
    shape = {"format": image.format, "width": image.width, "height": image.height, "size": len(image.content)}
    kept, _ = InputImage.objects.get_or_create(tenant_id=tenant_id, sha256=sha256, defaults={"key": key, **shape})
    return kept


def data_uri(image: InputImage) -> str:
    """The form in which a picture goes upstream. Raises StorageTrouble where the bucket gives other bytes."""
    content = storage.read(image.key)
    if hashlib.sha256(content).hexdigest() != image.sha256:
        raise errors.StorageTrouble("the bucket gave other bytes than the picture's")
    return f"data:image/{image.format};base64,{pybase64.b64encode(content).decode()}"
