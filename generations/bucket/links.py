"""Fresh signed URLs of a generation's video, poster and input images."""

from datetime import datetime

from generations.bucket import signed_urls
from generations.models import Generation, InputImage


def has_video(generation: Generation) -> bool:
    """Return whether the generation has a video to serve: it succeeded, and the video was not removed since."""
    return generation.status == Generation.Status.SUCCEEDED and removed_at(generation) is None


def removed_at(generation: Generation) -> datetime | None:
    """Return when the video was deleted by its caller or removed for its age; None if it was not."""
    return generation.deleted_at or generation.expired_at


def video_url(generation: Generation) -> str:
    """Return a signed URL of the video."""
    return signed_urls.sign(generation.video_key, content_type="video/mp4", file_name=f"{generation.pk}.mp4")


def poster_url(generation: Generation) -> str:
    """Return a signed URL of the poster."""
    return signed_urls.sign(generation.poster_key, content_type="image/jpeg", file_name=f"{generation.pk}.jpg")


def image_url(image: InputImage) -> str:
    """Return a signed URL of the input image."""
    return signed_urls.sign(image.key, content_type=f"image/{image.format}", file_name=f"{image.sha256}.{image.format}")
