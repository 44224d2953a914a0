"""The memory of a copy does not grow with the size of the video."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from generations.bucket import objects
from tests.faults.copies import Status, at_the_upstream, take_step
from tests.support.factories import Caller
from tests.support.images import mp4
from tests.support.upstream import Upstream

VIDEO_BYTES = 60_000_000
MAX_BYTES = 25_000_000  # of this process, which is the upstream too
CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def video() -> Iterator[bytes]:
    """Yield a whole MP4 with a large box behind its frames."""
    yield mp4() + (VIDEO_BYTES - len(mp4())).to_bytes(4, "big") + b"free"
    left, zeros = VIDEO_BYTES - len(mp4()) - 8, bytes(65536)
    while left:
        yield zeros[:left]
        left -= min(left, len(zeros))


def answer(head: bytes) -> Callable[[Any], None]:
    def give(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        for piece in video():
            handler.wfile.write(piece)
        handler.close_connection = True

    return give


def bytes_of(name: str) -> int:
    [line] = [line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


@pytest.mark.usefixtures("real_bucket")
@pytest.mark.parametrize("head", [b"Content-Length: %d\r\n" % VIDEO_BYTES, b""], ids=["with a length", "without one"])
def test_sixty_megabytes_are_copied_in_a_few(alice: Caller, upstream: Upstream, head: bytes) -> None:
    upstream.video(b"")
    upstream.on_video = answer(head)
    g = at_the_upstream(alice)
    CLEAR.write_text("5")  # the high-water mark is now what is in use, proc(5)
    before = bytes_of("VmRSS")
    g = take_step(g)
    grown = bytes_of("VmHWM") - before
    sha256 = hashlib.sha256()
    for piece in video():
        sha256.update(piece)
    assert (g.status, g.video_size, g.video_sha256) == (Status.SUCCEEDED, VIDEO_BYTES, sha256.hexdigest())
    assert grown < MAX_BYTES
    for key in (g.video_key, g.poster_key):
        objects.delete(key)
