"""What an image is: its format, size and shape, read from its bytes and never from its name or declared type."""

import hashlib
from dataclasses import dataclass
from mmap import mmap

import pybase64

from generations import errors
from generations.media import image_formats

# The endpoint's page: the sides are exclusive bounds, the aspect is inclusive.
MAX_BYTES = 30 * 1024 * 1024
SHORTER_SIDE_ABOVE, LONGER_SIDE_BELOW = 300, 6000
ASPECT_LEAST, ASPECT_MOST = 0.4, 2.5
MOST_OF_A_HEAD = 1000  # characters of a data URI before its comma
MAX_BASE64 = -(-MAX_BYTES // 3) * 4


@dataclass(frozen=True)
class Image:
    content: bytes | mmap
    format: str  # jpeg, png, webp, bmp, tiff, gif
    width: int
    height: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def is_url(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))


def decode(text: str | memoryview) -> bytes:
    """Return the bytes of raw Base64 or of a Base64 data URI. Raise ImageUnreadable or ImageTooManyBytes.

    A memoryview is of ASCII in one line."""
    head = text[:MOST_OF_A_HEAD] if isinstance(text, str) else str(text[:MOST_OF_A_HEAD], "latin-1")
    if head[:5].lower() == "data:":
        kind, comma, _ = head.partition(",")
        if not comma or not kind.lower().endswith(";base64"):
            raise errors.ImageUnreadable
        text = text[len(kind) + 1 :]
    if isinstance(text, str) and ("\r" in text[:1000] or "\n" in text[:1000]):  # MIME breaks its lines after 76
        for space in "\r\n \t":  # split() would make an object of each piece
            text = text.replace(space, "")
    if len(text) > MAX_BASE64:
        raise errors.ImageTooManyBytes(limit=MAX_BYTES)
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError as error:
        raise errors.ImageUnreadable from error


def inspect(content: bytes | mmap) -> Image:
    """The image in these bytes, checked against every rule of the endpoint's page. Raises a BadImage."""
    if len(content) > MAX_BYTES:
        raise errors.ImageTooManyBytes(limit=MAX_BYTES)
    found = image_formats.format_of(content)
    if found is None:
        raise errors.ImageFormatUnknown
    try:
        width, height = found.size(content)
    except image_formats.BROKEN as error:
        raise errors.ImageFormatUnknown from error
    _check_shape(width, height)
    try:
        is_whole = found.is_whole(content)
    except image_formats.BROKEN:  # a header that can be read may still lead nowhere
        is_whole = False
    if not is_whole:
        raise errors.ImageIncomplete(format=found.name)
    return Image(content, found.name, width, height)


def _check_shape(width: int, height: int) -> None:
    if max(width, height) >= LONGER_SIDE_BELOW:
        raise errors.ImageTooLarge(side=max(width, height), limit=LONGER_SIDE_BELOW)
    if min(width, height) <= SHORTER_SIDE_ABOVE:
        raise errors.ImageTooSmall(side=min(width, height), limit=SHORTER_SIDE_ABOVE)
    if not ASPECT_LEAST <= width / height <= ASPECT_MOST:
        raise errors.ImageAspectOutOfRange(aspect=f"{width / height:.4f}", least=ASPECT_LEAST, most=ASPECT_MOST)
