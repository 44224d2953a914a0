"""A copy whose source has faults: either the whole video is served, or nothing is.

A bit that flips at the source, before it was hashed, cannot be seen here: no checksum comes with the URL.
"""

import gzip
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations import leases
from generations.models import Generation
from generations.worker import video_transfer
from tests.faults.copies import (
    BUCKET,
    Status,
    assert_copied,
    assert_legal,
    assert_nothing_is_served,
    at_the_upstream,
    objects,
    take_step,
)
from tests.support.factories import Caller
from tests.support.images import image_bytes, mp4
from tests.support.upstream import Upstream, refusal, task
from tests.support.worker import ledger_kinds

SHARES = [0.0, 0.01, 0.5, 0.99]
LIMIT = 1_000_000  # bytes


@pytest.fixture
def running(alice: Caller, bucket: Any, upstream: Upstream) -> Generation:
    upstream.video(mp4())
    return at_the_upstream(alice)


def raw(head: bytes, body: bytes) -> Callable[[Any], None]:
    """Return an answer that writes these bytes and closes the connection."""

    def answer(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n" + head + b"\r\n" + body)
        handler.close_connection = True

    return answer


def cut(share: float, head: bytes = b"") -> Callable[[Any], None]:
    return raw(head, mp4()[: int(len(mp4()) * share)])


def framed(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def without(box: bytes) -> bytes:
    start = mp4().index(box) - 4
    return mp4()[:start] + mp4()[start + int.from_bytes(mp4()[start : start + 4]) :]


def endless(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        handler.close_connection = True


LENGTH = b"Content-Length: %d\r\n" % len(mp4())
CHUNKED = b"Transfer-Encoding: chunked\r\n"
XML = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>'
HURT: dict[str, list[Any]] = {
    "cut": [cut(share, LENGTH) for share in SHARES],
    "cut without a length": [*(cut(share) for share in SHARES), raw(b"", mp4()[:-1])],
    "cut among chunks": [raw(CHUNKED, framed(mp4())[: int(len(mp4()) * share)]) for share in SHARES],
    "cut between chunks": [raw(CHUNKED, framed(mp4()[:4000]))],
    "cut, with a length that fits": [(200, {}, mp4()[: len(mp4()) // 2]), (200, {}, mp4()[:-1])],
    "a length that is too small": [(200, {"Content-Length": length}, mp4()) for length in ("4000", "10", "0")],
    "a length that is too large": [raw(b"Content-Length: %d\r\n" % (len(mp4()) + 1), mp4())],
    "a length that is none": [raw(b"Content-Length: %s\r\n" % text, mp4()) for text in (b"-1", b"x", b"9" * 5000)],
    "two lengths": [raw(LENGTH + b"Content-Length: 10\r\n", mp4())],
    "zero bytes": [(200, {}, b"")],
    "HTML": [(200, {"Content-Type": kind}, b"<html>expired</html>") for kind in ("text/html", "video/mp4")],
    "XML": [(200, {"Content-Type": kind}, XML) for kind in ("application/xml", "video/mp4")],
    "a part": [(206, {"Content-Range": f"bytes 0-99/{len(mp4())}"}, mp4()[:100])],
    "all of it as a part": [(206, {"Content-Range": f"bytes 0-{len(mp4()) - 1}/{len(mp4())}"}, mp4())],
    "compressed, which its head does not say": [(200, {}, gzip.compress(mp4()))],
    "compressed, and cut off": [(200, {"Content-Encoding": "gzip"}, gzip.compress(mp4())[:-9])],
    "in a compression that is not read": [(200, {"Content-Encoding": "br"}, mp4())],
    "not compressed, which its head says it is": [(200, {"Content-Encoding": "gzip"}, mp4())],
    "compressed, and larger than the limit": [(200, {"Content-Encoding": "gzip"}, gzip.compress(mp4() + bytes(LIMIT)))],
    "endless": [endless],
    "20 GB": [raw(b"Content-Length: 20000000000\r\n", mp4())],
    "a byte more than the limit": [(200, {}, mp4() + bytes(LIMIT + 1 - len(mp4())))],
    "without a box": [(200, {}, without(b"moov")), (200, {}, without(b"mdat")), (200, {}, without(b"ftyp"))],
    "an image": [(200, {"Content-Type": "video/mp4"}, image_bytes(kind=kind)) for kind in ("JPEG", "GIF", "WEBP")],
    "no answer": [lambda handler: None],
    "another status": [(status, {}, XML) for status in (204, 304, 403, 404, 410, 416, 429, 500, 503)],
    "a redirect inside": [
        (302, {"Location": "http://169.254.169.254/latest/meta-data"}, b""),
        (302, {"Location": "http://127.0.0.1:1/"}, b""),
    ],
    "a redirect without an end": [(302, {}, b""), (307, {"Location": "/video.mp4"}, b"")],
}


@pytest.mark.parametrize("answers", HURT.values(), ids=HURT)
def test_an_incomplete_video_is_never_served(
    running: Generation, alice: Caller, upstream: Upstream, bucket: Any, monkeypatch: Any, answers: list[Any]
) -> None:
    monkeypatch.setattr(video_transfer, "MAX_VIDEO_BYTES", LIMIT)
    for tries, answer in enumerate(answers, 1):
        upstream.on_video = answer
        Generation.objects.update(unusable_files=0)
        g = take_step(running)
        assert (g.status, g.consecutive_failures) == (Status.COPYING, tries)
        assert objects(bucket, g) == {}
    assert_nothing_is_served(alice, g)
    upstream.video(mp4())
    assert_copied(alice, take_step(g), mp4(), bucket)


WHOLE = {
    "with its length": (200, {}, mp4()),
    "until the connection ends": raw(b"", mp4()),
    "chunked": raw(CHUNKED, framed(mp4()[:100], mp4()[100:], b"")),
    "chunked, with a length that lies": raw(b"Content-Length: 100\r\n" + CHUNKED, framed(mp4(), b"")),
    "as binary": (200, {"Content-Type": "binary/octet-stream"}, mp4()),
    "without a type": raw(LENGTH, mp4()),
    "an encoding that is none": (200, {"Content-Encoding": ""}, mp4()),
    "an encoding that a store keeps": (200, {"Content-Encoding": "aws-chunked"}, mp4()),
    "compressed": (200, {"Content-Encoding": "gzip"}, gzip.compress(mp4())),
    "with a box behind it": (200, {}, mp4() + b"\0\0\0\x10free" + bytes(8)),
}


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE)
def test_a_whole_video_is_served_however_it_was_sent(
    running: Generation, alice: Caller, upstream: Upstream, bucket: Any, answer: Any
) -> None:
    upstream.on_video = answer
    is_sent_as_it_is = isinstance(answer, tuple) and "gzip" not in answer[1].values()
    assert_copied(alice, take_step(running), answer[2] if is_sent_as_it_is else mp4(), bucket)


def test_a_video_behind_a_redirect_is_served(
    running: Generation, alice: Caller, upstream: Upstream, bucket: Any
) -> None:
    moved, there = (302, {"Location": "/there.mp4"}, b""), (200, {}, mp4())
    upstream.on_video = lambda handler: there if handler.path == "/there.mp4" else moved
    assert_copied(alice, take_step(running), mp4(), bucket)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + LENGTH])
def test_a_source_that_drips_ends_at_the_time_limit(
    running: Generation, alice: Caller, upstream: Upstream, bucket: Any, monkeypatch: Any, head: bytes
) -> None:
    def drip(handler: Any) -> None:
        try:
            handler.wfile.write(head)
            for byte in mp4():
                handler.wfile.write(bytes([byte]))
                time.sleep(0.01)
        except OSError:
            handler.close_connection = True

    monkeypatch.setattr(leases, "DOWNLOAD_SECONDS", 0.1)
    upstream.on_video = drip
    started = time.monotonic()
    g = take_step(running)
    assert time.monotonic() - started < 3
    assert (g.status, g.consecutive_failures) == (Status.COPYING, 1)
    assert_nothing_is_served(alice, g)
    assert objects(bucket, g) == {}
    monkeypatch.undo()
    upstream.video(mp4())
    assert_copied(alice, take_step(g), mp4(), bucket)


# Expiry


def sign_again(upstream: Upstream, good_from: int) -> list[str]:
    """Name another URL in each task result. URLs from `good_from` on are valid. Return the paths that are requested."""
    asked: list[str] = []

    def result(handler: Any) -> Any:
        return task("TASK_STATUS_SUCCEED", url=f"{upstream.url}/{len(upstream.polls)}.mp4?X-Amz-Signature=x")

    def video(handler: Any) -> Any:
        asked.append(handler.path.partition("?")[0])
        number = int(asked[-1].strip("/").partition(".")[0])
        return (200, {}, mp4()) if number >= good_from else (403, {}, XML)

    upstream.on_poll, upstream.on_video = result, video
    return asked


def test_an_expired_url_is_requested_once_and_a_fresh_one_is_used(
    running: Generation, alice: Caller, upstream: Upstream, bucket: Any
) -> None:
    asked = sign_again(upstream, good_from=2)
    g = take_step(running)
    assert g.status == Status.COPYING
    assert_nothing_is_served(alice, g)
    assert_copied(alice, take_step(g), mp4(), bucket)
    assert asked == ["/1.mp4", "/2.mp4"]


def test_urls_that_are_expired_for_good_end_in_a_failure_and_a_release(
    running: Generation, alice: Caller, upstream: Upstream, bucket: Any
) -> None:
    asked = sign_again(upstream, good_from=10**9)
    for hours in (0, 1, 12, 23.9):
        with time_machine.travel(timezone.now() + timedelta(hours=hours), tick=False):
            g = take_step(running)
            assert g.status == Status.COPYING
            assert_nothing_is_served(alice, g)
    with time_machine.travel(timezone.now() + timedelta(hours=24.1), tick=False):
        g = take_step(running)
    assert (g.status, g.error_code) == (Status.FAILED, "copy_failed")
    assert "403" in g.events.latest("id").detail
    assert len(asked) == 5
    assert_nothing_is_served(alice, g)
    assert_legal(g)
    assert objects(bucket, g) == {}
    assert ledger_kinds(g) == ["hold", "release"]


@pytest.mark.parametrize(
    "answer",
    [
        refusal(404, "TASK_NOT_FOUND"),
        refusal(500, "GET_RESULT_FAILED"),
        (200, {}, b"?"),
        task("TASK_STATUS_PROCESSING", progress=10),
        task("TASK_STATUS_SUCCEED"),
        task("TASK_STATUS_FAILED", reason="late"),
    ],
    ids=["404", "500", "garbage", "running again", "without a video", "failed after all"],
)
def test_a_result_that_disappears_during_the_copy_is_waited_for(
    running: Generation, alice: Caller, upstream: Upstream, bucket: Any, answer: Any
) -> None:
    upstream.on_video = 403, {}, XML
    g = take_step(running)
    upstream.on_poll = answer
    for tries in (2, 3):
        g = take_step(g)
        assert (g.status, g.consecutive_failures) == (Status.COPYING, tries)
        assert_nothing_is_served(alice, g)
    upstream.video(mp4())
    assert_copied(alice, take_step(g), mp4(), bucket)


def test_a_first_poll_that_is_late_by_an_hour_copies_the_video(
    running: Generation, alice: Caller, upstream: Upstream, bucket: Any
) -> None:
    sign_again(upstream, good_from=1)
    with time_machine.travel(timezone.now() + timedelta(hours=1, minutes=1), tick=False):
        g = take_step(running)
    assert_copied(alice, g, mp4(), bucket)


def test_a_store_that_is_down_for_two_hours_costs_no_video(
    running: Generation, alice: Caller, upstream: Upstream, bucket: Any, settings: Any
) -> None:
    """Each URL is valid for an hour. The copy in the end uses a URL signed after the store came back."""
    settings.S3_BUCKET = "not-there"
    started, g = timezone.now(), running
    for minutes in range(0, 121, 20):
        sign_again(upstream, good_from=len(upstream.polls) + 1)
        with time_machine.travel(started + timedelta(minutes=minutes), tick=False):
            g = take_step(g)
            assert g.status == Status.COPYING
            assert_nothing_is_served(alice, g)
    settings.S3_BUCKET = BUCKET
    asked = sign_again(upstream, good_from=len(upstream.polls) + 1)
    with time_machine.travel(started + timedelta(minutes=125), tick=False):
        g = take_step(g)
        assert_copied(alice, g, mp4(), bucket)
    assert asked == [f"/{len(upstream.polls)}.mp4"]
