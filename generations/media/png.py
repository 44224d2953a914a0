"""Read a PNG's size, and whether its pixels are whole. Source: https://www.w3.org/TR/png-3/."""

import struct
import zlib
from collections.abc import Iterator

from generations.media.image_parts import Broken, Content, bounded

INFLATED_AT_ONCE = 64 * 1024
ZLIB_HEADER_BYTES = 2


def read_size(content: Content) -> tuple[int, int]:
    if content[12:16] != b"IHDR":
        raise Broken("the PNG has no header")
    width, height = struct.unpack_from(">II", content, 16)
    return width, height


def _chunks(content: Content) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, and start and end of the data, of each chunk. The last may end behind the content."""
    at = 8
    while at + 8 <= len(content):
        kind, start = content[at + 4 : at + 8], at + 8
        at = start + int.from_bytes(content[at : at + 4]) + 4
        yield kind, start, at - 4


def is_whole(content: Content) -> bool:
    """Return whether the PNG has its end, or all its pixels: readers need no more."""
    data = []
    for kind, start, end in bounded(_chunks(content)):
        if kind == b"IEND":
            return True
        if kind == b"IDAT":
            data.append((start, min(end, len(content))))
    return _inflates_to(content, data, _bytes_of_rows(content))


CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _bytes_of_rows(content: Content) -> int:
    """Return the bytes of all rows before compression."""
    width, height, depth, colour, _, _, is_interlaced = struct.unpack_from(">IIBBBBB", content, 16)
    bits = depth * CHANNELS.get(colour, 1)
    total = 0
    for x, y, step_x, step_y in ADAM7 if is_interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // step_x), -(-(height - y) // step_y)
        total += rows * (1 + (columns * bits + 7) // 8) if columns > 0 and rows > 0 else 0
    return total


def _inflates_to(content: Content, data: list[tuple[int, int]], needed: int) -> bool:
    """Return whether the compressed data holds that many bytes. They are counted, and not stored.

    The header and the checksum of the data do not matter: readers show an image without them too.
    """
    inflater, total, skipped = zlib.decompressobj(-zlib.MAX_WBITS), 0, ZLIB_HEADER_BYTES
    try:
        for begin, end in data:
            start = min(begin + skipped, end)
            skipped -= start - begin
            for at in range(start, end, INFLATED_AT_ONCE):
                piece = content[at : min(at + INFLATED_AT_ONCE, end)]
                while piece and total < needed:
                    total += len(inflater.decompress(piece, INFLATED_AT_ONCE))
                    piece = inflater.unconsumed_tail
                if total >= needed or inflater.eof:
                    return total >= needed
    except zlib.error:
        return False
    return False
