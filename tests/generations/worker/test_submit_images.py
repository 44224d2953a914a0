"""Input images of a submit: read from their URLs, stored, and sent upstream."""

import gzip
import hashlib
import zlib
from typing import Any

import pytest

from generations.bucket import objects
from generations.models import Generation
from generations.worker import backoff
from tests.support.factories import Caller, make_generation
from tests.support.images import base64_of, data_uri, image_bytes
from tests.support.upstream import Upstream
from tests.support.worker import ledger_kinds, take_step

pytestmark = pytest.mark.one_database

Status = Generation.Status


@pytest.fixture
def by_url(alice: Caller, bucket: Any, upstream: Upstream) -> Generation:
    upstream.on_video = 200, {"Content-Type": "text/plain"}, image_bytes(kind="PNG")
    return make_generation(alice, image=None, image_url=f"{upstream.url}/a.jpg")


def test_an_image_behind_a_url_is_stored_and_sent_upstream_as_a_data_uri(
    by_url: Generation, upstream: Upstream
) -> None:
    g = take_step(by_url)
    content = image_bytes(kind="PNG")
    sha256 = hashlib.sha256(content).hexdigest()
    assert upstream.submits[0]["image"] == data_uri(content, "png")
    assert g.image is not None
    assert (g.image.sha256, g.image.key) == (sha256, f"inputs/{g.tenant_id}/{sha256}")
    assert objects.read(g.image.key) == content


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("aws-chunked", bytes), ("Identity, AWS-chunked", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)],
)
def test_an_image_may_have_a_content_encoding(by_url: Generation, upstream: Upstream, encoding: str, pack: Any) -> None:
    upstream.on_video = 200, {"Content-Encoding": encoding}, pack(image_bytes(kind="PNG"))
    g = take_step(by_url)
    assert upstream.submits[0]["image"] == data_uri(image_bytes(kind="PNG"), "png")
    assert g.image is not None
    assert g.image.size == len(image_bytes(kind="PNG"))


def test_first_and_last_images_may_be_the_same(by_url: Generation, upstream: Upstream) -> None:
    Generation.objects.filter(pk=by_url.pk).update(last_image_url=by_url.image_url)
    g = take_step(by_url)
    assert g.image_id == g.last_image_id
    assert upstream.submits[0]["last_image"] == upstream.submits[0]["image"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<html>", "image_format_unknown"),
        (image_bytes(width=300), "image_side_too_short"),
        (image_bytes(kind="PNG")[:-20], "image_incomplete"),
    ],
)
def test_a_bad_image_behind_a_url_fails_the_generation_with_a_code(
    by_url: Generation, upstream: Upstream, content: bytes, code: str
) -> None:
    upstream.on_video = 200, {}, content
    g = take_step(by_url)
    assert (g.status, g.error_code) == (Status.FAILED, code)
    assert upstream.submits == []
    assert ledger_kinds(g) == ["hold", "release"]


def test_a_url_that_leads_inside_fails_the_generation(by_url: Generation, upstream: Upstream) -> None:
    upstream.on_video = 302, {"Location": "http://169.254.169.254/latest/meta-data"}, b""
    g = take_step(by_url)
    assert (g.status, g.error_code) == (Status.FAILED, "image_url_refused")
    assert "169.254" not in g.error_message


def test_an_image_that_is_not_there_is_read_four_times(by_url: Generation, upstream: Upstream) -> None:
    upstream.on_video = 404, {}, b""
    statuses = [take_step(by_url).status for _ in range(4)]
    assert statuses == [Status.QUEUED] * 3 + [Status.FAILED]
    assert Generation.objects.get(pk=by_url.pk).error_code == "image_unreachable"


def created(caller: Caller) -> Generation:
    body = {"image": base64_of(image_bytes()), "resolution": "480p"}
    return Generation.objects.get(pk=caller.http.post("/v1/generations", body, format="json").json()["id"])


def test_an_image_deleted_from_the_bucket_is_stored_again_by_the_next_create(
    alice: Caller, upstream: Upstream, bucket: Any
) -> None:
    first = created(alice)
    assert first.image is not None
    bucket.delete_object(Bucket="seedance-tests", Key=first.image.key)
    again = created(alice)
    assert again.image == first.image
    assert take_step(again).status == Status.RUNNING


def test_an_image_that_is_deleted_for_good_does_not_hold_up_its_generation_for_ever(
    alice: Caller, upstream: Upstream, bucket: Any
) -> None:
    g = created(alice)
    assert g.image is not None
    bucket.delete_object(Bucket="seedance-tests", Key=g.image.key)
    for _ in range(backoff.MAX_MISSING_READS - 1):
        assert take_step(g).status == Status.QUEUED
    g = take_step(g)
    assert (g.status, g.error_code, ledger_kinds(g)) == (Status.FAILED, "storage_unavailable", ["hold", "release"])
    assert upstream.submits == []
