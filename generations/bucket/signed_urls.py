"""Signed URLs of videos, posters and input images: their address, file name and time of validity."""

from datetime import datetime, timedelta
from urllib.parse import quote, urlsplit

from botocore.exceptions import BotoCoreError
from django.conf import settings

from generations import aws
from generations.bucket import client, signing
from generations.bucket.errors import CannotSign
from generations.models import Generation, InputImage
from tenants.db import clock


class SignedUrl(str):
    """A signed URL. S3 refuses it from `expires_at` on, which is `ttl` seconds after it was signed."""

    expires_at: datetime
    ttl: int


def video_url(generation: Generation) -> SignedUrl:
    """Return a signed URL of the video."""
    return sign(generation.video_key, content_type="video/mp4", file_name=f"{generation.pk}.mp4")


def poster_url(generation: Generation) -> SignedUrl:
    """Return a signed URL of the poster."""
    return sign(generation.poster_key, content_type="image/jpeg", file_name=f"{generation.pk}.jpg")


def image_url(image: InputImage) -> SignedUrl:
    """Return a signed URL of the input image."""
    return sign(image.key, content_type=f"image/{image.format}", file_name=f"{image.sha256}.{image.format}")


def sign(key: str, *, content_type: str, file_name: str) -> SignedUrl:
    """Return a URL that reads the object, signed now and valid for SIGNED_URL_TTL seconds.

    A role's session that ends before is renewed. If its source gives no later one, the URL is valid until that end: S3
    refuses each URL that an ended session has signed. S3 answers with `content_type` and `file_name`. Raise CannotSign
    if there are no valid credentials.
    """
    try:
        session, held = aws.bucket_session()
        credentials, ends_at = held.current(settings.SIGNED_URL_TTL)
        bucket_url = client.bucket_url(session, public=True)
    except BotoCoreError as error:
        raise CannotSign(f"no URL can be signed: {type(error).__name__}") from error
    at = clock.now().replace(microsecond=0)  # as the URL names it
    ttl = settings.SIGNED_URL_TTL
    if ends_at is not None:
        ttl = min(ttl, int((ends_at - at).total_seconds()))
    response_headers = {
        "response-content-type": content_type,
        "response-content-disposition": f"inline; filename={quote(file_name)}",
    }
    # The client's own method looks up its endpoint and builds a request for each URL, which takes long.
    url = SignedUrl(signing.presign(bucket_url, key, response_headers, credentials, session.region_name, at, ttl))
    url.ttl, url.expires_at = ttl, at + timedelta(seconds=ttl)
    return url


def public_origin() -> str:
    """Return the origin of every signed URL: https://bucket.s3.eu-central-1.amazonaws.com, or that of S3_PUBLIC_URL.

    Raise StorageError if the settings name no address.
    """
    with client.translate_errors():
        session, _ = aws.bucket_session()
        parts = urlsplit(client.bucket_url(session, public=True))
    return f"{parts.scheme}://{parts.netloc}"
