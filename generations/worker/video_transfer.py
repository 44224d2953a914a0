"""Transfer a finished video from the upstream to the bucket in constant memory, then verify the stored bytes.

A transfer goes on only while this worker holds the lease. The next copy of the generation deletes what a failed
transfer left in the bucket. After the last one, a failed generation may leave an object that is never served.
"""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from generations import leases, lifecycle
from generations.bucket import object_keys, objects
from generations.bucket.errors import StorageError
from generations.media import videos
from generations.media.mp4 import BadVideo
from generations.models import Generation
from generations.outbound import addresses, fetch
from generations.telemetry.failpoints import failpoint

MAX_VIDEO_BYTES = 2 * 1024**3  # a 1080p video of 10 s has about 20 MB


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
    """Store the video at `video_url` with its poster in the bucket, and return what was verified there.

    Raise StorageError, BadVideo or OutboundError if a new attempt with a fresh URL may help. Raise LeaseLost if another
    worker has the row. Each fencing token has keys of its own, which are written once. So a late deletion, by a late
    worker or by a slow S3, never deletes what another worker has stored.
    """
    lease = CopyLease(generation)
    key, poster_key = object_keys.video_key(generation), object_keys.poster_key(generation)
    _delete_older(generation)
    try:
        return _copy(lease, video_url, key, poster_key)
    except (BadVideo, StoredDifferently, LeaseLost):
        with suppress(StorageError):  # then the next copy deletes them
            objects.delete(key)
            objects.delete(poster_key)
        raise


def _copy(lease: "CopyLease", video_url: str, key: str, poster_key: str) -> Transferred:
    """Download the video into the bucket, verify it there, and store its poster."""
    with (
        fetch.open_url(
            video_url,
            limit=MAX_VIDEO_BYTES,
            deadline=leases.DOWNLOAD_SECONDS,
            admitted=addresses.for_videos(),
        ) as download,
        _with_length(lease, download) as (chunks, length),
    ):
        sent = HashedChunks(_with_failpoint(lease.guard(chunks)))
        objects.put_stream(key, iter(sent), length, "video/mp4")
    failpoint("copy_stored")
    video = _verify(lease, key, sent)
    objects.put(poster_key, video.poster, "image/jpeg")
    lease.renew()
    failpoint("copy_verified")
    stored = lifecycle.StoredVideo(
        key=key,
        size=sent.size,
        sha256=sent.sha256,
        codec=video.codec,
        width=video.width,
        height=video.height,
        fps=video.fps,
        duration=video.duration,
        poster_key=poster_key,
    )
    return Transferred(stored, video)


@contextmanager
def _with_length(lease: "CopyLease", download: fetch.Download) -> Iterator[tuple[Iterator[bytes], int]]:
    """Yield the download's chunks and their total length, which S3 needs before the first chunk.

    A download without a Content-Length goes through a temporary file.
    """
    if download.length is not None:
        yield download.chunks, download.length
        return
    with tempfile.TemporaryFile() as file:
        file.writelines(lease.guard(download.chunks))
        length = file.tell()
        file.seek(0)
        yield iter(lambda: file.read(objects.CHUNK_BYTES), b""), length


def _verify(lease: "CopyLease", key: str, sent: "HashedChunks") -> videos.Video:
    """Read the object back and return its facts.

    Raise StoredDifferently if its bytes are not those sent, or BadVideo if they are no whole MP4.
    """
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        stored = HashedChunks(lease.guard(objects.read_stream(key)))
        file.writelines(stored)
        file.flush()
        if (stored.size, stored.sha256) != (sent.size, sent.sha256):
            raise StoredDifferently(f"the bucket holds {stored.size} bytes that differ from the {sent.size} bytes sent")
        return videos.inspect(file.name)


def _delete_older(generation: Generation) -> None:
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
            if time.monotonic() > self._ends:
                raise StorageError("the copy took too long")
            if time.monotonic() - self._renewed > leases.COPY_RENEWAL_SECONDS:
                self.renew()
            yield chunk

    def renew(self) -> None:
        """Extend the lease in the database. Raise LeaseLost if another worker has the row."""
        if not lifecycle.renew_lease(self._generation):
            raise LeaseLost
        self._renewed = time.monotonic()


class HashedChunks:
    """Pass chunks on, and provide their size and SHA-256 after the last."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._hash, self.size = chunks, hashlib.sha256(), 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk

    @property
    def sha256(self) -> str:
        """The SHA-256 of the chunks so far, as hexadecimal text."""
        return self._hash.hexdigest()


def _with_failpoint(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks, and pass a failpoint after each: tests break a copy off here."""
    for chunk in chunks:
        yield chunk
        failpoint("copy_reading")
