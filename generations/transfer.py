"""The bytes of a COPY: from the upstream to the bucket in constant memory, then verified by reading them back.

It acts only while the lease is this worker's: once that is lost, the object under the key may be one that is served.
"""

import hashlib
import tempfile
import time
from collections.abc import Iterator

from generations import errors, fetch, lifecycle, storage, videos
from generations.failpoints import failpoint
from generations.models import Generation

DEADLINE = 240.0  # seconds; 20 MB at 85 kB/s, and below the queue's timeout
MAX_VIDEO = 2 * 1024**3  # bytes; a 1080p video of 10 s has about 20 MB
RENEW_EVERY = 20.0  # seconds, a fraction of the copy's lease


class TurnLost(Exception):
    """The lease ran out and another worker has the row."""


def run(generation: Generation, video_url: str) -> lifecycle.StoredVideo:
    """What was verified in the bucket. Raises Trouble, where a fresh URL and another try may help, or TurnLost."""
    folder = f"videos/{generation.tenant_id}/{generation.created_at:%Y/%m}"
    key, poster_key = f"{folder}/{generation.pk}.mp4", f"{folder}/{generation.pk}.jpg"
    if storage.size(key) is not None:
        _delete(generation, key)  # left by a copy that died; nobody was told of it
    with fetch.open_url(video_url, limit=MAX_VIDEO, deadline=DEADLINE) as download:
        hashed = Hashed(_broken_off(_while_mine(generation, download.chunks)))
        storage.put_stream(key, iter(hashed), download.length, "video/mp4")
    failpoint("copy_stored")
    facts = _verify(generation, key, hashed)
    storage.put(poster_key, facts.poster, "image/jpeg")
    failpoint("copy_verified")
    return lifecycle.StoredVideo(
        key=key,
        size=hashed.size,
        sha256=hashed.sha256,
        codec=facts.codec,
        width=facts.width,
        height=facts.height,
        fps=facts.fps,
        duration=facts.duration,
        poster_key=poster_key,
    )


def _verify(generation: Generation, key: str, sent: "Hashed") -> videos.Video:
    """What lies in the bucket, if it is what was sent and a whole MP4. Raises BadVideo, with the object deleted."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        stored = Hashed(_while_mine(generation, storage.read_stream(key)))
        file.writelines(stored)
        file.flush()
        try:
            if (stored.size, stored.sha256) != (sent.size, sent.sha256):
                raise errors.BadVideo(f"{stored.size} bytes lie in the bucket, {sent.size} other ones were sent")
            return videos.inspect(file.name)
        except errors.BadVideo:
            _delete(generation, key)
            raise


def _delete(generation: Generation, key: str) -> None:
    """Delete what this copy may delete: once the turn is lost, the object may be one that is served."""
    if not lifecycle.renew_lease(generation):
        raise TurnLost
    storage.delete(key)


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


def _while_mine(generation: Generation, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks, for as long as the lease can be renewed. Raises TurnLost."""
    renewed = float("-inf")
    for chunk in chunks:
        if time.monotonic() - renewed > RENEW_EVERY:
            if not lifecycle.renew_lease(generation):
                raise TurnLost
            renewed = time.monotonic()
        yield chunk
