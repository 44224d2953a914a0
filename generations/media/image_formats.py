"""Read an image's format and size from its bytes, and whether it is whole. Nothing is copied.

An imaging library would record each part: a JPEG of 28 MB with seven million empty segments costs it one GB and 13 s.
Pixels are decoded only where an end is missing: readers show an image without its last bytes, if all pixels are there.
"""

import io
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from PIL import Image

from generations.media import png, tiff
from generations.media.image_parts import BROKEN, MAX_PARTS, Broken, Content, bounded

MAX_MAGIC_BYTES = 16


class Format(NamedTuple):
    """A format with its two readers. Both raise one of BROKEN if the bytes only begin as the format does."""

    name: str
    size: Callable[[Content], tuple[int, int]]  # width and height in pixels
    is_whole: Callable[[Content], bool]


def detect(content: Content) -> Format | None:
    """Return the format that the first bytes name; None for an unknown one."""
    first = content[:MAX_MAGIC_BYTES]
    if first.startswith(b"RIFF") and first[8:12] == b"WEBP":
        return WEBP
    return next((image_format for magic, image_format in BY_MAGIC.items() if first.startswith(magic)), None)


STANDALONE = {0x00, 0x01, *range(0xD0, 0xD8)}  # JPEG's markers without a length
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
SCAN = 0xDA
BASELINE = {0xC0, 0xC1}  # frames that are not progressive
MAX_SEGMENTS_OF_PILLOW = 1000  # Pillow records each


def _jpeg_segments(content: Content) -> Iterator[tuple[int, int]]:
    """Yield (marker, offset) of each segment up to the first scan.

    The walk goes by lengths: a thumbnail inside a segment may hold a scan and an end of its own.
    """
    at, marker = 2, 0
    while marker != SCAN and (at := content.find(b"\xff", at)) >= 0 and at + 4 <= len(content):
        marker = content[at + 1]
        yield marker, at
        if marker == 0xFF:
            at += 1  # a fill byte
        else:
            at += 2 if marker in STANDALONE else 2 + int.from_bytes(content[at + 2 : at + 4])


def _jpeg_size(content: Content) -> tuple[int, int]:
    for marker, at in bounded(_jpeg_segments(content)):
        if marker in FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
    raise Broken("the JPEG has no frame")


def _jpeg_is_whole(content: Content) -> bool:
    """Return whether FF D9 follows the start of the scan. Inside the scan every FF is stuffed, so this is the end.

    Without FF D9 the pixels may still be whole. Pillow finds that out in little memory unless the image is progressive.
    """
    is_baseline = False
    for count, (marker, at) in enumerate(bounded(_jpeg_segments(content))):
        is_baseline = is_baseline or marker in BASELINE
        if marker == SCAN:
            has_end = content.find(b"\xff\xd9", at) >= 0
            return has_end or (is_baseline and count < MAX_SEGMENTS_OF_PILLOW and _decodes(content, "JPEG"))
    return False


def _decodes(content: Content, name: str) -> bool:
    """Return whether Pillow reads all pixels of the first image; of a JPEG at an eighth of the size."""
    try:
        with Image.open(io.BytesIO(content), formats=[name]) as image:
            image.draft("L", (1, 1))
            image.load()
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, *BROKEN):
        return False
    return True


def _gif_size(content: Content) -> tuple[int, int]:
    """Return the size of the screen, or of the first frame where that is larger: readers enlarge the screen."""
    width, height = struct.unpack_from("<HH", content, 6)
    with suppress(IndexError):  # the content ends within a block
        for kind, at, _ in bounded(_gif_blocks(content)):
            if kind == FRAME:
                left, top, frame_width, frame_height = struct.unpack_from("<HHHH", content, at + 1)
                return max(width, left + frame_width), max(height, top + frame_height)
    return width, height


EXTENSION, FRAME, TRAILER = 0x21, 0x2C, 0x3B
BLOCK = re.compile(rb"[\x21\x2c\x3b]")


