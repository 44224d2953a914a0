"""Read a TIFF's size from its first directory, and whether its pixels are whole. Source: TIFF 6.0, and BigTIFF.

What is missing or wrong in a directory is judged as libtiff and Pillow do: a tag that cannot be read is not there, and
lengths that are missing follow from the size.
"""

import struct

from generations.media.image_parts import Broken, Content, bounded

WIDTH, HEIGHT, BITS, COMPRESSION, SAMPLES, ROWS, PLANES = 256, 257, 258, 259, 277, 278, 284
STRIPS, STRIP_LENGTHS, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_LENGTHS, JPEG = 273, 279, 322, 323, 324, 325, 513
TAGS = {WIDTH, HEIGHT, BITS, COMPRESSION, SAMPLES, ROWS, PLANES}
TAGS |= {STRIPS, STRIP_LENGTHS, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_LENGTHS, JPEG}
NUMBERS = {1: "B", 3: "H", 4: "I", 8: "h", 9: "i", 13: "I", 16: "Q"}  # integer types, and their letters in `struct`
UNCOMPRESSED, OLD_JPEG = 1, 6
MAX_VALUES = 600_000  # strips or tiles: an image of 6000 x 6000 pixels in four planes has 565,000 tiles

Tags = dict[int, tuple[int, ...]]


def read_size(content: Content) -> tuple[int, int]:
    """Return width and height in pixels. Raise one of BROKEN without them."""
    tags = _read_tags(content)
    if not (tags.get(WIDTH) and tags.get(HEIGHT)):
        raise Broken("the TIFF has no size")
    return tags[WIDTH][0], tags[HEIGHT][0]


def is_whole(content: Content) -> bool:
    """Return whether all strips or tiles of the first image lie inside the content."""
    tags = _read_tags(content)
    is_tiled = not tags.get(STRIPS)
    offsets = tags.get(TILES if is_tiled else STRIPS, ())
    lengths = tags.get(TILE_LENGTHS if is_tiled else STRIP_LENGTHS, ())
    if not offsets:  # a JPEG of the old kind has only the offset of its stream
        return tags.get(COMPRESSION) == (OLD_JPEG,) and 0 < tags.get(JPEG, (0,))[0] < len(content)
    is_plain = tags.get(COMPRESSION, (UNCOMPRESSED,))[0] == UNCOMPRESSED
    needed = _bytes_of_parts(tags, is_tiled=is_tiled)
    for number, (offset, plain) in enumerate(zip(offsets, needed, strict=False)):
        length = lengths[number] if number < len(lengths) else 0
        if is_plain:
            length = min(length, plain) if length > 0 else plain
        if offset < 0 or offset + max(length, 1) > len(content):
            return False
    return True


def _bytes_of_parts(tags: Tags, *, is_tiled: bool) -> list[int]:
    """Return the bytes of each strip or tile of the image without compression."""
    width, height = tags[WIDTH][0], tags[HEIGHT][0]
    samples, bits = tags.get(SAMPLES, (1,))[0], tags.get(BITS, (1,))
    has_planes = tags.get(PLANES, (1,))[0] == 2
    bits_of_pixel = bits[0] if has_planes else sum(bits) if len(bits) == samples else bits[0] * samples
    planes = samples if has_planes else 1
    if is_tiled:
        across, down = tags.get(TILE_WIDTH, (width,))[0] or 1, tags.get(TILE_HEIGHT, (height,))[0] or 1
        tiles = -(-width // across) * -(-height // down) * planes
        return [down * ((across * bits_of_pixel + 7) // 8)] * min(tiles, MAX_VALUES)
    rows = min(tags.get(ROWS, (height,))[0] or height, height)
    row, strips = (width * bits_of_pixel + 7) // 8, -(-height // rows) if rows > 0 else 1
    of_plane = [min(rows, height - strip * rows) * row for strip in range(min(strips, MAX_VALUES))]
    return (of_plane * min(planes, MAX_VALUES // max(len(of_plane), 1) + 1))[:MAX_VALUES]


def _read_tags(content: Content) -> Tags:
    """Return the values of the tags in the first directory, of classic TIFF or BigTIFF, that can be read."""
    order = "<" if content[:1] == b"I" else ">"
    word, count, length = ("Q", "Q", 20) if 43 in content[2:4] else ("I", "H", 12)
    (at,) = struct.unpack_from(order + word, content, struct.calcsize(word))
    (entries,) = struct.unpack_from(order + count, content, at)
    at += struct.calcsize(count)
    values: Tags = {}
    for entry in bounded(range(at, min(at + entries * length, len(content) - length + 1), length)):
        tag, kind, number = struct.unpack_from(f"{order}HH{word}", content, entry)
        if tag in TAGS and tag not in values and kind in NUMBERS and number <= MAX_VALUES:
            layout = f"{order}{max(number, 1)}{NUMBERS[kind]}"
            if read := _read_values(content, entry + 4 + struct.calcsize(word), word, layout):
                values[tag] = read
    return values


def _read_values(content: Content, at: int, word: str, layout: str) -> tuple[int, ...]:
    """Return the values of an entry, which lie in the entry itself, or where the entry points if they do not fit.

    Return none if they lie outside the content.
    """
    if struct.calcsize(layout) > struct.calcsize(word):
        (at,) = struct.unpack_from(layout[0] + word, content, at)
    return struct.unpack_from(layout, content, at) if at + struct.calcsize(layout) <= len(content) else ()
