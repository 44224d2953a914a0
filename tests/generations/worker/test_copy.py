"""The copy step, against an upstream on a socket and an S3 in this process."""

import hashlib
import threading
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from generations import leases, lifecycle
from generations.bucket import checksums, objects
from generations.bucket.errors import StorageError
from generations.models import Generation
from generations.worker import video_transfer
from generations.worker.copy import copy_video
from tests.support import attempts
from tests.support.images import mp4
from tests.support.upstream import Upstream
from tests.support.worker import claim, due_in, ledger_kinds, take_step

pytestmark = pytest.mark.one_database

Status = Generation.Status


def test_a_video_is_copied_verified_and_described(running: Generation, upstream: Upstream) -> None:
    upstream.video(mp4())
    g = take_step(running)
    assert g.status == Status.SUCCEEDED
    name = f"videos/{g.tenant_id}/{g.created_at:%Y/%m}/{g.pk}-{g.fencing_token}"
    assert (g.video_key, g.poster_key) == (f"{name}.mp4", f"{name}.jpg")
    assert (g.video_size, g.video_sha256) == (len(mp4()), hashlib.sha256(mp4()).hexdigest())
    assert (g.video_codec, g.video_width, g.video_height, g.video_fps) == ("h264", 864, 480, 24.0)
    assert g.video_duration == pytest.approx(121 / 24)
    assert objects.read(g.video_key) == mp4()
    assert objects.read(g.poster_key)[:2] == b"\xff\xd8"
    assert (g.seed, g.upstream_seed) == (1234, 1234)
    assert ledger_kinds(g) == ["hold", "capture"]


def chunked(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(mp4()), mp4()))


def test_a_video_of_unknown_length_is_copied_too(running: Generation, upstream: Upstream) -> None:
    upstream.video(mp4())
    upstream.on_video = chunked
    g = take_step(running)
    assert g.status == Status.SUCCEEDED
    assert objects.read(g.video_key) == mp4()


def cut(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(mp4()), mp4()[:-500]))
    handler.close_connection = True


def cut_without_length(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + mp4()[:-500])
    handler.close_connection = True


