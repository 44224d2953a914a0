"""Digests of requests that rows hold, by which a repeated create with the same Idempotency-Key is known again.

Each literal stands in rows that earlier releases wrote. A test that fails shows code that no longer knows their
requests: a caller that repeats one after an update is refused. Mend the code: a changed literal only hides that.
"""

import base64
import struct
from typing import Any
from uuid import UUID

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from generations.models import Generation
from tests.support.factories import Caller, make_generation, make_image

pytestmark = pytest.mark.usefixtures("bucket")

NATIVE, NOVITA = "/v1/generations", "/v3/async/seedance-v1-lite-i2v"
URL = "https://pictures.example.com/a.png"
SMALLEST = {"image": URL, "resolution": "480p"}
FIELDS = {**SMALLEST, "last_image": f"{URL}?2", "prompt": "a ship \u26f5", "aspect_ratio": "9:16", "duration": 10}
FIELDS |= {"camera_fixed": True, "seed": 42}
LABELS = {"external_id": "order 7", "metadata": {"team": "web", "order": "4711"}}
HOOK = "https://hooks.example.com/done"


def bitmap(fill: int) -> bytes:
    """Return a BMP of 640 x 640 pixels, built by hand: an image library may write other bytes after an update."""
    head = struct.pack(
        "<2sIHHIIiiHHIIiiIIII", b"BM", 51262, 0, 0, 62, 40, 640, 640, 1, 1, 0, 51200, 1, 1, 2, 2, 0, 2**24 - 1
    )
    return head + bytes([fill]) * 51200


BLACK, WHITE = (base64.b64encode(bitmap(fill)).decode() for fill in (0, 255))  # each longer than 64 KiB
DIGESTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "the smallest create": (NATIVE, SMALLEST, "a92169f1826e263c7bcf09909276ae19a0eefa7c28686e491e8c61558170bcc7"),
    "a seed to be drawn": (
        NATIVE,
        {**SMALLEST, "seed": -1},
        "a92169f1826e263c7bcf09909276ae19a0eefa7c28686e491e8c61558170bcc7",
    ),
    "nulls": (
        NATIVE,
        {**SMALLEST, "seed": None, "metadata": None, "webhook_url": None, "last_image": None},
        "a92169f1826e263c7bcf09909276ae19a0eefa7c28686e491e8c61558170bcc7",
    ),
    "seed 0": (NATIVE, {**SMALLEST, "seed": 0}, "499e6b1ba0cacee58f96503e465f67373ed3ac3d7b41c8210b11a28f49402568"),
    "every field": (
        NATIVE,
        {**FIELDS, **LABELS, "model": "seedance-v1-lite-i2v", "webhook_url": HOOK},
        "1b944ed7fea81a0a8272c99819ab20f7c9fdc3db181e796c4aeee64d3d42f5dc",
    ),
    "Base64": (
        NATIVE,
        {**SMALLEST, "image": BLACK, "last_image": WHITE},
        "c560639d96dfede5382ae969304c69f2ef9bd7a539f14b2c6a70a4d89affad09",
    ),
    "a data URI": (
        NATIVE,
        {**SMALLEST, "image": f"data:image/bmp;base64,{BLACK}"},
        "ac4cf29d34972aa146e65ba703d663a517594655b0d840856b5380940c6b0621",
    ),
    "the smallest create, Novita": (
        NOVITA,
        SMALLEST,
        "9c5fe7e404e0e06ca071b220251b6e30aca9b5fb881a98f8ecdd2549553668fb",
    ),
    "every field, Novita": (
        NOVITA,
        {**FIELDS, "extra": {"webhook": {"url": HOOK}}},
        "1d4e7b40d5ffcefeba91e4e743332273657d006d0047a8bd9dfe930b8aaf7475",
    ),
    "Base64, Novita": (
        NOVITA,
        {**SMALLEST, "image": BLACK, "last_image": WHITE},
        "7d898533ef34417013659f8982fa60551416fe2e4fe4408f257f296da1906dcd",
    ),
}


def digest_of(caller: Caller, path: str, body: dict[str, Any], kind: str = "json") -> str:
    """Return what the row of an accepted create keeps of its request."""
    answer = caller.http.post(path, body, format=kind, headers={"Idempotency-Key": "order-1"})
    assert answer.status_code in (200, 202), answer.content
    return Generation.objects.get(idempotency_key="order-1").idempotency_digest


@pytest.mark.parametrize("name", DIGESTS)
def test_a_repeated_create_has_the_digest_that_its_row_holds(alice: Caller, bucket: Any, name: str) -> None:
    """With another one, a caller that repeats a request after an update is refused, or pays twice."""
    path, body, digest = DIGESTS[name]
    assert digest_of(alice, path, body) == digest


def test_a_repeated_form_has_the_digest_that_its_row_holds(alice: Caller, bucket: Any) -> None:
    files = {name: SimpleUploadedFile("a.bmp", bitmap(fill)) for name, fill in (("image", 0), ("last_image", 255))}
    form = {"resolution": "480p", "seed": "42", "metadata[order]": "4711", **files}
    assert (
        digest_of(alice, NATIVE, form, "multipart")
        == "f47ae4d1e036dac99a192f89737f7a1a9737f6173c70eb9eec42642cfade7cde"
    )


RERUNS: dict[str, tuple[dict[str, Any], str]] = {
    "the same": ({}, "d135d11c062a3c3651c7695c51eb4f1e7c2fc8e4e621efc3da6a4e7d5f649f4e"),
    "another seed": ({"seed": -1}, "17f9ee5fded86ba232488d565f0d08cb5af11225f865fc13644e4df5b76fbc26"),
    "other fields": (
        {"prompt": "a ship", "last_image": f"{URL}?3", "webhook_url": HOOK},
        "1a794a920c0b9f385ae23dd92455bb0a7293686f402e45a0f1e51dae5ce1820f",
    ),
}


@pytest.mark.parametrize("name", RERUNS)
def test_a_repeated_rerun_has_the_digest_that_its_row_holds(alice: Caller, bucket: Any, name: str) -> None:
    image = make_image(alice.tenant)
    bucket.put_object(Bucket="seedance-tests", Key=image.key, Body=b"abc")
    source = UUID("019c0000-0000-7000-8000-000000000001")
    make_generation(alice, id=source, image=image, last_image_url=f"{URL}?2", prompt="a boat", camera_fixed=True)
    body, digest = RERUNS[name]
    assert digest_of(alice, f"{NATIVE}/{source}/rerun", body) == digest
