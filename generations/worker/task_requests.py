"""The task that an attempt asks an upstream for, from the row of its generation."""

from functools import partial

from generations.bucket import inputs
from generations.catalog.offers import Offer
from generations.catalog.video_models import VideoModel
from generations.models import Generation, InputImage
from generations.upstream import callbacks
from generations.upstream.protocol import TaskRequest


def build(generation: Generation, model: VideoModel, offer: Offer, reference: str) -> TaskRequest:
    """Return the task to ask for, each field with a concrete value, so that one row makes one request."""
    images = {name: getattr(generation, name) or getattr(generation, f"{name}_url") for name in model.image_fields}
    given = {name: image for name, image in images.items() if image}
    values = {**generation.request_values, **given}
    return TaskRequest(model, offer, values, partial(_write_image, model), reference, callbacks.url_for(reference))


def _write_image(model: VideoModel, image: InputImage | str) -> str:
    """Return an image as the model's route takes it. Raise StorageError."""
    return image if isinstance(image, str) else inputs.write(image, model.image_encoding)
