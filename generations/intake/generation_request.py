"""The request for a generation, as validated by the API: the one input of a create, whichever API received it."""

from dataclasses import dataclass, field
from mmap import mmap
from typing import Any
from uuid import UUID

from generations.catalog.video_models import VideoModel
from generations.errors import InputsGone
from generations.models import Generation, InputImage

# A str is a URL, Base64 or a data URI. A memoryview is Base64 as it lies in the request's body. An mmap is the bytes of
# an uploaded file. An InputImage is an image that is stored already.
ImageSource = str | memoryview | mmap | InputImage

IMAGE_FIELDS = ("image", "last_image")


@dataclass(frozen=True)
class Webhook:
    """The receiver that is notified when this one generation ends."""

    url: str
    format: str  # a Generation.WebhookFormat


@dataclass(frozen=True)
class GenerationRequest:
    """A create, already checked against the model's row. The images are not checked yet."""

    model: VideoModel
    values: dict[str, Any]  # of each field of the model; None: not given. A seed of None or -1 is drawn
    external_id: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    webhook: Webhook | None = None
    rerun_of: UUID | None = None

    @property
    def images(self) -> dict[str, ImageSource]:
        """The images that were given, by field."""
        return {name: self.values[name] for name in self.model.image_fields if self.values[name] is not None}

    @property
    def columns(self) -> dict[str, Any]:
        """The values of the columns that a generation has for fields of requests."""
        return {name: self.values.get(name) for name in Generation.REQUEST_COLUMNS}

    @property
    def parameters(self) -> dict[str, Any]:
        """The values of all other fields but images, without those that have none."""
        others = self.values.keys() - {*Generation.REQUEST_COLUMNS, *self.model.image_fields}
        return {name: self.values[name] for name in self.values if name in others and self.values[name] is not None}


def fields_of(generation: Generation) -> dict[str, Any]:
    """Return the fields with which a rerun repeats the generation: those that have a value, and its images.

    External id, metadata and webhook are left out: each belongs to one generation. Raise InputsGone for a deleted
    generation, whose prompt is forgotten.
    """
    if generation.deleted_at:
        raise InputsGone
    images = {name: getattr(generation, name) or getattr(generation, f"{name}_url") or None for name in IMAGE_FIELDS}
    return {name: value for name, value in {**generation.request_values, **images}.items() if value is not None}
