"""Signed URLs of videos, posters and input images: their address, file name and time of validity."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
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


@dataclass(frozen=True)
class Signer:
    """Signs URLs of one second with the same credentials. An answer with many URLs needs one signer."""

    bucket_url: str
    credentials: signing.Credentials
    region: str
    at: datetime
    ttl: int  # seconds

    def video_url(self, generation: Generation) -> SignedUrl:
        """Return a signed URL of the video."""
        return self.sign(generation.video_key, content_type="video/mp4", file_name=f"{generation.pk}.mp4")

    def poster_url(self, generation: Generation) -> SignedUrl:
        """Return a signed URL of the poster."""
        return self.sign(generation.poster_key, content_type="image/jpeg", file_name=f"{generation.pk}.jpg")

    def image_url(self, image: InputImage) -> SignedUrl:
        """Return a signed URL of the input image."""
        return self.sign(image.key, content_type=f"image/{image.format}", file_name=f"{image.sha256}.{image.format}")

    def sign(self, key: str, *, content_type: str, file_name: str) -> SignedUrl:
        """Return a URL that reads the object. S3 answers with `content_type` and `file_name`.

        The client's own method looks up its endpoint and builds a request for each URL, which takes long.
        """
        response_headers = {
            "response-content-type": content_type,
            "response-content-disposition": f"inline; filename={quote(file_name)}",
        }
        text = signing.presign(self.bucket_url, key, response_headers, self.credentials, self.region, self.at, self.ttl)
        url = SignedUrl(text)
        url.ttl, url.expires_at = self.ttl, self.expires_at
        return url

    @cached_property
    def expires_at(self) -> datetime:
        """The time from which S3 refuses the URLs."""
        return self.at + timedelta(seconds=self.ttl)


def signer() -> Signer:
    """Return a signer of the present second, whose URLs are valid for SIGNED_URL_TTL seconds.

    A role's session that ends before is renewed. If its source gives no later one, the URLs are valid until that end:
    S3 refuses each URL that an ended session has signed. Raise CannotSign if there are no valid credentials.
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
    return Signer(bucket_url, credentials, session.region_name, at, ttl)


def public_origin() -> str:
    """Return the origin of every signed URL: https://bucket.s3.eu-central-1.amazonaws.com, or that of S3_PUBLIC_URL.

    Raise StorageError if the settings name no address.
    """
    with client.translate_errors():
        session, _ = aws.bucket_session()
        parts = urlsplit(client.bucket_url(session, public=True))
    return f"{parts.scheme}://{parts.netloc}"
