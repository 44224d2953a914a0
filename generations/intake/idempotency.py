"""Idempotent creates: the digest of a request, and the generation that an earlier request with the same key created.

The digest is stored with the generation. A release that computes another digest of the same request refuses the repeats
of requests that an earlier release accepted.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import Any

from generations import errors
from generations.catalog.request_fields import RANDOM_SEED
from generations.catalog.video_models import VideoModel
from generations.intake.generation_request import IMAGE_FIELDS, GenerationRequest, Webhook
from generations.models import Generation
from tenants.models import ApiKey

SLICE_CHARS = 1024 * 1024  # of an image that are encoded at a time
# Names and order are part of every stored digest.
DIGEST_FIELDS = (
    *("image", "resolution", "aspect_ratio", "duration", "prompt", "last_image", "camera_fixed", "seed"),
    *("model", "external_id", "metadata", "webhook", "rerun_of", "parameters"),
)
# The fields of a row that its first answer showed.
FIELDS_OF_FIRST_ANSWER = (
    *("external_id", "metadata", "rerun_of", "webhook_url", "webhook_format"),
    *("id", "tenant_id", "api_key_id", "created_at", "test", "idempotency_key", "idempotency_digest"),
    *("model", "prompt", "resolution", "aspect_ratio", "duration", "camera_fixed", "seed", "seed_source"),
    *("parameters", "image_url", "last_image_url", "price_micro", "first_eta"),
)


@dataclass(frozen=True)
class IdempotencyKey:
    """The caller's idempotency key, and the digest of the request that it came with."""

    key: str
    digest: str


def digest(path: str, request: GenerationRequest) -> str:
    """Return the SHA-256 of path and request, in hex. Two bodies that ask for the same have the same digest."""
    hashed = hashlib.sha256(path.encode())
    for name, text in _field_texts(request):
        hashed.update(f"\0{name} {len(text)}\0".encode())
        for start in range(0, len(text), SLICE_CHARS):
            hashed.update(text[start : start + SLICE_CHARS].encode())
    return hashed.hexdigest()


def find_existing(api_key: ApiKey, idempotency_key: IdempotencyKey) -> Generation | None:
    """Return the generation that this key created earlier, with the values of its first answer.

    None means that this key is new. Raise IdempotencyKeyReused if the key came with another request.
    """
    existing = Generation.objects.filter(
        tenant=api_key.tenant_id, test=api_key.test, idempotency_key=idempotency_key.key
    ).first()
    if existing is None:
        return None
    if existing.idempotency_digest != idempotency_key.digest:
        raise errors.IdempotencyKeyReused
    return _as_first_answered(existing)


def _as_first_answered(existing: Generation) -> Generation:
    """Return a copy of the row as it was when its create was answered, whatever its status is now."""
    first = Generation(**{name: getattr(existing, name) for name in FIELDS_OF_FIRST_ANSWER})
    for name in IMAGE_FIELDS:
        if not getattr(existing, f"{name}_url"):  # an image given as a URL had not been read by then
            setattr(first, name, getattr(existing, name))
    return first


def _field_texts(request: GenerationRequest) -> Iterator[tuple[str, str]]:
    """Yield name and text of each field that has a value. A field that a later release adds changes no old digest."""
    for name in DIGEST_FIELDS:
        value = getattr(request, name) if hasattr(request, name) else request.values.get(name)
        is_drawn = name == "seed" and value == RANDOM_SEED
        if not (value is None or value is False or value in ("", {}) or is_drawn):
            yield name, _text(value)


def _text(value: Any) -> str:
    """Return the text of a field's value. Stored digests depend on every form here."""
    match value:
        case VideoModel():
            return value.id  # without the prices, which a release may change
        case memoryview():
            return str(value, "ascii")
        case mmap():
            return hashlib.sha256(value).hexdigest()
        case Webhook():
            return f"{value.format} {value.url}"
        case dict():
            return repr(sorted(value.items()))
    return str(value)
