"""Tests of the memory that one inspection takes, measured in a process for each hostile file."""

import functools
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.images import render_mp4
from tests.support.mp4_files import (
    VIDEO_TABLES,
    add,
    body,
    box,
    change,
    encode,
    find,
    full_box,
    remux,
    sps,
    with_edits,
    with_header_size,
    with_hevc_size,
    with_sps,
)

MAX_BYTES = 160_000_000  # the process itself takes 40 MB, the largest frames that are decoded 90 MB more
HUGE = 2**32 - 1

# Inspect each file in a process of its own, which is forked from this one. Print what was said, and the memory.
INSPECT = """
import json, os, sys
from generations.media import videos

for path in sys.argv[1:]:
    reading, writing = os.pipe()
    if not os.fork():
        try:
            with open(path, "rb") as file:
                said = str(videos.inspect(file).width)
        except videos.BadVideo as error:
            said = str(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    _, status, usage = os.wait4(-1, 0)
    print(json.dumps([os.read(reading, 1000).decode(), status, usage.ru_maxrss * 1024]))
"""


@functools.cache
def small() -> bytes:
    """Return a whole MP4 whose moov stands at the end."""
    return remux(render_mp4(width=64, height=48))


def table(kind: bytes, *numbers: int) -> bytes:
    """Return the small video with other numbers in a table of its samples."""
    return change(small(), (*VIDEO_TABLES, kind), bytes(4) + struct.pack(f">{len(numbers)}I", *numbers))


def with_large_frames_in_its_samples() -> bytes:
    """Return a video whose headers are right, and whose first sample brings frames of another size."""
    parameters = sps(16384, 8192)
    content = with_sps(small(), parameters)
    configuration = body(content, *VIDEO_TABLES, b"stsd")
    at = configuration.index(b"avcC") + 4 + 8 + len(parameters) + 1
    (length,) = struct.unpack_from(">H", configuration, at)
    slices = configuration[at + 2 : at + 2 + length]
    first = b"".join(struct.pack(">I", len(unit)) + unit for unit in (parameters, slices))
    start, _ = find(small(), b"mdat")
    size = struct.unpack_from(">I", body(small(), *VIDEO_TABLES, b"stsz"), 12)[0]
    return small()[:start] + first[:size].ljust(size, b"\0") + small()[start + size :]


def nested() -> bytes:
    content = b""
    for _ in range(30_000):
        content = struct.pack(">I4s", 8 + len(content), b"trak") + content
    return add(small(), (b"moov",), content)


def many_tracks() -> bytes:
    start, end = find(small(), b"moov", b"trak")
    track = small()[start - 8 : end]
    return add(small(), (b"moov",), track * 4000)


def fragments(count: int) -> bytes:
    content = remux(render_mp4(width=64, height=48), "frag_keyframe+empty_moov+default_base_moof")
    start, _ = find(content, b"moof", b"traf", b"trun")
    return content[: start + 4] + struct.pack(">I", count) + content[start + 8 :]


def hidden_tables() -> bytes:
    """Return a video with a second table of samples where only FFmpeg would look."""
    return add(small(), (b"moov", b"trak"), box(b"udta", full_box(b"stsz", struct.pack(">II", 1, 2**28))))


def cover() -> bytes:
    data = box(b"data", struct.pack(">II", 13, 0), b"\xff\xd8\xff" + bytes(12_000_000))
    handler = full_box(b"hdlr", bytes(4), b"mdirappl", bytes(10))
    return add(small(), (b"moov",), box(b"udta", full_box(b"meta", handler, box(b"ilst", box(b"covr", data)))))


REFUSED: dict[str, Callable[[], bytes]] = {
    "large frames in all headers": lambda: with_header_size(with_sps(small(), sps(16384, 8192)), 16384, 8192),
    "large frames in the container's header": lambda: with_header_size(small(), 16384, 8192),
    "large frames in the decoder's header": lambda: with_sps(small(), sps(16384, 8192)),
    "large frames, small header": lambda: with_header_size(with_sps(small(), sps(16384, 8192)), 16, 16),
    "wide frames in the decoder's header": lambda: with_sps(small(), sps(65520, 4096)),
    "large frames in the samples": with_large_frames_in_its_samples,
    "large frames of HEVC": lambda: with_hevc_size(encode("libx265", 64, 64, 1), 16384, 8192),
    "a table of sizes that is too long": lambda: table(b"stsz", 0, HUGE),
    "many samples of one size": lambda: table(b"stsz", 1, HUGE),
    "many empty samples": lambda: table(b"stsz", 0, 10**6, *[0] * 10**6),
    "a large sample": lambda: table(b"stsz", 2**30, 1),
    "many durations": lambda: table(b"stts", 2, HUGE, 1, HUGE, 1),
    "many shifts": lambda: table(b"ctts", 1, HUGE, 0),
    "many chunks": lambda: table(b"stco", HUGE),
    "many edits": lambda: with_edits(small(), *[(1, 0)] * 50_000),
    "many tracks": many_tracks,
    "many empty boxes": lambda: small() + box(b"free") * 100_000,
    "many empty boxes in moov": lambda: add(small(), (b"moov",), box(b"free") * 100_000),
    "a large moov": lambda: add(small(), (b"moov",), box(b"free", bytes(40_000_000))),
    "many samples in a fragment": lambda: fragments(HUGE),
}
READ: dict[str, Callable[[], bytes]] = {
    "tables where only FFmpeg looks": hidden_tables,
    "a cover": cover,
    "many samples in a chunk": lambda: table(b"stsc", 1, 1, HUGE, 1),
    "boxes in boxes": nested,
    "a long duration": lambda: change(small(), (b"moov", b"mvhd"), lambda old: old[:16] + b"\xff" * 4 + old[20:]),
    "edits that are long": lambda: with_edits(small(), *[(2**31 - 1, 0)] * 10),
    "the largest frames, many of which are held": lambda: encode(
        "libx264",
        4096,
        2304,
        18,
        preset="ultrafast",
        **{"x264-params": "rc-lookahead=0:sync-lookahead=0:ref=16:bframes=8"},
    ),
}


def inspect(tmp_path: Path, files: dict[str, Callable[[], bytes]]) -> dict[str, tuple[str, int, int]]:
    """Return what was said of each file, the exit status, and the memory in bytes."""
    paths = []
    for number, content in enumerate(files.values()):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(content())
        paths.append(str(path))
    ran = subprocess.run([sys.executable, "-c", INSPECT, *paths], capture_output=True, check=True, timeout=300)
    return dict(zip(files, map(json.loads, ran.stdout.splitlines()), strict=True))


def test_hostile_files_are_refused_in_little_memory(tmp_path: Path) -> None:
    results = inspect(tmp_path, REFUSED)
    assert {name: said for name, (said, status, _) in results.items() if status or said.isdigit()} == {}
    assert {name: used for name, (_, _, used) in results.items() if used > MAX_BYTES} == {}


def test_strange_files_are_read_in_little_memory(tmp_path: Path) -> None:
    results = inspect(tmp_path, READ)
    assert {name: said for name, (said, status, _) in results.items() if status or not said.isdigit()} == {}
    assert {name: used for name, (_, _, used) in results.items() if used > MAX_BYTES} == {}