@pytest.mark.parametrize(
    "answer",
    [
        cut,
        cut_without_length,
        (200, {}, b""),
        (200, {"Content-Type": "video/mp4"}, b"<html>expired</html>"),
        (200, {}, mp4()[: len(mp4()) // 2]),
        (200, {"Content-Length": "10"}, mp4()),
        (403, {}, b"expired"),
        (404, {}, b""),
        (500, {}, b""),
        (302, {"Location": "http://10.0.0.1/v.mp4"}, b""),
        (200, {"Content-Encoding": "gzip"}, b"x"),
        lambda handler: None,
    ],
)
def test_bytes_that_are_not_the_whole_video_are_never_served(
    running: Generation, upstream: Upstream, answer: Any
) -> None:
    upstream.video(mp4())
    upstream.on_video = answer
    g = take_step(running)
    assert (g.status, g.video_key, g.consecutive_failures) == (Status.COPYING, "", 1)
    assert objects.list_keys("videos/") == []
    # A fresh URL, later, and the copy is whole.
    upstream.on_video = 200, {}, mp4()
    assert take_step(g).status == Status.SUCCEEDED
    assert len(upstream.submits) == 1


def test_a_file_host_that_says_when_to_come_back_is_asked_then(running: Generation, upstream: Upstream) -> None:
    upstream.video(mp4())
    upstream.on_video = 503, {"Retry-After": "120"}, b""
    g = take_step(running)
    assert g.status == Status.COPYING
    assert 100 < due_in(g) <= 120
    upstream.on_video = 429, {"Retry-After": "100000"}, b""
    assert due_in(take_step(running)) <= 300
    upstream.on_video = 404, {"Retry-After": "120"}, b""  # a fresh URL may help before
    assert due_in(take_step(running)) < 100


def test_an_object_left_by_a_copy_that_died_is_not_used_as_the_video(running: Generation, upstream: Upstream) -> None:
    left = f"videos/{running.tenant_id}/{running.created_at:%Y/%m}/{running.pk}-{running.fencing_token}.mp4"
    objects.put(left, b"half a video", "video/mp4")
    Generation.objects.filter(pk=running.pk).update(status=Status.COPYING)
    upstream.video(mp4())
    g = take_step(running)
    assert g.status == Status.SUCCEEDED
    assert objects.read(g.video_key) == mp4()
    assert left not in objects.list_keys("videos/")


def test_a_bucket_that_is_down_delays_a_copy_and_loses_nothing(
    running: Generation, upstream: Upstream, settings: Any
) -> None:
    upstream.video(mp4())
    settings.S3_BUCKET = "not-there"
    assert take_step(running).status == Status.COPYING
    settings.S3_BUCKET = "seedance-tests"
    assert take_step(running).status == Status.SUCCEEDED


@pytest.mark.django_db(transaction=True)
def test_a_copy_that_lost_its_lease_stops_and_leaves_no_object(
    running: Generation, upstream: Upstream, monkeypatch: Any
) -> None:
    monkeypatch.setattr(leases, "COPY_RENEWAL_SECONDS", -1.0)  # renew with every chunk

    def steal(handler: Any) -> Any:
        """Claim the row for another worker, after this worker's copy has begun."""
        Generation.objects.filter(pk=running.pk).update(fencing_token=F("fencing_token") + 1)
        connection.close()
        return 200, {}, mp4()

    upstream.video(mp4())
    upstream.on_video = steal
    g = take_step(running)
    assert g.status == Status.COPYING
    assert objects.list_keys("videos/") == []


@pytest.mark.django_db(transaction=True)
def test_a_copy_that_fails_after_its_lease_was_lost_leaves_no_object(
    running: Generation, upstream: Upstream, monkeypatch: Any
) -> None:
    """The worker that has the row may have deleted older objects before this one stored its poster."""

    def fail(key: str) -> Any:
        Generation.objects.filter(pk=running.pk).update(fencing_token=F("fencing_token") + 1)
        raise StorageError("NoSuchKey")

    monkeypatch.setattr(checksums, "are_compared", lambda: False)
    monkeypatch.setattr(objects, "read_stream", fail)
    upstream.video(mp4())
    take_step(running)
    assert objects.list_keys("videos/") == []


class NoTurn:
    """A lock that is free only after the lease was found to be lost, which another worker takes in the meantime."""

    def __init__(self, monkeypatch: Any) -> None:
        self.lost, self.renew = threading.Event(), lifecycle.renew_lease
        monkeypatch.setattr(lifecycle, "renew_lease", self._renew)

    def __enter__(self) -> None:
        Generation.objects.update(fencing_token=F("fencing_token") + 1)
        connection.close()
        assert self.lost.wait(20)

    def __exit__(self, *error: object) -> None:
        pass

    def _renew(self, generation: Generation) -> bool:
        is_ours = self.renew(generation)
        if not is_ours:
            self.lost.set()
        return is_ours


@pytest.mark.django_db(transaction=True)
def test_a_copy_that_waits_for_its_turn_to_be_looked_at_holds_its_lease_or_stops(
    running: Generation, upstream: Upstream, monkeypatch: Any
) -> None:
    monkeypatch.setattr(leases, "COPY_RENEWAL_SECONDS", -1.0)
    monkeypatch.setattr(video_transfer, "_inspections", NoTurn(monkeypatch))
    upstream.video(mp4())
    assert take_step(running).status == Status.COPYING
    assert objects.list_keys("videos/") == []


@pytest.mark.django_db(transaction=True)
def test_a_stale_worker_does_not_delete_what_another_has_stored(
    running: Generation, upstream: Upstream, monkeypatch: Any
) -> None:
    """Worker A stalls while it lists older objects; worker B copies and succeeds; then A continues."""
    upstream.video(mp4())
    stale = claim(running)
    assert attempts.start_copying(stale, 77)
    list_keys = objects.list_keys

    def stall(prefix: str) -> list[str]:
        monkeypatch.setattr(objects, "list_keys", list_keys)
        assert take_step(running).status == Status.SUCCEEDED
        return list_keys(prefix)

    monkeypatch.setattr(objects, "list_keys", stall)
    copy_video(stale, f"{upstream.url}/video.mp4")
    g = Generation.objects.get(pk=running.pk)
    assert g.status == Status.SUCCEEDED
    assert objects.read(g.video_key) == mp4()


def test_the_upstreams_url_is_not_logged(running: Generation, upstream: Upstream, caplog: Any) -> None:
    upstream.video(mp4())
    upstream.on_video = 403, {}, b""
    take_step(running)
    upstream.on_video = 200, {}, mp4()
    take_step(running)
    assert "upstreamsecret" not in caplog.text


def html(handler: Any) -> Any:
    return 200, {"Content-Type": "video/mp4"}, b"<html>expired</html>"


def test_a_file_that_is_no_video_ends_the_generation_after_a_few_tries(running: Generation, upstream: Upstream) -> None:
    upstream.video(mp4())
    upstream.on_video = html
    waits = []
    for files in range(1, 5):
        g = take_step(running)
        assert (g.status, g.unusable_files) == (Status.COPYING, files)
        waits.append(due_in(g))
    assert sum(waits) < 120
    g = take_step(g)
    assert (g.status, g.error_code) == (Status.FAILED, "video_unreadable")
    assert "do not begin as an MP4 does" in g.error_message
    assert ledger_kinds(g) == ["hold", "release"]
    assert objects.list_keys("videos/") == []


def test_failures_of_the_host_are_not_counted_as_files_that_are_no_video(
    running: Generation, upstream: Upstream
) -> None:
    upstream.video(mp4())
    for answer in [(503, {}, b"")] * 6 + [html] * 4 + [(404, {}, b"")] * 2 + [cut]:
        upstream.on_video = answer
        assert take_step(running).status == Status.COPYING
    upstream.on_video = 200, {}, mp4() + b"\r\n"
    assert take_step(running).status == Status.SUCCEEDED


def test_an_operator_who_retries_a_copy_gives_the_file_all_its_tries_again(
    running: Generation, upstream: Upstream
) -> None:
    upstream.video(mp4())
    upstream.on_video = html
    for _ in range(4):
        g = take_step(running)
    assert lifecycle.run_now(g, [Status.COPYING], "The file host was repaired.")
    assert take_step(g).unusable_files == 1
