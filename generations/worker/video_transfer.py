"""Transfer a finished video from the upstream to the bucket in constant memory.

The video is downloaded to a file and hashed. While one PUT sends it, a thread looks at the file, and the last block is
held back until it was found to be a whole video: an unfinished PUT stores nothing, so what is no video never enters the
bucket. The PUT states the SHA-256, which the store compares. A store that does not compare is read back instead.

A transfer goes on only while this worker holds the lease. The next copy of the generation deletes what a failed
transfer left in the bucket. After the last one, a failed generation may leave an object that is never served.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass

from generations import leases, lifecycle
from generations.bucket import checksums, object_keys, objects
from generations.bucket.errors import ObjectExists, StorageError
from generations.media import videos
from generations.media.mp4 import BadVideo
from generations.models import Generation
from generations.outbound import addresses, fetch
from generations.telemetry.failpoints import failpoint
from generations.worker import spool
from generations.worker.spool import Spool

MAX_VIDEO_BYTES = 2 * 1024**3  # a 1080p video of 10 s has about 20 MB
LEASE_CHECK_SECONDS = 1.0  # of waiting until the file was looked at
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
    lease, key, poster_key = (
        CopyLease(generation),
        object_keys.video_key(generation),
        object_keys.poster_key(generation),
    )
    with spool.open_spool() as spooled:
        _download(lease, video_url, spooled)
        try:
            video = _store(lease, spooled, key, poster_key)
        except (StorageError, LeaseLost, BadVideo) as error:
            is_retried = isinstance(error, StorageError) and not isinstance(error, StoredDifferently)
            # The next copy deletes what this one has left, unless another worker's was the last.
            if not (is_retried and lifecycle.renew_lease(generation)):
                with suppress(StorageError):
                    objects.delete(key)
                    objects.delete(poster_key)
            raise
    return Transferred(_describe(spooled, video, key, poster_key), video)


def _download(lease: "CopyLease", video_url: str, spooled: Spool) -> None:
    """Download the video into the file."""
    with fetch.open_url(
        video_url,
        limit=MAX_VIDEO_BYTES,
        deadline=leases.DOWNLOAD_SECONDS,
        admitted=addresses.for_videos(),
    ) as download:
        spooled.fill(_with_failpoint(lease.guard(download.chunks)), download.length)


def _store(lease: "CopyLease", spooled: Spool, key: str, poster_key: str) -> videos.Video:
    """Put the file, and its poster at the same time. Raise BadVideo, or StoredDifferently.

    The video is verified if the store compares checksums, and its answer states this one. Otherwise it is read back.
    """
    with ThreadPoolExecutor(1) as beside:
        inspection = beside.submit(_inspect, spooled)
        poster = beside.submit(lambda: objects.put(poster_key, inspection.result().poster, "image/jpeg"))
        _store_video(lease, spooled, key, lambda: _await(inspection, lease))
        poster.result()
    lease.renew()
    failpoint("copy_verified")
    return inspection.result()


def _inspect(spooled: Spool) -> videos.Video:
    """Look at the file when it is its turn. Raise BadVideo."""
    with _inspections, spooled.reopen() as file:
        return videos.inspect(file)


def _await(inspection: "Future[videos.Video]", lease: "CopyLease") -> None:
    """Wait while the lease lasts until the file was looked at. Raise BadVideo, LeaseLost or StorageError."""
    while wait([inspection], LEASE_CHECK_SECONDS).not_done:
        lease.check()
    inspection.result()


def _store_video(lease: "CopyLease", spooled: Spool, key: str, before_last: Callable[[], object]) -> None:
    """Put the file. `before_last` is called before its last block. Raise StoredDifferently."""
    are_compared = checksums.are_compared()
    try:
        is_stated = objects.put_file(
            key, spooled.file, spooled.size, spooled.sha256, "video/mp4", lease.check, before_last
        )
    except ObjectExists:  # the answer to an earlier attempt of the same put was lost
        is_stated = False
    failpoint("copy_stored")
    if not (are_compared and is_stated):
        _read_back(lease, spooled, key)


def _describe(spooled: Spool, video: videos.Video, key: str, poster_key: str) -> lifecycle.StoredVideo:
    """Return what the row is to hold of the video."""
    return lifecycle.StoredVideo(
        key=key,
        size=spooled.size,
        sha256=spooled.sha256,
        codec=video.codec,
        width=video.width,
        height=video.height,
        fps=video.fps,
        duration=video.duration,
        poster_key=poster_key,
    )


def _read_back(lease: "CopyLease", spooled: Spool, key: str) -> None:
    """Read the object and compare it. Raise StoredDifferently."""
    size, digest = 0, hashlib.sha256()
    for chunk in lease.guard(objects.read_stream(key)):
        size += len(chunk)
        digest.update(chunk)
    if (size, digest.hexdigest()) != (spooled.size, spooled.sha256):
        raise StoredDifferently(f"the bucket holds {size} bytes that differ from the {spooled.size} bytes sent")


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
