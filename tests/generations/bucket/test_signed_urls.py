"""Tests of signed URLs on an S3 that checks signatures."""

import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from generations.bucket import objects, signed_urls
from generations.bucket.errors import ObjectExists
from tests.support.images import mp4
from tests.support.stores import put_file

pytestmark = pytest.mark.usefixtures("real_bucket")


def get(url: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


@pytest.fixture
def url() -> str:
    if "videos/v.mp4" not in objects.list_keys("videos/v"):
        objects.put("videos/v.mp4", mp4(), "application/octet-stream")
    return signed_urls.signer().sign("videos/v.mp4", content_type="video/mp4", file_name="v.mp4")


def test_a_signed_url_returns_the_bytes_with_type_and_file_name(url: str) -> None:
    status, headers, content = get(url)
    assert (status, content) == (200, mp4())
    assert headers["Content-Type"] == "video/mp4"
    assert "filename=v.mp4" in headers["Content-Disposition"]


def test_a_player_may_ask_for_a_range(url: str) -> None:
    request = urllib.request.Request(url, headers={"Range": "bytes=4-7"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert (answer.status, answer.read()) == (206, b"ftyp")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("v.mp4?", "w.mp4?"),
        ("video%2Fmp4", "text%2Fhtml"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=7200"),
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
    ],
)
def test_a_changed_url_is_refused(url: str, old: str, new: str) -> None:
    assert old in url
    assert get(url.replace(old, new))[0] == 403


def test_an_unsigned_url_is_refused(url: str) -> None:
    assert get(url.partition("?")[0])[0] == 403


def test_a_url_signed_with_another_key_is_refused(url: str, settings: Any) -> None:
    settings.S3_PUBLIC_URL = settings.S3_ENDPOINT_URL.replace("127.0.0.1", "localhost")
    settings.AWS_SECRET_ACCESS_KEY = "another"
    foreign = signed_urls.signer().sign("videos/v.mp4", content_type="video/mp4", file_name="v.mp4")
    assert get(foreign)[0] == 403


def test_an_expired_url_is_refused(url: str, settings: Any) -> None:
    settings.SIGNED_URL_TTL = 1
    short = signed_urls.signer().sign("videos/v.mp4", content_type="video/mp4", file_name="v.mp4")
    assert get(short)[0] == 200
    ends_at = time.monotonic() + 10
    while get(short)[0] == 200 and time.monotonic() < ends_at:
        time.sleep(0.1)
    assert get(short)[0] == 403


def test_a_file_goes_to_a_real_store_in_one_put_and_is_never_overwritten() -> None:
    put_file("videos/once.mp4", mp4())
    assert objects.read("videos/once.mp4") == mp4()
    with pytest.raises(ObjectExists):
        put_file("videos/once.mp4", mp4())
