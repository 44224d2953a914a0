"""Input images of a submit: read from their URLs, stored, and sent upstream."""

import gzip
import hashlib
import zlib
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations import leases
from generations.bucket import inputs, objects
from generations.bucket.errors import ObjectMissing, StorageError
from generations.models import Generation
from generations.worker import backoff
from tests.support.factories import Caller, make_generation
from tests.support.images import base64_of, data_uri, image_bytes
from tests.support.upstream import Upstream
from tests.support.worker import claim_due, ledger_kinds, take_step

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
        (image_bytes(kind="PNG")[: len(image_bytes(kind="PNG")) // 2], "image_incomplete"),
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


NEVER = [400, 401, 402, 403, 404, 405, 406, 409, 410, 415, 418, 422, 451, 204, 206, 300, 304]
NOT_NOW = [408, 421, 423, 425, 429, 500, 501, 502, 503, 504, 520, 599]


@pytest.mark.parametrize("status", NEVER)
def test_a_server_that_will_not_serve_the_image_is_asked_once(
    by_url: Generation, upstream: Upstream, status: int
) -> None:
    upstream.on_video = status, {"Retry-After": "20"}, b""
    g = take_step(by_url)
    assert (g.status, g.error_code, ledger_kinds(g)) == (Status.FAILED, "image_unreachable", ["hold", "release"])
    assert g.error_message == (f"The image could not be read from its URL: the server answered with HTTP {status}.")


@pytest.mark.parametrize("status", NOT_NOW)
def test_a_server_that_cannot_serve_the_image_now_is_asked_four_times(
    by_url: Generation, upstream: Upstream, status: int
) -> None:
    upstream.on_video = status, {}, b""
    statuses = [take_step(by_url).status for _ in range(4)]
    assert statuses == [Status.QUEUED] * 3 + [Status.FAILED]
    assert Generation.objects.get(pk=by_url.pk).error_code == "image_unreachable"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_says_when_to_come_back_is_asked_then(
    by_url: Generation, upstream: Upstream, status: int
) -> None:
    upstream.on_video = status, {"Retry-After": "20"}, b""
    for _ in range(6):
        g = take_step(by_url)
        assert g.status == Status.QUEUED
        assert g.due_at is not None
        assert timedelta(seconds=19) < g.due_at - timezone.now() < timedelta(seconds=65)
    upstream.on_video = 200, {}, image_bytes(kind="PNG")
    assert take_step(by_url).status == Status.RUNNING


def test_a_wait_that_a_server_asks_for_is_bounded(by_url: Generation, upstream: Upstream) -> None:
    upstream.on_video = 503, {"Retry-After": "86400"}, b""
    g = take_step(by_url)
    assert g.due_at is not None
    assert timedelta(seconds=200) < g.due_at - timezone.now() <= timedelta(seconds=300)
    upstream.on_video = 503, {"Retry-After": "Fri, 31 Dec 2999 23:59:59 GMT"}, b""
    g = take_step(by_url)
    assert g.due_at is not None
    assert g.due_at - timezone.now() <= timedelta(seconds=300)
    with time_machine.travel(timezone.now() + timedelta(hours=1), tick=False):
        statuses = [take_step(by_url).status for _ in range(2)]
    assert statuses == [Status.QUEUED, Status.FAILED]


def test_a_redirect_without_an_end_fails_at_once(by_url: Generation, upstream: Upstream) -> None:
    upstream.on_video = 302, {"Location": "/again"}, b""
    g = take_step(by_url)
    assert (g.status, g.error_code) == (Status.FAILED, "image_unreachable")
    assert "more than 20 redirects" in g.error_message


def test_reading_two_slow_images_loses_no_lease(by_url: Generation, upstream: Upstream) -> None:
    """No other worker can claim the generation after a part of the work, though all of it takes longer than a claim."""
    Generation.objects.filter(pk=by_url.pk).update(last_image_url=by_url.image_url + "?last")
    claimed_by_others: list[Generation] = []
    with time_machine.travel(timezone.now(), tick=False) as clock:

        def slow(handler: Any) -> Any:
            clock.shift(leases.IMAGE_CALL_SECONDS)
            return 200, {}, image_bytes(kind="PNG")

        def store(*args: Any, **options: Any) -> Any:
            clock.shift(55)
            claimed_by_others.extend(claim_due(10))
            return put(*args, **options)

        put, upstream.on_video = inputs.store, slow
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(inputs, "store", store)
            assert take_step(by_url).status == Status.RUNNING
    assert claimed_by_others == []
    assert len(upstream.submits) == 1


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


@pytest.mark.parametrize("then", ["the image's server", "the bucket"])
def test_what_failed_in_an_outage_of_the_bucket_is_no_attempt_at_the_image(
    by_url: Generation, upstream: Upstream, monkeypatch: Any, then: str
) -> None:
    """One bad moment after an outage fails nothing: the image has its own attempts."""
    away = StorageError("the bucket is away")

    def fails(*args: Any, **options: Any) -> Any:
        raise away

    with monkeypatch.context() as outage:
        outage.setattr(inputs, "store", fails)
        for _ in range(2 * max(backoff.MAX_IMAGE_ATTEMPTS, backoff.MAX_MISSING_READS)):
            g = take_step(by_url)
    assert g.status == Status.QUEUED
    if then == "the bucket":
        away = ObjectMissing("the bucket does not have it", "NoSuchKey")
        with monkeypatch.context() as glitch:
            glitch.setattr(inputs, "store", fails)
            g = take_step(g)
    else:
        answer, upstream.on_video = upstream.on_video, (503, {}, b"")
        g = take_step(g)
        upstream.on_video = answer
    assert (g.status, g.consecutive_failures) == (Status.QUEUED, 1)
    assert take_step(g).status == Status.RUNNING
