"""The bytes of a COPY: from the upstream to the bucket in constant memory, then verified by reading them back.

It goes on only while the lease is this worker's. What a copy leaves in the bucket when it dies, or when S3 fails it at
the very end, the next turn deletes; after a last one, a generation that fails may leave an object that is never served.
"""

import hashlib
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict

from generations import lifecycle
from generations.bucket import objects
from generations.bucket.errors import StorageError
from generations.media import videos
from generations.models import Generation
from generations.outbound import fetch
from generations.telemetry.failpoints import failpoint

DEADLINE = 240.0  # seconds for the download; 20 MB at 85 kB/s
COPY_WITHIN = 270.0  # seconds for all of it; with a sweep's 50 s, a poll and the poster below the queue's 600
MAX_VIDEO = 2 * 1024**3  # bytes; a 1080p video of 10 s has about 20 MB
RENEW_EVERY = 20.0  # seconds, a fraction of the copy's lease


class LeaseLost(Exception):
    """The lease ran out and another worker has the row."""


def run(generation: Generation, video_url: str) -> lifecycle.StoredVideo:
    """Return what was verified in the bucket. Raise StorageError, BadVideo or OutboundError, where a fresh URL and
    another try may help, or LeaseLost.

    Each turn writes under names of its own, which are never written again: whatever is deleted, however late the
    worker wakes or S3 gets round to it, is never what another turn has stored.
    """
    name, lease = f"{prefix(generation)}{generation.fencing_token}", CopyLease(generation)
    _delete_older(prefix(generation), generation.fencing_token)
    try:
        return _copied(lease, video_url, f"{name}.mp4", f"{name}.jpg")
    except (videos.BadVideo, LeaseLost):
        with suppress(StorageError):  # the next turn finds it
            for key in (f"{name}.mp4", f"{name}.jpg"):
                objects.delete(key)
        raise


def prefix(generation: Generation) -> str:
    """How the keys of all its copies begin."""
    return f"videos/{generation.tenant_id}/{generation.created_at:%Y/%m}/{generation.pk}-"


def _copied(lease: "CopyLease", video_url: str, key: str, poster_key: str) -> lifecycle.StoredVideo:
    with (
        fetch.open_url(video_url, limit=MAX_VIDEO, deadline=DEADLINE) as download,
        _measured(lease, download) as (chunks, length),
    ):
        hashed = Hashed(_broken_off(lease.guard(chunks)))
        objects.put_stream(key, iter(hashed), length, "video/mp4")
    failpoint("copy_stored")
    facts = asdict(_verified(lease, key, hashed))
    objects.put(poster_key, facts.pop("poster"), "image/jpeg")
    lease.renew()
    failpoint("copy_verified")
    return lifecycle.StoredVideo(key=key, size=hashed.size, sha256=hashed.sha256, poster_key=poster_key, **facts)


@contextmanager
def _measured(lease: "CopyLease", download: fetch.Download) -> Iterator[tuple[Iterator[bytes], int]]:
    """The chunks and how many bytes they are: where the source does not say it, by way of a file."""
    if download.length is not None:
        yield download.chunks, download.length
        return
    with tempfile.TemporaryFile() as file:
        file.writelines(lease.guard(download.chunks))
        length = file.tell()
        file.seek(0)
        yield iter(lambda: file.read(objects.CHUNK_BYTES), b""), length


def _verified(lease: "CopyLease", key: str, sent: "Hashed") -> videos.Video:
    """What lies in the bucket, if it is what was sent and a whole MP4. Raises BadVideo."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        stored = Hashed(lease.guard(objects.read_stream(key)))
        file.writelines(stored)
        file.flush()
        if (stored.size, stored.sha256) != (sent.size, sent.sha256):
            raise videos.BadVideo(f"{stored.size} bytes lie in the bucket, {sent.size} other ones were sent")
        return videos.inspect(file.name)


def _delete_older(prefix: str, lease: int) -> None:
    """What copies that died have left; nobody was told of it."""
    for key in objects.list_keys(prefix):
        if (found := re.fullmatch(r"(\d+)\.(mp4|jpg)", key.removeprefix(prefix))) and int(found[1]) < lease:
            objects.delete(key)


class CopyLease:
    """This worker's right to the row, renewed while bytes flow, and for COPY_WITHIN at most."""

    def __init__(self, generation: Generation) -> None:
        self._generation, self._ends, self._renewed = generation, time.monotonic() + COPY_WITHIN, float("-inf")

    def guard(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks, for as long as the turn lasts. Raises TurnLost, and StorageError where the time is over."""
        for chunk in chunks:
            if time.monotonic() > self._ends:
                raise StorageError("the copy took too long")
            if time.monotonic() - self._renewed > RENEW_EVERY:
                self.renew()
            yield chunk

    def renew(self) -> None:
        if not lifecycle.renew_lease(self._generation):
            raise LeaseLost
        self._renewed = time.monotonic()


class Hashed:
    """Passes chunks on, and knows their size and SHA-256 once they have all gone by."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._hash, self.size = chunks, hashlib.sha256(), 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def _broken_off(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        failpoint("copy_reading")
