"""The Idempotency-Key of a create, with a digest of the request that it comes with."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from mmap import mmap
from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError

from generations.catalog import video_models
from generations.intake.create import Accepted, GenerationRequest, Once, Webhook

LONGEST = 255  # characters
SLICE = 1024 * 1024  # characters of a picture that are encoded at a time
PARAMETER = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[ -~]*$"},
    OpenApiParameter.HEADER,
    description=(
        f"1 to {LONGEST} printable ASCII characters of the caller's choice. The same key with the same request makes "
        "no other generation and takes nothing of any limit: the first answer comes again, with "
        "`Idempotent-Replayed: true`."
    ),
)


def once(meta: Mapping[str, Any], path: str, wanted: GenerationRequest) -> Once | None:
    """None without the header. Two bodies that ask for the same are the same, however they are written."""
    key = meta.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not (0 < len(key) <= LONGEST and key.isascii() and key.isprintable()):
        raise ValidationError({"Idempotency-Key": [f"It has 1 to {LONGEST} printable ASCII characters."]})
    hashed = hashlib.sha256(path.encode())
    for name, text in _told(wanted):
        hashed.update(f"\0{name} {len(text)}\0".encode())
        for start in range(0, len(text), SLICE):
            hashed.update(text[start : start + SLICE].encode())
    return Once(key, hashed.hexdigest())


def _told(wanted: GenerationRequest) -> Iterator[tuple[str, str]]:
    """What was asked for, such that a release changes no digest: what is not given is left out."""
    for field in dataclasses.fields(wanted):
        value = getattr(wanted, field.name)
        drawn = field.name == "seed" and value == video_models.RANDOM_SEED
        if not (value is None or value is False or value in ("", {}) or drawn):
            yield field.name, _text(value)


def _text(value: Any) -> str:
    match value:
        case video_models.Model():
            return value.name  # and not its prices
        case memoryview():
            return str(value, "ascii")
        case mmap():
            return hashlib.sha256(value).hexdigest()
        case Webhook():
            return f"{value.format} {value.url}"
        case dict():
            return repr(sorted(value.items()))
    return str(value)


def headers(accepted: Accepted) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if accepted.replayed else {}
