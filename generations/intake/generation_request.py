"""The request for a generation, as validated by the API: the one input of a create, whichever API received it."""

from dataclasses import dataclass, field
from mmap import mmap
from typing import Any
from uuid import UUID

from generations.catalog import video_models
from generations.errors import InputsGone
from generations.models import Generation, InputImage

# A str is a URL, Base64 or a data URI. A memoryview is Base64 as it lies in the request's body. An mmap is the bytes of
# an uploaded file. An InputImage is an image that is stored already.
ImageSource = str | memoryview | mmap | InputImage

IMAGE_FIELDS = ("image", "last_image")
PLAIN_FIELDS = ("model", "prompt", "resolution", "aspect_ratio", "duration", "camera_fixed", "seed")


@dataclass(frozen=True)
class Webhook:
    """The receiver that is notified when this one generation ends."""

    url: str
    format: str  # a Generation.WebhookFormat


@dataclass(frozen=True)
class GenerationRequest:
    """The fields of a create, already checked against the catalog. The images are not checked yet."""

    image: ImageSource
    resolution: str
    aspect_ratio: str
    duration: int  # seconds
    prompt: str
    last_image: ImageSource | None
    camera_fixed: bool
    seed: int | None  # None and -1: draw one
    model: video_models.Model = video_models.SEEDANCE_V1_LITE_I2V
    external_id: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    webhook: Webhook | None = None
    rerun_of: UUID | None = None


def fields_of(generation: Generation) -> dict[str, Any]:
    """Return the fields with which a rerun repeats the generation. The model is the model's name.

    External id, metadata and webhook are left out: each belongs to one generation. Raise InputsGone for a deleted
    generation, whose prompt is forgotten.
    """
    if generation.deleted_at:
        raise InputsGone
    plain = {name: getattr(generation, name) for name in PLAIN_FIELDS}
    images = {name: getattr(generation, name) or getattr(generation, f"{name}_url") or None for name in IMAGE_FIELDS}
    return plain | images
