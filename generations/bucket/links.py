"""Fresh signed URLs of what lies in the bucket."""

from datetime import datetime

from generations.bucket import objects
from generations.models import Generation, InputImage


def has_video(generation: Generation) -> bool:
    """Whether there is one to be served: not one that its caller had deleted, or that was removed for its age."""
    return generation.status == Generation.Status.SUCCEEDED and gone_at(generation) is None


def gone_at(generation: Generation) -> datetime | None:
    """When its video was removed."""
    return generation.deleted_at or generation.expired_at


def video_url(generation: Generation) -> str:
    return objects.signed_url(generation.video_key, content_type="video/mp4", file_name=f"{generation.pk}.mp4")


def poster_url(generation: Generation) -> str:
    return objects.signed_url(generation.poster_key, content_type="image/jpeg", file_name=f"{generation.pk}.jpg")


def image_url(image: InputImage) -> str:
    return objects.signed_url(
        image.key, content_type=f"image/{image.format}", file_name=f"{image.sha256}.{image.format}"
    )
