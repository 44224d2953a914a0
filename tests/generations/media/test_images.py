"""Tests of checked images: formats, whole files, sizes and aspect ratios."""

import io
import struct
import zlib

import pytest
from PIL import Image, PngImagePlugin

from generations import errors
from generations.media import images
from tests.support.images import base64_of, data_uri, image_bytes


def png_header(width: int, height: int) -> bytes:
    """Return a whole PNG of that size without its pixels: only the header is read."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_each_format_of_the_page_is_accepted(kind: str) -> None:
    image = images.inspect(image_bytes(kind=kind))
    assert (image.format, image.width, image.height) == (kind.lower(), 640, 360)


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "RGB", {"progressive": True, "quality": 95}),
        ("JPEG", "RGB", {"exif": b"Exif\0\0" + b"\xff\xd9" * 20}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
        ("WEBP", "RGB", {"lossless": True}),
        ("BMP", "1", {}),
        ("BMP", "P", {}),
        ("BMP", "RGBA", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "1", {"compression": "group4"}),
        ("TIFF", "RGB", {"big_tiff": True}),
        ("GIF", "RGB", {"interlace": 1}),
    ],
)
def test_common_variants_of_a_format_are_accepted(kind: str, mode: str, options: dict[str, object]) -> None:
    assert images.inspect(image_bytes(kind=kind, mode=mode, **options)).format == kind.lower()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_is_accepted_by_its_first_image(kind: str) -> None:
    frames = [Image.open(io.BytesIO(image_bytes())), Image.new("RGB", (640, 360), "red")]
    out = io.BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    assert images.inspect(out.getvalue()).width == 640


def test_a_phones_image_with_a_second_image_after_it_is_a_jpeg() -> None:
    out = io.BytesIO()
    first, second = Image.open(io.BytesIO(image_bytes())), Image.new("RGB", (640, 360))
    first.save(out, "MPO", save_all=True, append_images=[second])
    assert images.inspect(out.getvalue()).format == "jpeg"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF",
        b"not an image at all " * 100,
        b"<svg xmlns='http://www.w3.org/2000/svg' width='640' height='360'/>",
        image_bytes(kind="PPM"),
        image_bytes(kind="ICO", width=256, height=256),
        image_bytes(kind="PDF"),
        image_bytes(kind="TGA"),
    ],
)
def test_anything_else_is_refused_as_no_known_format(content: bytes) -> None:
    with pytest.raises(errors.ImageFormatUnknown):
        images.inspect(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_truncated_image_is_refused(kind: str, share: float) -> None:
    content = image_bytes(kind=kind)
    with pytest.raises((errors.ImageIncomplete, errors.ImageFormatUnknown)):
        images.inspect(content[: int(len(content) * share)])


def test_a_png_with_large_texts_and_profiles_is_accepted() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("XML:com.adobe.xmp", "x" * 3_000_000, zip=True)
    assert images.inspect(image_bytes(kind="PNG", pnginfo=texts, icc_profile=b"\0" * 2_000_000)).format == "png"


def test_a_truncated_bmp_with_run_lengths_and_no_stated_size_is_refused() -> None:
    content = bytearray(image_bytes(kind="BMP", mode="P"))
    content[30:38] = struct.pack("<II", 1, 0)  # compression RLE8, size not stated
    with pytest.raises((errors.ImageIncomplete, errors.ImageFormatUnknown)):
        images.inspect(bytes(content[: len(content) // 2]))


def test_the_end_of_a_thumbnail_is_not_the_end_of_a_jpeg() -> None:
    whole = image_bytes(exif=b"Exif\0\0" + b"\xff\xda\xff\xd9" * 20)
    with pytest.raises(errors.ImageIncomplete):
        images.inspect(whole[:-200])


@pytest.mark.parametrize(
    ("width", "height"), [(6000, 2400), (2400, 6000), (6000, 6001), (12000, 12000), (60000, 60000)]
)
def test_a_longer_side_of_6000_is_too_long(width: int, height: int) -> None:
    with pytest.raises(errors.ImageTooLarge):
        images.inspect(png_header(width, height))


def test_30_mb_are_accepted_and_a_byte_more_is_refused() -> None:
    content = image_bytes()
    padded = content + b"\0" * (images.MAX_BYTES - len(content))
    assert images.inspect(padded).width == 640
    with pytest.raises(errors.ImageTooManyBytes):
        images.inspect(padded + b"\0")


def test_30_mb_of_base64_are_decoded_and_more_is_refused_before_it_is() -> None:
    assert len(images.decode(base64_of(b"\0" * images.MAX_BYTES))) == images.MAX_BYTES
    with pytest.raises(errors.ImageTooManyBytes):
        images.decode(base64_of(b"\0" * (images.MAX_BYTES + 3)))


def test_raw_base64_a_data_uri_and_base64_with_line_breaks_are_decoded_alike() -> None:
    content = image_bytes()
    text = base64_of(content)
    lines = "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    assert images.decode(text) == images.decode(data_uri(content)) == images.decode(lines) == content


def test_the_declared_type_of_a_data_uri_is_ignored() -> None:
    assert images.inspect(images.decode(data_uri(image_bytes(kind="PNG"), "jpeg"))).format == "png"


@pytest.mark.parametrize("text", ["%%%", "a", "ünïcode", "data:image/png", "data:image/png;base64,%%%", "a" * 5])
def test_invalid_base64_is_refused(text: str) -> None:
    with pytest.raises(errors.ImageUnreadable):
        images.decode(text)


def test_a_bomb_of_pixels_is_refused_without_being_decoded() -> None:
    bomb = png_header(20000, 20000)
    assert len(bomb) < 200
    with pytest.raises(errors.ImageTooLarge):
        images.inspect(bomb)
