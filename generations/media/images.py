"""Check an image by its bytes: a format that the service reads, and whole. A file's name and type are never trusted.

What a model takes of such images is its own: `image_rules`.
"""

import hashlib
from dataclasses import dataclass
from mmap import mmap

from generations import errors
from generations.media import base64_text, image_formats
from generations.media.image_parts import BROKEN

SERVICE = "the service"  # in messages, in the place of a model
MAX_BYTES = 30 * 1024 * 1024  # a body has room for two of them in Base64
LONGER_SIDE_BELOW = 6000  # pixels: reading a larger image to its end takes too long


@dataclass(frozen=True)
class Image:
    """An image that passed the service's checks, with its bytes."""

    content: bytes | mmap
    format: str  # jpeg, png, webp, bmp, tiff, gif
    width: int
    height: int

    @property
    def sha256(self) -> str:
        """Return the digest of the bytes, in hex. Each call hashes all of them."""
        return hashlib.sha256(self.content).hexdigest()


def is_url(text: str) -> bool:
    """Return whether the text is a URL rather than Base64 or a data URI."""
    return text[:8].lower().startswith(("http://", "https://"))


def decode(text: str | memoryview) -> bytes:
    """Return the bytes of Base64 or of a data URI. Raise ImageUnreadable or ImageTooManyBytes."""
    try:
        return base64_text.decode(text, MAX_BYTES)
    except base64_text.TooLong as error:
        raise errors.ImageTooManyBytes(taker=SERVICE, limit=MAX_BYTES) from error
    except base64_text.NotBase64 as error:
        raise errors.ImageUnreadable from error


def inspect(content: bytes | mmap) -> Image:
    """Return the image in these bytes, checked against the limits above, and whole. Raise a BadImage."""
    if len(content) > MAX_BYTES:
        raise errors.ImageTooManyBytes(taker=SERVICE, limit=MAX_BYTES)
    image_format = image_formats.detect(content)
    if image_format is None:
        raise _unknown_format()
    try:
        width, height = image_format.size(content)
    except BROKEN as error:
        raise _unknown_format() from error
    if max(width, height) >= LONGER_SIDE_BELOW:
        raise errors.ImageTooLarge(taker=SERVICE, side=max(width, height), limit=f"less than {LONGER_SIDE_BELOW}")
    try:
        is_whole = image_format.is_whole(content)
    except BROKEN:  # a readable header may still point nowhere
        is_whole = False
    if not is_whole:
        raise errors.ImageIncomplete(format=image_format.name)
    return Image(content, image_format.name, width, height)


def _unknown_format() -> errors.ImageFormatUnknown:
    """Return the error of bytes that are no image of a known format."""
    return errors.ImageFormatUnknown(taker=SERVICE, formats=", ".join(image_formats.NAMES))
