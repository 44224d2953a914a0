"""The input images of a submit: read those behind URLs, store them, and try again later where that fails."""

from generations import errors, lifecycle
from generations.bucket import inputs
from generations.bucket.errors import ObjectMissing, StorageError
from generations.catalog import video_models
from generations.catalog.video_models import VideoModel
from generations.media import image_sources
from generations.media.images import Image
from generations.models import Generation
from generations.outbound.errors import FetchFailed
from generations.worker import backoff

QUEUED = [Generation.Status.QUEUED]


def load(generation: Generation) -> bool:
    """Read and store the images that were given as URLs. Return whether the generation has all its images.

    If not, the generation has been rescheduled, or has failed.
    """
    try:
        for field in ("image", "last_image"):
            url = getattr(generation, f"{field}_url")
            if url and getattr(generation, field) is None:
                image = _read_image(video_models.get(generation.model), url)
                lifecycle.renew_lease(generation)  # storing the image may take most of it, and so did reading
                lifecycle.attach_image(generation, field, inputs.store(generation.tenant_id, image))
    except errors.BadImage as error:
        lifecycle.fail(generation, error.code, str(error))
    except FetchFailed as error:
        _retry_image(generation, error)
    except StorageError as error:
        retry_storage(generation, error)
    except lifecycle.InputDeleted:
        backoff.retry_later(generation, "an input image was deleted with another generation; it is stored again")
    else:
        return True
    return False


def _read_image(model: VideoModel | None, url: str) -> Image:
    """Return the image behind a caller's URL. Raise FetchFailed, or a BadImage, also if the model does not take it."""
    image = image_sources.from_url(url)
    if model and model.image_rules:
        model.image_rules.check(image.format, image.width, image.height, len(image.content))
    return image


def _retry_image(generation: Generation, error: FetchFailed) -> None:
    """Reschedule a generation whose image cannot be fetched now, or fail it if it is not tried again."""
    if (seconds := backoff.image_retry_interval(generation, error)) is not None:
        lifecycle.reschedule(generation, seconds, error=f"an image could not be read: {error}")
        return
    unreachable = errors.ImageUnreachable(reason=error)
    lifecycle.fail(generation, unreachable.code, str(unreachable))


def retry_storage(generation: Generation, error: StorageError) -> None:
    """Reschedule a generation whose image the bucket does not store or return.

    An outage of the bucket ends no generation. An image that the bucket no longer has fails its generation after
    MAX_MISSING_READS.
    """
    if not isinstance(error, ObjectMissing):
        backoff.retry_later(generation, "the bucket does not answer", str(error), is_outage=True)
    elif lifecycle.failures_without_outage(generation) + 1 < backoff.MAX_MISSING_READS:
        backoff.retry_later(generation, "the bucket does not have the input image", str(error))
    else:
        message = "The service could not read the input image for too long: the bucket does not have it."
        lifecycle.fail(generation, "storage_unavailable", message, detail=str(error), sources=QUEUED)
