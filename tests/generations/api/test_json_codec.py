"""An image in a JSON body is a view of the bytes that came. Any other long string is decoded as a text."""

import io
import json
from typing import Any

import msgspec
import pytest
from django.test import RequestFactory
from hypothesis import given, settings
from hypothesis import strategies as st
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


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    value=st.dictionaries(st.text(), VALUES, max_size=4),
    is_ascii=st.booleans(),
    cut=st.integers(0, 3),
    junk=st.binary(),
)
@settings(max_examples=400, deadline=None)
def test_any_body_is_wholly_understood_or_refused(value: Any, is_ascii: bool, cut: int, junk: bytes) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii)
    assert parse(text.encode()) == value
    content = text.encode()[: len(text.encode()) - cut] + junk
    try:
        body = parse(content)
    except ParseError:
        return
    assert body == json.loads(content.decode())


@given(name=st.text(max_size=5), depth=st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_a_name_that_comes_twice_is_refused_however_it_is_written(name: str, depth: int) -> None:
    pair = f"{{{json.dumps(name)}: 1, {json.dumps(name, ensure_ascii=False)}: 2}}"
    with pytest.raises(ParseError, match="twice"):
        parse(('{"a": [' * depth + pair + "]}" * depth).encode())


@pytest.mark.parametrize(
    ("kind", "encoding", "is_read"),
    [
        ("APPLICATION/JSON; Charset=UTF-8", "identity", True),
        ('application/json;charset="utf-8"', "IDENTITY", True),
        ("Application/Json ; charset=utf8", "identity", True),
        ("application/json; charset=utf-16", "identity", False),
        ("application/json; charset=iso-8859-1", "identity", False),
        ("application/json", "gzip", False),
        ("application/json", "identity, br", False),
        ("text/json", "identity", False),
        ("application/x-www-form-urlencoded", "identity", False),
    ],
)
@pytest.mark.parametrize("api", ["/v1/generations", "/v3/async/seedance-v1-lite-i2v"])
def test_a_media_type_may_be_in_any_case(alice: Caller, api: str, kind: str, encoding: str, is_read: bool) -> None:
    content = json.dumps({"image": "https://images.example.com/a.png", "resolution": "480p"}).encode()
    answer = alice.http.generic("POST", api, content, content_type=kind, headers={"Content-Encoding": encoding})
    assert (answer.status_code in (200, 202)) == is_read
    assert is_read or answer.status_code == 415
    assert Generation.objects.count() == is_read
