"""Hostile images in both APIs: none is decoded, and an odd image is stored as it was sent."""

import functools
import io
import struct
import time
import tracemalloc
import zipfile
import zlib
from typing import Any

import pytest

from generations import errors
from generations.media import image_parts, images
from generations.models import Generation, InputImage
from tests.support.factories import Caller
from tests.support.hostile import APIS, Api, check_refused
from tests.support.images import base64_of, data_uri, image_bytes

pytestmark = [pytest.mark.one_database, pytest.mark.abuse]

# There is no bucket but for the last test: a refused image is stored nowhere.
both = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='640' height='360'><script>alert(1)</script></svg>"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@functools.cache
def png(side: int) -> bytes:
    """Return a complete PNG of one bit a pixel, with a hundred times fewer bytes than pixels."""
    pixels = zlib.compress(bytes(side // 8 + 1) * side, 1)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def jpeg(width: int, height: int) -> bytes:
    whole = image_bytes()
    at = whole.index(b"\xff\xc0") + 5
    return whole[:at] + struct.pack(">HH", height, width) + whole[at + 4 :]


def gif(width: int, height: int) -> bytes:
    return image_bytes(kind="GIF")[:6] + struct.pack("<HH", width, height) + image_bytes(kind="GIF")[10:]


def webp(width: int, height: int) -> bytes:
    content = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (width - 1).to_bytes(3, "little")
    content += (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 4 + len(content)) + b"WEBP" + content


def tiff(fields: dict[int, tuple[int, int, int]], rest: bytes = b"") -> bytes:
    """Return a TIFF of these fields: (type, count, value or the offset of the values)."""
    entries = b"".join(struct.pack("<HHII", tag, *field) for tag, field in sorted(fields.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4) + rest


SIDES = {256: (4, 1, 640), 257: (4, 1, 360)}
TOO_LARGE = {
    "png 9000": png(9000),
    "png 12000": png(12_000),
    "png 20000": png(20_000),
    "jpeg 65500": jpeg(65_500, 65_500),
    "gif 65535": gif(65_535, 65_535),
    "webp 2^24": webp(2**24, 2**24),
    "bmp 2^31": bmp(2**31 - 1, -(2**31)),
    "tiff 2^32": tiff({256: (4, 1, 2**32 - 1), 257: (4, 1, 2**32 - 1)}),
}
NO_IMAGE = {
    "svg": SVG,
    "pdf": image_bytes(kind="PDF"),
    "tga": image_bytes(kind="TGA"),
    "avif": b"\0\0\0\x20ftypavif" + bytes(1000),
    "fits": b"SIMPLE  =                    T".ljust(2880),
    "zip": b"PK\3\4" + bytes(1000),
    "mp4": b"\0\0\0\x18ftypisom" + bytes(1000),
    "svg before a png": SVG + image_bytes(kind="PNG"),
    "a png's first bytes": b"\x89PNG\r\n\x1a\n",
    "a jpeg without a frame": b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(100) + b"\xff\xd9",
    "a tiff without sides": tiff({258: (3, 1, 8)}),
    "a tiff that points nowhere": b"II*\0\xff\xff\xff\xff",
    "a webp of nothing": b"RIFF\4\0\0\0WEBP",
}
CUT_OFF = {
    "a gif of comments": image_bytes(kind="GIF")[:781] + b"\x21\xfe\1a\0" * 1000,
    "a png of empty chunks": png(640)[:33] + chunk(b"tEXt", b"") * 1000,
    "a tiff of many strips": tiff({**SIDES, 273: (4, 2_000_000, 200), 279: (4, 2_000_000, 200)}, bytes(8_000_000)),
    "a tiff whose strips are elsewhere": tiff({**SIDES, 273: (4, 1, 2**32 - 1), 279: (4, 1, 2**32 - 1)}),
    "a tiff with strips and no lengths": tiff({**SIDES, 273: (4, 1, 8)}),
    "a bmp without its pixels": bmp(640, 360),
}


def send(api: Api, caller: Caller, content: bytes) -> Any:
    return api.send(caller, {"image": base64_of(content), "resolution": "480p"})


@both
@pytest.mark.parametrize("content", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_bomb_of_pixels_is_refused_by_its_header(alice: Caller, api: Api, content: bytes) -> None:
    answer = send(api, alice, content)
    said = answer.json()
    assert (said.get("code"), said.get("reason")) in [
        ("image_side_too_long", None),
        (400, "IMAGE_EXCEEDS_MAX_RESOLUTION"),
    ]
    assert "6000" in check_refused(api, alice, answer)


@both
@pytest.mark.parametrize("content", NO_IMAGE.values(), ids=NO_IMAGE)
def test_another_format_than_the_documented_ones_is_refused(alice: Caller, api: Api, content: bytes) -> None:
    assert "none of the formats" in check_refused(api, alice, send(api, alice, content))


@both
@pytest.mark.parametrize("content", CUT_OFF.values(), ids=CUT_OFF)
def test_a_header_that_leads_nowhere_is_refused(alice: Caller, api: Api, content: bytes) -> None:
    assert "cut off" in check_refused(api, alice, send(api, alice, content))


HEAD, PARTS = image_bytes(kind="GIF")[:781], image_parts.MAX_PARTS


@pytest.mark.parametrize(
    "content",
    [
        image_bytes()[:2] + b"\xff\xe3\0\2" * PARTS + image_bytes()[2:],
        HEAD + b"\x21\xfe\1a\0" * PARTS + image_bytes(kind="GIF")[781:],
    ],
    ids=["segments", "comments"],
)
def test_an_image_of_too_many_parts_is_not_parsed_to_its_end(content: bytes) -> None:
    started = time.process_time()
    with pytest.raises((errors.ImageFormatUnknown, errors.ImageIncomplete)):
        images.inspect(content)
    assert time.process_time() - started < 3  # an imaging library takes 13 s, and one GB


TEXTS = {
    "nothing": "",
    "no Base64": "!" * 1_000_000,
    "lines of one letter": "\n" + "a " * 1_000_000,
    "a data URI without Base64": "data:image/svg+xml,<svg/>",
    "a data URI of nothing": "data:;base64,",
    "a file": "file:///etc/passwd",
    "a javascript URL": "javascript:alert(1)",
    "a loopback URL": "https://127.0.0.1/a.jpg",
    "a metadata URL": "https://169.254.169.254/latest/meta-data/",
    "a URL with a password": "https://a:b@example.com/a.jpg",
    "wide letters": "ａ" * 1000,
}


@both
@pytest.mark.parametrize(
    ("field", "text"), [*(("image", text) for text in TEXTS.values()), ("last_image", TEXTS["wide letters"])]
)
def test_a_text_that_is_no_image_is_refused(alice: Caller, api: Api, field: str, text: str) -> None:
    body = {"image": "https://example.com/a.jpg", "resolution": "480p", field: text}
    assert field in check_refused(api, alice, api.send(alice, body))


def test_lines_of_one_letter_cost_no_memory() -> None:
    text = "\n" + "a \n" * 1_000_000
    tracemalloc.start()
    images.decode(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * len(text)


def polyglot() -> bytes:
    """Return one file that is a PNG, a page with a script, and a zip."""
    out = io.BytesIO(image_bytes(kind="PNG") + b"<script>alert(document.domain)</script>")
    out.seek(0, io.SEEK_END)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("a.txt", "x")
    return out.getvalue()


@both
@pytest.mark.parametrize("declared", ["png", "svg+xml", "x\r\nX-Injected: 1", "html;charset=utf-7"])
def test_a_polyglot_is_stored_as_the_image_that_it_is_and_never_served(
    alice: Caller, bucket: Any, api: Api, declared: str
) -> None:
    content = polyglot()
    body = {"image": data_uri(content, declared), "resolution": "480p"}
    assert api.send(alice, body).status_code == api.accepted
    image = InputImage.objects.get()
    stored = bucket.get_object(Bucket="seedance-tests", Key=image.key)
    assert (stored["ContentType"], stored["Metadata"], stored["Body"].read()) == ("image/png", {}, content)
    assert (image.format, image.key) == ("png", f"inputs/{alice.tenant.pk}/{image.sha256}")
    g = Generation.objects.get()
    for path in (f"/v1/generations/{g.pk}", f"/v3/async/task-result?task_id={g.pk}", "/v1/generations"):
        answer = alice.http.get(path)
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "json" in answer["Content-Type"]
        assert image.key not in answer.content.decode()
