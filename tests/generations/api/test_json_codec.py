"""An image in a JSON body is a view of the bytes that came. Any other long string is decoded as a text."""

import io
import json
from typing import Any

import msgspec
import pytest
from django.test import RequestFactory
from rest_framework.exceptions import ParseError

from generations.api.json_codec import JSONParser
from generations.media import images
from generations.models import Generation
from tests.support.factories import Caller
from tests.support.images import base64_of, data_uri, image_bytes

LONG = 70_000
IMAGE = image_bytes(kind="BMP", width=400, height=400)
RAW = base64_of(IMAGE)


def parse(content: bytes) -> dict[str, Any]:
    request = RequestFactory().post("/", content, content_type="application/json")
    return JSONParser().parse(io.BytesIO(content), "application/json", {"request": request})


@pytest.mark.parametrize("text", [RAW, data_uri(IMAGE, "bmp"), data_uri(IMAGE, "bmp").replace("data:", "DATA:")])
def test_base64_and_data_uris_are_views_and_decode_to_the_same(text: str) -> None:
    body = parse(msgspec.json.encode({"image": text, "last_image": text, "seed": 3}))
    assert [type(body[name]) for name in ("image", "last_image", "seed")] == [memoryview, memoryview, int]
    assert bytes(body["image"]) == bytes(body["last_image"]) == text.encode()
    assert images.decode(body["image"]) == images.decode(text) == IMAGE


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "x" * LONG},
        {"image": ["x" * LONG]},
        {"image": {"image": RAW}},
        {"image": [], "extra": {"webhook": {"url": "x" * LONG}}},
        {"image": RAW, "prompt": "x" * LONG},
        {"image": RAW, "metadata": {"image": "x" * LONG}},
        {"image": "https://example.com/" + "x" * LONG},
        {"image": f" {RAW}"},
        {"image": f"{RAW} "},
        {"image": "data:image/bmp," + RAW},
        {"image": "data:" + RAW},
        ["x" * LONG],
    ],
    ids=lambda body: str(body)[:40],
)
def test_a_long_string_that_is_no_image_in_an_image_field_is_decoded_as_a_text(body: Any) -> None:
    content = msgspec.json.encode(body)
    if isinstance(body, list):
        with pytest.raises(ParseError):
            parse(content)
    else:
        assert parse(content) == body


def test_an_unknown_name_may_be_long_however_it_is_written() -> None:
    """Novita's API ignores unknown names, and the OpenAPI document says nothing of their length."""
    name = "\u00e9" * 1600
    assert parse(json.dumps({name: 1}).encode()) == parse(msgspec.json.encode({name: 1})) == {name: 1}
    with pytest.raises(ParseError, match="a name of more than"):
        parse(msgspec.json.encode({"x" * 10_001: 1}))


def test_an_escape_in_an_image_is_understood() -> None:
    content = msgspec.json.encode({"image": RAW}).replace(b"/", rb"\/")
    assert rb"\/" in content
    assert parse(content) == {"image": RAW}


@pytest.mark.parametrize("broken", [b"?", b"\n", b'{"image": "', b"x" * LONG + b'"'])
def test_broken_json_around_an_image_is_refused(broken: bytes) -> None:
    with pytest.raises(ParseError):
        parse(msgspec.json.encode({"image": RAW})[:-1] + broken)


@pytest.mark.parametrize("api", ["/v1/generations", "/v3/async/seedance-v1-lite-i2v"])
def test_base64_and_data_uri_make_one_image_and_one_request(alice: Caller, bucket: Any, api: str) -> None:
    body = {"resolution": "480p", "image": RAW}
    first = alice.http.post(api, body, format="json", HTTP_IDEMPOTENCY_KEY="k")
    again = alice.http.generic(  # written with an escape, it is decoded as a text
        "POST",
        api,
        msgspec.json.encode(body).replace(b"/", rb"\/"),
        content_type="application/json",
        HTTP_IDEMPOTENCY_KEY="k",
    )
    assert (first.status_code, again.status_code) in [(202, 202), (200, 200)]
    assert again["Idempotent-Replayed"] == "true"
    image = Generation.objects.get().image
    assert image is not None
    assert (image.format, image.size) == ("bmp", len(IMAGE))


@pytest.mark.parametrize("spoilt", ["*", " ", "=", "A"])
def test_base64_that_breaks_off_is_refused_as_an_image(alice: Caller, bucket: Any, spoilt: str) -> None:
    text = RAW[:50_000] + spoilt + RAW[50_000:]
    answer = alice.http.post("/v1/generations", {"resolution": "480p", "image": text}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "image_not_url_or_base64")
