"""Transfer a finished video from the upstream to the bucket in constant memory.

The video is downloaded to a file and hashed, and looked at there: what is no whole video never enters the bucket. One
PUT states its SHA-256, which the store compares. A store that does not compare is read back instead.

A transfer goes on only while this worker holds the lease. The next copy of the generation deletes what a failed
transfer left in the bucket. After the last one, a failed generation may leave an object that is never served.
"""

import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from generations import leases, lifecycle
from generations.bucket import checksums, object_keys, objects
from generations.bucket.errors import ObjectExists, StorageError
from generations.media import videos
from generations.models import Generation
from generations.outbound import addresses, fetch
from generations.telemetry.failpoints import failpoint
from generations.worker import spool
from generations.worker.spool import Spool

MAX_VIDEO_BYTES = 2 * 1024**3  # a 1080p video of 10 s has about 20 MB
LEASE_CHECK_SECONDS = 1.0  # of waiting for a turn
# One video is looked at at a time: it takes a hundredth of a second, and memory for frames that stays with the process.
_inspections = threading.Lock()


class LeaseLost(Exception):
    """The lease ran out, and another worker has claimed the row."""


@dataclass(frozen=True)
class Transferred:
    """A video in the bucket: what its row holds, and what a player shows of it."""

    stored: lifecycle.StoredVideo
    video: videos.Video


class StoredDifferently(StorageError):
    """The bucket holds other bytes than it was sent."""


def run(generation: Generation, video_url: str) -> Transferred:
    """Store the video at `video_url` with its poster in the bucket, and return what was verified.

    Raise DiskShort, StorageError, BadVideo or OutboundError if a later attempt with a fresh URL may help. Raise
    LeaseLost if another worker has the row. Each fencing token has keys of its own, which are written once. So a late
    deletion, by a late worker or by a slow S3, never deletes what another worker has stored.
    """
    lease = CopyLease(generation)
    with spool.open_spool() as spooled:
        _download(lease, video_url, spooled)
        video = _inspect(lease, spooled)
        stored = _describe(generation, spooled, video)
        try:
            _store(lease, spooled, stored, video)
        except (StoredDifferently, LeaseLost):
            with suppress(StorageError):  # then the next copy deletes them
                objects.delete(stored.key)
                objects.delete(stored.poster_key)
            raise
    return Transferred(stored, video)


def _download(lease: "CopyLease", video_url: str, spooled: Spool) -> None:
    """Download the video into the file."""
    with fetch.open_url(
        video_url,
        limit=MAX_VIDEO_BYTES,
        deadline=leases.DOWNLOAD_SECONDS,
        admitted=addresses.for_videos(),
    ) as download:
        spooled.fill(_with_failpoint(lease.guard(download.chunks)), download.length)


def _inspect(lease: "CopyLease", spooled: Spool) -> videos.Video:
    """Look at the file when it is this copy's turn. Raise BadVideo."""
    while not _inspections.acquire(timeout=LEASE_CHECK_SECONDS):
        lease.check()
    try:
        return videos.inspect(spooled.file)
    finally:
        _inspections.release()


def _describe(generation: Generation, spooled: Spool, video: videos.Video) -> lifecycle.StoredVideo:
    """Return what the row is to hold of the video."""
    return lifecycle.StoredVideo(
        key=object_keys.video_key(generation),
        size=spooled.size,
        sha256=spooled.sha256,
        codec=video.codec,
        width=video.width,
        height=video.height,
        fps=video.fps,
        duration=video.duration,
        poster_key=object_keys.poster_key(generation),
    )


def _store(lease: "CopyLease", spooled: Spool, stored: lifecycle.StoredVideo, video: videos.Video) -> None:
    """Put the file, and its poster at the same time. Raise StoredDifferently if the bucket holds other bytes.

    The video is verified if the store compares checksums, and its answer states this one. Otherwise it is read back.
    """
    with ThreadPoolExecutor(1) as beside:
        poster = beside.submit(objects.put, stored.poster_key, video.poster, "image/jpeg")
        _store_video(lease, spooled, stored)
        poster.result()
    lease.renew()
    failpoint("copy_verified")


def _store_video(lease: "CopyLease", spooled: Spool, stored: lifecycle.StoredVideo) -> None:
    """Put the file. Raise StoredDifferently."""
    are_compared = checksums.are_compared()
    try:
        is_stated = objects.put_file(stored.key, spooled.file, stored.size, stored.sha256, "video/mp4", lease.check)
    except ObjectExists:  # the answer to an earlier attempt of the same put was lost
        is_stated = False
    failpoint("copy_stored")
    if not (are_compared and is_stated):
        _read_back(lease, stored)


def _read_back(lease: "CopyLease", stored: lifecycle.StoredVideo) -> None:
    """Read the object and compare it. Raise StoredDifferently."""
    size, digest = 0, hashlib.sha256()
    for chunk in lease.guard(objects.read_stream(stored.key)):
        size += len(chunk)
        digest.update(chunk)
    if (size, digest.hexdigest()) != (stored.size, stored.sha256):
        raise StoredDifferently(f"the bucket holds {size} bytes that differ from the {stored.size} bytes sent")


def delete_older(generation: Generation) -> None:
    """Delete what earlier copies that failed have left in the bucket: no row names these objects."""
    for key in objects.list_keys(object_keys.video_prefix(generation)):
        token = object_keys.fencing_token(key)
        if token is not None and token < generation.fencing_token:
            objects.delete(key)


class CopyLease:
    """The lease of one copy: renewed while bytes flow, and for COPY_SECONDS at most."""

    def __init__(self, generation: Generation) -> None:
        self._generation, self._renewed = generation, float("-inf")
        self._ends = time.monotonic() + leases.COPY_SECONDS

    def guard(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the chunks while the lease lasts. Raise LeaseLost, or StorageError after COPY_SECONDS."""
        for chunk in chunks:
            self.check()
            yield chunk

    def check(self) -> None:
        """Extend the lease if it is time. Raise LeaseLost, or StorageError after COPY_SECONDS."""
        if time.monotonic() > self._ends:
            raise StorageError("the copy took too long")
        if time.monotonic() - self._renewed > leases.COPY_RENEWAL_SECONDS:
            self.renew()

    def renew(self) -> None:
        """Extend the lease in the database. Raise LeaseLost if another worker has the row."""
        if not lifecycle.renew_lease(self._generation):
            raise LeaseLost
        self._renewed = time.monotonic()


def _with_failpoint(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks, and pass a failpoint after each: tests break a copy off here."""
    for chunk in chunks:
        yield chunk
        failpoint("copy_reading")
