"""Whatever our readers of image formats refuse as broken, Pillow refuses too; and both measure the same size."""

import functools
import io
import struct
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from generations.media import image_formats
from generations.media.image_parts import BROKEN
from tests.support.images import image_bytes

WIDTH, HEIGHT = 67, 53  # no multiple of a block, a byte or a word
IMAGES: list[tuple[str, str, dict[str, Any]]] = [
    *(("JPEG", mode, {}) for mode in ("RGB", "L", "CMYK")),
    ("JPEG", "RGB", {"progressive": True}),
    ("JPEG", "RGB", {"restart_marker_rows": 1}),
    *(("PNG", mode, {}) for mode in ("RGB", "RGBA", "P", "1", "LA")),
    ("WEBP", "RGB", {}),
    ("WEBP", "RGBA", {}),
    ("WEBP", "RGB", {"lossless": True}),
    *(("BMP", mode, {}) for mode in ("RGB", "RGBA", "P", "1", "L")),
    *(("TIFF", mode, {}) for mode in ("RGB", "CMYK", "1", "L")),
    *(("TIFF", "RGB", {"compression": name}) for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")),
    ("TIFF", "1", {"compression": "group4"}),
    ("TIFF", "RGB", {"big_tiff": True}),
    ("TIFF", "RGB", {"tiffinfo": {278: 16}, "compression": "tiff_lzw"}),  # several strips
    *(("GIF", mode, {}) for mode in ("RGB", "P", "L")),
    ("GIF", "P", {"interlace": 1}),
]
NAMES = [f"{kind} {mode} {' '.join(map(str, options))}".strip() for kind, mode, options in IMAGES]
MAX_SIDE = 3000  # of a changed image; Pillow would decode a larger one for long


@functools.cache
def made(number: int) -> bytes:
    kind, mode, options = IMAGES[number]
    out = io.BytesIO()
    Image.open(io.BytesIO(image_bytes(WIDTH, HEIGHT, "PNG"))).convert(mode).save(out, kind, **options)
    return out.getvalue()


def read_by_pillow(content: bytes) -> tuple[int, int] | None:
    """Return the size if Pillow reads all pixels of the first image, else None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content)) as image:
                image.load()
                return image.size
        except Exception:
            return None


def read(content: bytes) -> tuple[int, int] | None:
    """Return the size if our readers find a whole image, else None."""
    found = image_formats.detect(content)
    if found is None:
        return None
    try:
        size = found.size(content)
        return size if max(size) <= MAX_SIDE and found.is_whole(content) else None
    except BROKEN:
        return None


def check(content: bytes) -> None:
    """Check that what Pillow reads, of a format and size that we take, is whole for us too, and of the same size."""
    found = image_formats.detect(content)
    by_pillow = found and read_by_pillow(content)
    if by_pillow and max(by_pillow) <= MAX_SIDE:
        assert read(content) == by_pillow


@pytest.mark.parametrize("number", range(len(IMAGES)), ids=NAMES)
def test_whole_images_are_whole(number: int) -> None:
    assert read(made(number)) == read_by_pillow(made(number)) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("number", range(len(IMAGES)), ids=NAMES)
@pytest.mark.parametrize("behind", [b"\0", b"\r\n", bytes(100), b"</html>" * 50])
def test_bytes_behind_an_image_do_not_matter(number: int, behind: bytes) -> None:
    assert read(made(number) + behind) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("number", range(len(IMAGES)), ids=NAMES)
def test_images_that_are_cut_off_are_broken_for_pillow_too(number: int) -> None:
    for missing in range(1, 40):
        check(made(number)[:-missing])
    assert read(made(number)[: len(made(number)) // 2]) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_images_are_broken_for_pillow_too(data: st.DataObject) -> None:
    """The changes lie where headers do: in the first bytes, or in a TIFF's directory, which Pillow writes last."""
    number = data.draw(st.integers(0, len(IMAGES) - 1))
    content = bytearray(made(number))
    for _ in range(data.draw(st.integers(1, 4))):
        head = data.draw(st.integers(4, min(len(content) - 1, 300)))
        at = len(content) - head if IMAGES[number][0] == "TIFF" and data.draw(st.booleans()) else head
        content[at] = data.draw(st.one_of(st.sampled_from([0, 1, 255, content[at] ^ 1]), st.integers(0, 255)))
    check(bytes(content[: len(content) - data.draw(st.sampled_from([0, 0, 0, 1, 2, 13, 20]))]))


def tiff_tag(content: bytes, tag: int) -> int:
    """Return the offset of a tag's entry in a little-endian TIFF."""
    (at,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, at)
    [entry] = [e for e in range(at + 2, at + 2 + 12 * entries, 12) if struct.unpack_from("<H", content, e)[0] == tag]
    return entry


def with_tag(content: bytes, tag: int, *, value: int | None = None, count: int | None = None, kind: int = 4) -> bytes:
    """Return the TIFF with another value or count of a tag; without both, the tag is called otherwise."""
    at, changed = tiff_tag(content, tag), bytearray(content)
    if value is None and count is None:
        changed[at : at + 2] = struct.pack("<H", 65000)
    if value is not None:
        changed[at + 2 : at + 12] = struct.pack("<HII", kind, count or 1, value)
    elif count is not None:
        changed[at + 4 : at + 8] = struct.pack("<I", count)
    return bytes(changed)


PLAIN, PACKED = NAMES.index("TIFF RGB"), NAMES.index("TIFF RGB compression")
LENGTHS, ROWS = 279, 278


@pytest.mark.parametrize("number", [PLAIN, PACKED])
def test_a_tiff_without_the_lengths_of_its_strips_is_read(number: int) -> None:
    content = with_tag(made(number), LENGTHS)
    assert read(content) == read_by_pillow(content) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("length", [0, 2**31, 2**32 - 1, WIDTH * HEIGHT * 3 + 1000])
def test_a_plain_tiff_needs_the_bytes_of_its_rows_alone(length: int) -> None:
    content = with_tag(made(PLAIN), LENGTHS, value=length)
    assert read(content) == read_by_pillow(content) == (WIDTH, HEIGHT)


def test_a_plain_tiff_whose_rows_are_cut_off_is_broken() -> None:
    """The directory lies in front of the rows."""
    entries = {256: WIDTH, 257: HEIGHT, 258: 8, 259: 1, 262: 1, 273: 200, 277: 1, 278: HEIGHT}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    content = head.ljust(200, b"\0") + bytes(WIDTH * HEIGHT)
    assert read(content) == read_by_pillow(content) == (WIDTH, HEIGHT)
    assert read(content[:-1]) is None
    assert read_by_pillow(content[:-1]) is None


def test_a_directory_that_announces_more_tags_than_there_are_is_read() -> None:
    content = bytearray(made(PLAIN))
    (at,) = struct.unpack_from("<I", content, 4)
    content[at : at + 2] = struct.pack("<H", 60_000)
    assert read(bytes(content)) == read_by_pillow(bytes(content)) == (WIDTH, HEIGHT)


def gif(screen: tuple[int, int], place: tuple[int, int] = (0, 0), between: bytes = b"") -> bytes:
    """Return a GIF with a frame of 67 x 53 pixels at that place of a screen of that size."""
    content = made(NAMES.index("GIF L"))
    at = 13 + 3 * 2 ** ((content[10] & 7) + 1)
    at = content.index(b"\x2c", at)
    frame = b"\x2c" + struct.pack("<HH", *place) + content[at + 5 :]
    return content[:6] + struct.pack("<HH", *screen) + content[10:at] + between + frame


@pytest.mark.parametrize(
    ("screen", "place", "size"),
    [
        ((WIDTH, HEIGHT), (0, 0), (WIDTH, HEIGHT)),
        ((1, 1), (0, 0), (WIDTH, HEIGHT)),
        ((0, 0), (0, 0), (WIDTH, HEIGHT)),
        ((100, 20), (0, 0), (100, HEIGHT)),
        ((WIDTH, HEIGHT), (30, 40), (WIDTH + 30, HEIGHT + 40)),
        ((500, 400), (30, 40), (500, 400)),
    ],
)
def test_a_gif_is_as_large_as_its_first_frame(
    screen: tuple[int, int], place: tuple[int, int], size: tuple[int, int]
) -> None:
    assert read(gif(screen, place)) == read_by_pillow(gif(screen, place)) == size


def test_bytes_between_the_blocks_of_a_gif_do_not_matter() -> None:
    content = gif((WIDTH, HEIGHT), between=b"\0\0\0\x07")
    assert read(content) == read_by_pillow(content) == (WIDTH, HEIGHT)


def bitmap_of_runs(rows: int, *, stated: int) -> bytes:
    """Return a BMP of run lengths with that many rows in its data."""
    runs = b"".join(bytes([WIDTH, row % 2, 0, 0]) for row in range(rows - 1)) + bytes([WIDTH, 1, 0, 1])
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, 1, stated, 0, 0, 256, 0)
    palette = bytes(1024)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(header) + len(palette)) + header + palette + runs


@pytest.mark.parametrize("stated", [0, 10**6])
def test_a_bitmap_of_runs_is_whole_by_its_end(stated: int) -> None:
    content = bitmap_of_runs(HEIGHT, stated=stated)
    assert read(content) == read_by_pillow(content) == (WIDTH, HEIGHT)
    assert read(content[:-40]) is None


def test_a_png_without_its_end_is_whole_with_all_its_pixels() -> None:
    content = made(NAMES.index("PNG RGB"))
    end = content.index(b"IDAT") + 4 + int.from_bytes(content[content.index(b"IDAT") - 4 :][:4])
    assert read(content[: end - 4]) == read_by_pillow(content[: end - 4]) == (WIDTH, HEIGHT)
    assert read(content[: end - 30]) is None
    out = io.BytesIO()
    Image.open(io.BytesIO(content)).save(out, "PNG", compress_level=0)
    assert read(out.getvalue()[:-60]) is None
