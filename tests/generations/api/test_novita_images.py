"""The images of Novita's create: each rule of the endpoint's page, just inside and just outside."""

from typing import Any

import pytest

from generations.media import images
from generations.models import Generation
from tests.generations.api.test_novita import accept, check_refused
from tests.generations.media.test_images import png_header
from tests.support.factories import Caller
from tests.support.images import base64_of, image_bytes

PATH = "/v3/async/seedance-v1-lite-i2v"
pytestmark = [pytest.mark.usefixtures("bucket"), pytest.mark.one_database]


@pytest.mark.parametrize("field", ["image", "last_image"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png_header(300, 400), "INVALID_IMAGE_SIZE"),
        (png_header(1001, 400), "INVALID_IMAGE_SIZE"),
        (png_header(6000, 2400), "IMAGE_EXCEEDS_MAX_RESOLUTION"),
        (image_bytes() + b"\0" * (images.MAX_BYTES - len(image_bytes()) + 1), "IMAGE_FILE_EXCEEDS_MAX_SIZE"),
        (image_bytes(kind="PPM"), "INVALID_IMAGE_FORMAT"),
        (image_bytes()[:-100], "INVALID_IMAGE_FORMAT"),
    ],
    ids=["300 pixels", "aspect", "6000 pixels", "30 MB and a byte", "another format", "truncated"],
)
def test_an_image_outside_the_rules_gets_the_pages_reason(
    alice: Caller, body: dict[str, Any], field: str, content: bytes, reason: str
) -> None:
    check_refused(alice, {**body, field: base64_of(content)}, reason)


@pytest.mark.parametrize(
    "content",
    [png_header(301, 400), png_header(5999, 2400), png_header(1000, 400), png_header(400, 1000)],
    ids=["301 pixels", "5999 pixels", "aspect 2.5", "aspect 0.4"],
)
def test_an_image_just_inside_the_rules_is_taken(alice: Caller, body: dict[str, Any], content: bytes) -> None:
    assert accept(alice, {**body, "image": base64_of(content)}).image is not None


def test_two_images_of_30_mb_in_base64_are_taken(alice: Caller, body: dict[str, Any]) -> None:
    heavy = base64_of(image_bytes() + b"\0" * (images.MAX_BYTES - len(image_bytes())))
    g = accept(alice, {**body, "image": heavy, "last_image": heavy})
    assert g.image is not None
    assert g.image.size == images.MAX_BYTES


@pytest.mark.parametrize("value", ["", " ", 5, True, [], {}, None])
def test_an_image_is_a_text(alice: Caller, body: dict[str, Any], value: Any) -> None:
    assert "image" in check_refused(alice, {**body, "image": value})


def test_text_that_is_neither_url_nor_base64_is_no_image(alice: Caller, body: dict[str, Any]) -> None:
    assert "Base64" in check_refused(alice, {**body, "image": "C:\\images\\a.jpg"}, "INVALID_IMAGE_FORMAT")


def test_an_image_by_url_is_left_to_the_worker(alice: Caller, body: dict[str, Any]) -> None:
    g = accept(alice, {**body, "image": "https://example.com/a.jpg"})
    assert (g.image, g.image_url) == (None, "https://example.com/a.jpg")


@pytest.mark.parametrize("url", ["https://127.0.0.1/a.png", "http://example.com/a.png", "https://localhost/"])
def test_a_url_that_will_never_be_read_is_refused_at_once(alice: Caller, body: dict[str, Any], url: str) -> None:
    check_refused(alice, {**body, "image": url})


def test_an_image_is_stored_once_a_tenant_under_its_hash(alice: Caller, bob: Caller, body: dict[str, Any]) -> None:
    for caller in (alice, alice, bob):
        accept(caller, body)
    keys = sorted(Generation.objects.values_list("image__key", flat=True).distinct())
    sha256 = Generation.objects.first().image.sha256  # type: ignore[union-attr]
    assert keys == sorted(f"inputs/{caller.tenant.pk}/{sha256}" for caller in (alice, bob))