def _gif_blocks(content: Content) -> Iterator[tuple[int, int, bool]]:
    """Yield (kind, offset, whether it has ended) for each extension and frame, at its start and after each sub-block.

    What lies between two blocks is skipped, as readers do.
    """
    at = 13 + _palette_bytes(content[10])
    while (found := BLOCK.search(content, at)) and content[found.start()] != TRAILER:
        start, kind = found.start(), content[found.start()]
        yield kind, start, False
        at = start + (11 + _palette_bytes(content[start + 9]) if kind == FRAME else 2)
        while content[at]:
            at += 1 + content[at]
            yield kind, start, False
        at += 1
        yield kind, start, True


def _palette_bytes(flags: int) -> int:
    """Return the length of the colour table that the flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _gif_is_whole(content: Content) -> bool:
    """Return whether the first frame has its end, or all its pixels."""
    try:
        return any(kind == FRAME and has_ended for kind, _, has_ended in bounded(_gif_blocks(content)))
    except IndexError:  # the content ends within a block
        return _decodes(content, "GIF")


def _webp_size(content: Content) -> tuple[int, int]:
    """Return width and height from the first chunk. Source: RFC 9649."""
    if content[12:16] == b"VP8 " and content[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    if content[12:16] == b"VP8L" and content[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if content[12:16] == b"VP8X" and len(content) >= 30:
        return int.from_bytes(content[24:27], "little") + 1, int.from_bytes(content[27:30], "little") + 1
    raise Broken("the WebP has no image")


def _webp_is_whole(content: Content) -> bool:
    return 8 + int.from_bytes(content[4:8], "little") <= len(content)


class Bitmap(NamedTuple):
    """The fields of a BMP's header."""

    offset: int  # of the pixels
    width: int
    height: int  # negative: from the top down
    bits: int
    compression: int
    compressed_bytes: int  # of the pixels, if they are compressed


def _bmp(content: Content) -> Bitmap:
    """Return the header's fields, of the format of OS/2 or of Windows."""
    offset, header = struct.unpack_from("<II", content, 10)
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
        return Bitmap(offset, width, height, bits, 0, 0)
    if header not in (40, 52, 56, 64, 108, 124):
        raise Broken("the BMP has no known header")
    width, height, _, bits, compression, compressed_bytes = struct.unpack_from("<iiHHII", content, 18)
    return Bitmap(offset, width, height, bits, compression, compressed_bytes)


def _bmp_size(content: Content) -> tuple[int, int]:
    bitmap = _bmp(content)
    return bitmap.width, abs(bitmap.height)


def _bmp_is_whole(content: Content) -> bool:
    bitmap = _bmp(content)
    if bitmap.compression in (1, 2):
        return _run_lengths_are_whole(content, bitmap)
    row = (bitmap.width * bitmap.bits + 31) // 32 * 4
    last_row = (bitmap.width * bitmap.bits + 7) // 8  # without the bytes that fill it up
    return row > 0 and bitmap.offset + row * (abs(bitmap.height) - 1) + last_row <= len(content)


def _run_lengths_are_whole(content: Content, bitmap: Bitmap) -> bool:
    """Return whether the runs have the length that the header states, or their end."""
    if bitmap.compressed_bytes and bitmap.offset + bitmap.compressed_bytes <= len(content):
        return True
    at = bitmap.offset
    for _ in range(MAX_PARTS):  # what has more runs is not looked at to its end
        count, value = content[at], content[at + 1]
        at += 2
        if count:
            continue
        if value == 1:  # the end of the bitmap
            return True
        if value == 2:  # a move
            at += 2
        elif value > 2:  # pixels without a run, filled up to an even number of bytes
            at += (value + 1) // 2 * 2 if bitmap.compression == 1 else (value + 3) // 4 * 2
    return True


WEBP = Format("webp", _webp_size, _webp_is_whole)
GIF = Format("gif", _gif_size, _gif_is_whole)
TIFF = Format("tiff", tiff.read_size, tiff.is_whole)
BY_MAGIC = {
    b"\xff\xd8\xff": Format("jpeg", _jpeg_size, _jpeg_is_whole),
    b"\x89PNG\r\n\x1a\n": Format("png", png.read_size, png.is_whole),
    b"GIF87a": GIF,
    b"GIF89a": GIF,
    b"BM": Format("bmp", _bmp_size, _bmp_is_whole),
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
    b"II+\0": TIFF,
    b"MM\0+": TIFF,
}
NAMES = tuple(dict.fromkeys(image_format.name for image_format in [*BY_MAGIC.values(), WEBP]))
