"""The images of a create: check all of them before the first is stored, then store them and fill the row's fields."""

from collections.abc import Mapping
from mmap import mmap

from generations import errors
from generations.bucket import inputs
from generations.catalog.video_models import VideoModel
from generations.intake.generation_request import GenerationRequest, ImageSource
from generations.media import image_sources, images
from generations.media.images import Image
from generations.models import Generation, InputImage

CheckedImage = str | Image | InputImage  # a str is a URL that is read later
CheckedImages = Mapping[str, CheckedImage]  # by field


def check(request: GenerationRequest) -> CheckedImages:
    """Return the checked images of a request by field. Raise a BadImage whose `field` is the first wrong one."""
    return {name: _check_image(request.model, name, source) for name, source in request.images.items()}


def have_bytes(checked: CheckedImages) -> bool:
    """Return whether `store` may write an object to the bucket."""
    return any(isinstance(image, Image) for image in checked.values())


def store(generation: Generation, checked: CheckedImages) -> None:
    """Store the images in the bucket and set the image fields of the generation."""
    for name, image in checked.items():
        setattr(generation, name, _store_image(generation.tenant_id, image))
        setattr(generation, f"{name}_url", image if isinstance(image, str) else "")


def _check_image(model: VideoModel, name: str, source: ImageSource) -> CheckedImage:
    """Return the image read from `source`, or the URL that it is. Raise a BadImage whose `field` is `name`."""
    try:
        checked = _read_image(source)
        if not isinstance(checked, str) and model.image_rules:
            size = checked.size if isinstance(checked, InputImage) else len(checked.content)
            model.image_rules.check(checked.format, checked.width, checked.height, size)
    except errors.BadImage as error:
        error.field = name
        raise
    return checked


def _read_image(source: ImageSource) -> CheckedImage:
    """Return the image in `source`, or the URL that it is. Raise a BadImage."""
    match source:
        case str():
            return image_sources.from_text(source)
        case memoryview():
            return images.inspect(images.decode(source))
        case mmap():
            return images.inspect(source)
    return source


def _store_image(tenant_id: int, checked: CheckedImage) -> InputImage | None:
    """Return the row of an image with stored bytes; None for a URL, which the worker reads."""
    match checked:
        case Image():
            return inputs.store(tenant_id, checked)
        case InputImage():
            return inputs.require_stored(checked)
    return None
