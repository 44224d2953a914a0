"""The disk for videos on their way to the bucket: it is bounded, and what has no place on it waits."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generations.bucket import checksums, objects
from generations.budget import Budget
from generations.models import Generation
from generations.worker import spool
from tests.support.images import mp4
from tests.support.upstream import Upstream
from tests.support.worker import due_in, take_step

Status = Generation.Status


def chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield bytes(1000)


@pytest.mark.parametrize("length", [5000, None, 4000])
def test_a_file_has_all_chunks_and_their_digest(length: int | None) -> None:
    with spool.open_spool() as spooled:
        spooled.fill(chunks(5), length)
        spooled.file.seek(0)
        assert spooled.file.read() == bytes(5000)
        assert (spooled.size, os.fstat(spooled.file.fileno()).st_size) == (5000, 5000)
        assert spooled.sha256 == hashlib.sha256(bytes(5000)).hexdigest()


def test_the_budget_is_shared_and_given_back(monkeypatch: Any) -> None:
    monkeypatch.setattr(spool, "_budget", Budget(10_000))
    with spool.open_spool() as first:
        first.fill(chunks(8), 8000)
        with pytest.raises(spool.DiskShort, match="SPOOL_MB"), spool.open_spool() as second:
            second.fill(chunks(3), 3000)
    with spool.open_spool() as third:
        third.fill(chunks(10), 10_000)


def test_a_file_of_unknown_length_reserves_the_disk_as_it_grows(monkeypatch: Any) -> None:
    monkeypatch.setattr(spool, "STEP_BYTES", 4000)
    monkeypatch.setattr(spool, "_budget", Budget(10_000))
    with pytest.raises(spool.DiskShort, match="SPOOL_MB"), spool.open_spool() as spooled:
        spooled.fill(chunks(20), None)
    assert spooled.size == 8000


def test_nothing_is_downloaded_onto_a_disk_with_too_little_free(
    running: Generation, upstream: Upstream, monkeypatch: Any
) -> None:
    monkeypatch.setattr(spool, "free_bytes", lambda: spool.MIN_FREE_BYTES + len(mp4()) - 1)
    upstream.video(mp4())
    g = take_step(running)
    assert (g.status, g.consecutive_failures) == (Status.COPYING, 1)
    assert g.events.latest("id").message == "the worker's disk has no place for the video now"
    assert "too little free" in g.events.latest("id").detail
    assert 9 < due_in(g) <= 10
    assert g.outage_since is not None  # no deadline counts the wait
    assert objects.list_keys("videos/") == []
    monkeypatch.undo()
    assert take_step(g).status == Status.SUCCEEDED


def test_a_folder_that_is_missing_ends_no_generation(
    running: Generation, upstream: Upstream, settings: Any, tmp_path: Path
) -> None:
    settings.SPOOL_DIR = str(tmp_path / "missing")
    upstream.video(mp4())
    assert take_step(running).status == Status.COPYING


@pytest.mark.parametrize(
    "body", [b"<html>", b"<html>" * 500_000, mp4()[: len(mp4()) // 2]], ids=["page", "long", "cut"]
)
def test_what_is_no_video_never_enters_the_bucket(
    running: Generation, upstream: Upstream, monkeypatch: Any, body: bytes
) -> None:
    """It enters not even for a moment: nothing has to be deleted."""
    monkeypatch.setattr(objects, "delete", lambda key: None)
    upstream.video(mp4())
    upstream.on_video = 200, {}, body
    assert take_step(running).unusable_files == 1
    assert objects.list_keys("videos/") == []


@pytest.mark.parametrize("are_compared", [True, False])
def test_a_video_is_read_back_unless_the_store_compares_and_states_its_checksum(
    running: Generation, upstream: Upstream, monkeypatch: Any, are_compared: bool
) -> None:
    read: list[str] = []
    stream, put = objects.read_stream, objects.put_file
    monkeypatch.setattr(checksums, "are_compared", lambda: are_compared)
    monkeypatch.setattr(objects, "put_file", lambda *facts: put(*facts) or True)
    monkeypatch.setattr(objects, "read_stream", lambda key: read.append(key) or stream(key))
    upstream.video(mp4())
    g = take_step(running)
    assert g.status == Status.SUCCEEDED
    assert read == ([] if are_compared else [g.video_key])
