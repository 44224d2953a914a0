"""Fresh signed URLs of what lies in the bucket."""

from generations import storage
from generations.models import Generation, InputImage


def has_video(generation: Generation) -> bool:
    """Whether there is one to be served: not one that its caller had deleted."""
    return generation.status == Generation.Status.SUCCEEDED and generation.deleted_at is None


def video_url(generation: Generation) -> str:
    return storage.signed_url(generation.video_key, content_type="video/mp4", file_name=f"{generation.pk}.mp4")


def poster_url(generation: Generation) -> str:
    return storage.signed_url(generation.poster_key, content_type="image/jpeg", file_name=f"{generation.pk}.jpg")


def image_url(image: InputImage) -> str:
    return storage.signed_url(
        image.key, content_type=f"image/{image.format}", file_name=f"{image.sha256}.{image.format}"
    )
