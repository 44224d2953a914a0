"""What an image is: its format, size and shape, read from its bytes and never from its name or declared type.

No pixel is decoded here: the header gives the shape, and a walk over the container tells whether it is whole.
"""

import hashlib
import io
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pybase64
from PIL import Image as Pillow

from generations import errors

# The endpoint's page: the sides are exclusive bounds, the aspect is inclusive.
MAX_BYTES = 30 * 1024 * 1024
SHORTER_SIDE_ABOVE, LONGER_SIDE_BELOW = 300, 6000
ASPECT_LEAST, ASPECT_MOST = 0.4, 2.5
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
# What Pillow and struct raise on bytes that are not what they say; UnidentifiedImageError is an OSError.
BROKEN = (OSError, ValueError, SyntaxError, struct.error, IndexError, KeyError, TypeError)
MAX_BASE64 = -(-MAX_BYTES // 3) * 4

Pillow.MAX_IMAGE_PIXELS = LONGER_SIDE_BELOW * LONGER_SIDE_BELOW
warnings.simplefilter("error", Pillow.DecompressionBombWarning)


@dataclass(frozen=True)
class Image:
    content: bytes
    format: str  # jpeg, png, webp, bmp, tiff, gif
    width: int
    height: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def is_url(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))


def decode(text: str) -> bytes:
    """The bytes of raw Base64 or of a Base64 data URI. Raises ImageUnreadable or ImageTooManyBytes."""
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise errors.ImageUnreadable
    if any(end in text[:1000] for end in "\r\n"):  # MIME breaks its lines after 76 characters
        text = "".join(text.split())
    if len(text) > MAX_BASE64:
        raise errors.ImageTooManyBytes(limit=MAX_BYTES)
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError as error:
        raise errors.ImageUnreadable from error


def inspect(content: bytes) -> Image:
    """The image in these bytes, checked against every rule of the endpoint's page. Raises a BadImage."""
    if len(content) > MAX_BYTES:
        raise errors.ImageTooManyBytes(limit=MAX_BYTES)
    name, width, height = _header(content)
    _check_shape(width, height)
    try:
        whole = WHOLE[name](content)
    except BROKEN:  # a header that Pillow puts up with may still lead nowhere
        whole = False
    if not whole:
        raise errors.ImageIncomplete(format=name.lower())
    return Image(content, name.lower(), width, height)


def _header(content: bytes) -> tuple[str, int, int]:
    if content.startswith(b"\x89PNG\r\n\x1a\n") and content[12:16] == b"IHDR" and len(content) >= 33:
        # Read here: Pillow would inflate the texts and colour profiles too, and refuses a picture with large ones.
        return "PNG", *struct.unpack_from(">II", content, 16)
    try:
        with Pillow.open(io.BytesIO(content), formats=FORMATS) as image:
            # A phone's JPEG with a second picture behind the first calls itself MPO.
            return ("JPEG" if image.format == "MPO" else str(image.format)), *image.size
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        # More pixels than a square of the longest side: one side is longer than that.
        raise errors.ImageTooLarge(side=f"more than {LONGER_SIDE_BELOW}", limit=LONGER_SIDE_BELOW) from error
    except BROKEN as error:
        raise errors.ImageFormatUnknown from error


def _check_shape(width: int, height: int) -> None:
    if max(width, height) >= LONGER_SIDE_BELOW:
        raise errors.ImageTooLarge(side=max(width, height), limit=LONGER_SIDE_BELOW)
    if min(width, height) <= SHORTER_SIDE_ABOVE:
        raise errors.ImageTooSmall(side=min(width, height), limit=SHORTER_SIDE_ABOVE)
    if not ASPECT_LEAST <= width / height <= ASPECT_MOST:
        raise errors.ImageAspectOutOfRange(aspect=f"{width / height:.4f}", least=ASPECT_LEAST, most=ASPECT_MOST)


def _jpeg_is_whole(content: bytes) -> bool:
    """Inside the scan every FF is stuffed, so FF D9 after its start is the real end."""
    scan = content.find(b"\xff\xda", _after_segments(content))
    return scan >= 0 and content.find(b"\xff\xd9", scan) >= 0


def _after_segments(content: bytes) -> int:
    """Where the first scan starts: past the segments, whose thumbnails may hold an end of their own."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != 0xDA:
        marker = content[at + 1]
        standalone = marker == 0xFF or 0xD0 <= marker <= 0xD7 or marker == 0x01
        at += (1 if marker == 0xFF else 2) if standalone else 2 + int.from_bytes(content[at + 2 : at + 4])
    return at


def _png_is_whole(content: bytes) -> bool:
    at = 8
    while at + 12 <= len(content):
        length, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        at += 12 + length
        if kind == b"IEND":
            return at <= len(content)
    return False


def _gif_is_whole(content: bytes) -> bool:
    """True where the first frame's data blocks reach their terminator."""
    flags = content[10]
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while at + 2 <= len(content):
        if content[at] == 0x2C:
            flags = content[at + 9] if at + 9 < len(content) else 0
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
            return _after_blocks(content, at) <= len(content)
        if content[at] != 0x21:
            return False
        at = _after_blocks(content, at + 2)
    return False


def _after_blocks(content: bytes, at: int) -> int:
    """Past a chain of GIF data blocks; past the end of the content where the chain has no terminator."""
    while at < len(content) and content[at]:
        at += 1 + content[at]
    return at + 1


def _webp_is_whole(content: bytes) -> bool:
    return 8 + int.from_bytes(content[4:8], "little") <= len(content)


def _bmp_is_whole(content: bytes) -> bool:
    """The header gives the pixels' offset and, unless they are compressed, their size."""
    offset, header = struct.unpack_from("<II", content, 10)
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
        compression = stored = 0
    else:
        width, height, _, bits, compression, stored = struct.unpack_from("<iiHHII", content, 18)
    pixels: int = stored if compression in (1, 2) else (width * bits + 31) // 32 * 4 * abs(height)
    return bool(pixels > 0 and offset + pixels <= len(content))


def _tiff_is_whole(content: bytes) -> bool:
    """Every strip or tile of the first picture lies inside the content."""
    with Pillow.open(io.BytesIO(content), formats=("TIFF",)) as image:
        tags: dict[int, Any] = image.tag_v2  # type: ignore[attr-defined]
        offsets = _many(tags.get(273) or tags.get(324) or ())
        lengths = _many(tags.get(279) or tags.get(325) or ())
    pieces = zip(offsets, lengths, strict=True)
    return bool(offsets) and all(offset + length <= len(content) for offset, length in pieces)


def _many(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


WHOLE: dict[str, Callable[[bytes], bool]] = {
    "JPEG": _jpeg_is_whole,
    "PNG": _png_is_whole,
    "GIF": _gif_is_whole,
    "WEBP": _webp_is_whole,
    "BMP": _bmp_is_whole,
    "TIFF": _tiff_is_whole,
}
