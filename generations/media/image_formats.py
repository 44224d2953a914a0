"""Read an image's format and size from its bytes, and whether it is whole. No pixel is decoded, nothing is copied.

An imaging library would record each part: a JPEG of 28 MB with seven million empty segments costs it one GB and 13 s.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from mmap import mmap
from typing import NamedTuple, TypeVar

MAX_PARTS = 600_000  # segments, chunks, blocks or tiles: a TIFF of 6000 x 6000 pixels in four planes has 565,000
MAX_MAGIC_BYTES = 16
Part = TypeVar("Part")
Content = bytes | mmap  # a file is mapped, so that its bytes are not read into memory


class Broken(Exception):
    """The bytes begin as a known format and do not go on as one."""


BROKEN = (Broken, struct.error, IndexError, OverflowError)


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


def _bounded(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield the parts. Raise Broken after MAX_PARTS, so that a hostile file cannot keep a thread busy."""
    for count, part in enumerate(parts):
        if count == MAX_PARTS:
            raise Broken("the image has too many parts")
        yield part


STANDALONE = {0x00, 0x01, *range(0xD0, 0xD8)}  # JPEG's markers without a length
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
SCAN = 0xDA


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
    for marker, at in _bounded(_jpeg_segments(content)):
        if marker in FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
    raise Broken("the JPEG has no frame")


def _jpeg_is_whole(content: Content) -> bool:
    """Return whether FF D9 follows the start of the scan. Inside the scan every FF is stuffed, so this is the end."""
    return any(
        marker == SCAN and content.find(b"\xff\xd9", at) >= 0 for marker, at in _bounded(_jpeg_segments(content))
    )


def _png_size(content: Content) -> tuple[int, int]:
    if content[12:16] != b"IHDR":
        raise Broken("the PNG has no header")
    width, height = struct.unpack_from(">II", content, 16)
    return width, height


def _png_chunks(content: Content) -> Iterator[tuple[bytes, int]]:
    """Yield (kind, offset of the end) of each chunk."""
    at = 8
    while at + 12 <= len(content):
        kind = content[at + 4 : at + 8]
        at += 12 + int.from_bytes(content[at : at + 4])
        yield kind, at


def _png_is_whole(content: Content) -> bool:
    return any(kind == b"IEND" and end <= len(content) for kind, end in _bounded(_png_chunks(content)))


def _gif_size(content: Content) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", content, 6)
    return width, height


def _gif_blocks(content: Content) -> Iterator[bool]:
    """Yield once for each block: True when the first frame's data have reached their terminator, False before."""
    at = 13 + _palette_bytes(content[10])
    while content[at] in (0x21, 0x2C):  # an extension, a frame
        is_frame = content[at] == 0x2C
        at += 11 + _palette_bytes(content[at + 9]) if is_frame else 2
        while content[at]:
            at += 1 + content[at]
            yield False
        at += 1
        yield is_frame


def _palette_bytes(flags: int) -> int:
    """Return the length of the colour table that the flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _gif_is_whole(content: Content) -> bool:
    return any(_bounded(_gif_blocks(content)))


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
    rows = (bitmap.width * bitmap.bits + 31) // 32 * 4 * abs(bitmap.height)
    pixels = bitmap.compressed_bytes if bitmap.compression in (1, 2) else rows
    return pixels > 0 and bitmap.offset + pixels <= len(content)


WIDTH, HEIGHT, STRIPS, STRIP_LENGTHS, TILES, TILE_LENGTHS = 256, 257, 273, 279, 324, 325
NUMBERS = {3: "H", 4: "I", 16: "Q"}  # TIFF's integer types, and their letters in `struct`


def _tiff_numbers(content: Content, *tags: int) -> list[tuple[int, ...]]:
    """Return the values of each tag in the first directory, of classic TIFF or BigTIFF; () for a missing tag."""
    order = "<" if content[:1] == b"I" else ">"
    word, count, length = ("Q", "Q", 20) if 43 in content[2:4] else ("I", "H", 12)
    (at,) = struct.unpack_from(order + word, content, struct.calcsize(word))
    (entries,) = struct.unpack_from(order + count, content, at)
    at += struct.calcsize(count)
    values: dict[int, tuple[int, ...]] = {}
    for entry in _bounded(range(at, at + entries * length, length)):
        tag, kind, number = struct.unpack_from(f"{order}HH{word}", content, entry)
        if tag in tags and tag not in values and kind in NUMBERS and number <= MAX_PARTS:
            layout = f"{order}{number}{NUMBERS[kind]}"
            values[tag] = _tiff_values(content, entry + 4 + struct.calcsize(word), word, layout)
    return [values.get(tag, ()) for tag in tags]


def _tiff_values(content: Content, at: int, word: str, layout: str) -> tuple[int, ...]:
    """Return the values of an entry, which lie in the entry itself, or where the entry points if they do not fit."""
    if struct.calcsize(layout) > struct.calcsize(word):
        (at,) = struct.unpack_from(layout[0] + word, content, at)
    return struct.unpack_from(layout, content, at)


def _tiff_size(content: Content) -> tuple[int, int]:
    widths, heights = _tiff_numbers(content, WIDTH, HEIGHT)
    return widths[0], heights[0]


def _tiff_is_whole(content: Content) -> bool:
    """Return whether every strip or tile of the first image lies inside the content."""
    strips, strip_lengths, tiles, tile_lengths = _tiff_numbers(content, STRIPS, STRIP_LENGTHS, TILES, TILE_LENGTHS)
    offsets, lengths = (strips, strip_lengths) if strips else (tiles, tile_lengths)
    if not offsets or len(offsets) != len(lengths):
        return False
    return all(offset + length <= len(content) for offset, length in zip(offsets, lengths, strict=True))


WEBP = Format("webp", _webp_size, _webp_is_whole)
GIF = Format("gif", _gif_size, _gif_is_whole)
TIFF = Format("tiff", _tiff_size, _tiff_is_whole)
BY_MAGIC = {
    b"\xff\xd8\xff": Format("jpeg", _jpeg_size, _jpeg_is_whole),
    b"\x89PNG\r\n\x1a\n": Format("png", _png_size, _png_is_whole),
    b"GIF87a": GIF,
    b"GIF89a": GIF,
    b"BM": Format("bmp", _bmp_size, _bmp_is_whole),
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
    b"II+\0": TIFF,
    b"MM\0+": TIFF,
}
