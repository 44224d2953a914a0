"""Check an image by its bytes: format, size and shape. A file's name and declared type are never trusted."""

import hashlib
from dataclasses import dataclass
from mmap import mmap

from generations import errors
from generations.media import base64_text, image_formats
from generations.media.image_parts import BROKEN

# The source of the limits is the upstream's page of the endpoint.
MAX_BYTES = 30 * 1024 * 1024
SHORTER_SIDE_ABOVE, LONGER_SIDE_BELOW = 300, 6000  # pixels; both bounds are exclusive
MIN_ASPECT, MAX_ASPECT = 0.4, 2.5  # width / height; both bounds are inclusive


@dataclass(frozen=True)
class Image:
    """An image that passed every check, with its bytes."""

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
        raise errors.ImageTooManyBytes(limit=MAX_BYTES) from error
    except base64_text.NotBase64 as error:
        raise errors.ImageUnreadable from error


def inspect(content: bytes | mmap) -> Image:
    """Return the image in these bytes, checked against every limit above. Raise a BadImage."""
    if len(content) > MAX_BYTES:
        raise errors.ImageTooManyBytes(limit=MAX_BYTES)
    image_format = image_formats.detect(content)
    if image_format is None:
        raise errors.ImageFormatUnknown
    try:
        width, height = image_format.size(content)
    except BROKEN as error:
        raise errors.ImageFormatUnknown from error
    _check_shape(width, height)
    try:
        is_whole = image_format.is_whole(content)
    except BROKEN:  # a readable header may still point nowhere
        is_whole = False
    if not is_whole:
        raise errors.ImageIncomplete(format=image_format.name)
    return Image(content, image_format.name, width, height)


def _check_shape(width: int, height: int) -> None:
    """Raise ImageTooLarge, ImageTooSmall or ImageAspectOutOfRange if the sides are out of bounds."""
    if max(width, height) >= LONGER_SIDE_BELOW:
        raise errors.ImageTooLarge(side=max(width, height), limit=LONGER_SIDE_BELOW)
    if min(width, height) <= SHORTER_SIDE_ABOVE:
        raise errors.ImageTooSmall(side=min(width, height), limit=SHORTER_SIDE_ABOVE)
    if not MIN_ASPECT <= width / height <= MAX_ASPECT:
        raise errors.ImageAspectOutOfRange(aspect=f"{width / height:.4f}", least=MIN_ASPECT, most=MAX_ASPECT)
