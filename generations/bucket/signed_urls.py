"""Signed URLs of videos, posters and input images: their address, file name and time of validity."""

from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from botocore.exceptions import NoCredentialsError
from django.conf import settings
from django.utils import timezone

from generations.bucket import signing
from generations.bucket.client import get_client, translate_errors
from generations.models import Generation, InputImage

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def video_url(generation: Generation) -> str:
    """Return a signed URL of the video."""
    return sign(generation.video_key, content_type="video/mp4", file_name=f"{generation.pk}.mp4")


def poster_url(generation: Generation) -> str:
    """Return a signed URL of the poster."""
    return sign(generation.poster_key, content_type="image/jpeg", file_name=f"{generation.pk}.jpg")


def image_url(image: InputImage) -> str:
    """Return a signed URL of the input image."""
    return sign(image.key, content_type=f"image/{image.format}", file_name=f"{image.sha256}.{image.format}")


def sign(key: str, *, content_type: str, file_name: str) -> str:
    """Return a URL that reads the object, signed now and valid for SIGNED_URL_TTL seconds.

    S3 answers with `content_type` and `file_name`. Raise StorageError if there are no credentials.
    """
    with translate_errors():
        client = get_client(public=True)
        # The client's own method looks up its endpoint and builds a request for each URL, which takes long.
        credentials = client._request_signer._credentials  # type: ignore[attr-defined]
        if credentials is None:
            raise NoCredentialsError
        response_headers = {
            "response-content-type": content_type,
            "response-content-disposition": f"inline; filename={quote(file_name)}",
        }
        return signing.presign(
            _bucket_url(client, settings.S3_BUCKET),
            key,
            response_headers,
            credentials.get_frozen_credentials(),  # a role's credentials change each hour
            client.meta.region_name,
            timezone.now(),
            settings.SIGNED_URL_TTL,
        )


def expires_at() -> datetime:
    """Return the time until which a URL signed now is valid."""
    return timezone.now() + timedelta(seconds=settings.SIGNED_URL_TTL)


def public_origin() -> str:
    """Return the origin of every signed URL: https://bucket.s3.eu-central-1.amazonaws.com, or that of S3_PUBLIC_URL."""
    parts = urlsplit(sign("any", content_type="", file_name=""))
    return f"{parts.scheme}://{parts.netloc}"


@cache
def _bucket_url(client: "S3Client", bucket: str) -> str:
    """Return the bucket's URL with its slash, as the client builds it."""
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    return url.partition("?")[0].removesuffix("k")
