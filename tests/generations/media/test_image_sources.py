"""Tests of images in a caller's text or behind a URL."""

import pytest

from generations import errors
from generations.media import image_sources, images
from tests.support.images import base64_of, data_uri, image_bytes
from tests.support.upstream import Upstream


@pytest.mark.parametrize("text", [base64_of(image_bytes()), data_uri(image_bytes())])
def test_base64_and_a_data_uri_hold_a_checked_image(text: str) -> None:
    image = image_sources.from_text(text)
    assert isinstance(image, images.Image)
    assert (image.format, image.content) == ("jpeg", image_bytes())


def test_a_public_url_is_returned_and_not_fetched() -> None:
    assert image_sources.from_text("https://images.example.com/a.png") == "https://images.example.com/a.png"


def test_a_private_url_is_refused_with_its_reason() -> None:
    with pytest.raises(errors.ImageUrlRefused, match="names an address"):
        image_sources.from_text("https://10.0.0.1/a.png")


def test_the_image_behind_a_url_is_fetched_and_checked(upstream: Upstream) -> None:
    upstream.on_video = 200, {}, image_bytes()
    assert image_sources.from_url(f"{upstream.url}/a.jpg").content == image_bytes()
    upstream.on_video = 200, {}, b"<html>"
    with pytest.raises(errors.ImageFormatUnknown):
        image_sources.from_url(f"{upstream.url}/a.jpg")


def test_an_image_of_too_many_bytes_is_not_fetched(upstream: Upstream) -> None:
    upstream.on_video = 200, {}, b"\0" * (images.MAX_BYTES + 1)
    with pytest.raises(errors.ImageTooManyBytes):
        image_sources.from_url(f"{upstream.url}/a.jpg")
