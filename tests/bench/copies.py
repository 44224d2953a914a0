"""Copies of 10 MB videos from the upstream to the bucket, 1, 4 and 16 at once, beside a pipe that checks nothing."""

import http.client
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from tests.bench.rounds import Figure, in_turns
from tests.bench.serving import Site
from tests.bench.table import Line
from tests.bench.working import ran, running, served_from, upstream

VIDEO_BYTES = 10_000_000
AT_ONCE = (1, 4, 16)
COPIES, MIN_COPIES = 8, 32  # for each that is made at once, and at least, in a round
MIN_RATIO, MAX_GROWN_MB = 0.75, 32
MIB = 1024 * 1024

Item = TypeVar("Item")
DONE = "hashed, every frame counted, the SHA-256 compared by the store"


def lines(s3: dict[str, str], folder: Path) -> Iterator[Line]:
    """Yield the copied MB a second of each number at once, and how far the memory of a process grows."""
    here = folder / "copies"
    here.mkdir()
    site = Site("SQLite", here, s3)
    with upstream(here, begin=1.0, size=VIDEO_BYTES) as url:
        group, grown = f"Copies of {VIDEO_BYTES / 1e6:.0f} MB, upstream to bucket", Figure.of([0.0])
        for at_once in AT_ONCE:
            ours, piped = in_turns(
                lambda count=at_once: _run(site, f"copies({count}, {url!r})", url),  # type: ignore[misc]
                lambda count=at_once: _run(site, f"piped({count}, {url!r})", url),  # type: ignore[misc]
                warm_up=at_once == AT_ONCE[0],  # the store's first files take it longer; a process makes a copy before
            )
            rates, limit = (Figure.of(rate for rate, _ in side) for side in (ours, piped))
            grown = Figure.of(megabytes for _, megabytes in ours)
            met, target = (rates / limit).median >= MIN_RATIO, f"≥ {MIN_RATIO} of the limit"
            limit_is = "GET piped to a signed PUT of known length, nothing checked"
            yield Line(group, f"{at_once} at once", rates, "MB/s", DONE, limit, limit_is, target, met)
        target, met = f"≤ {MAX_GROWN_MB} MB", grown.highest <= MAX_GROWN_MB
        yield Line(group, f"memory grown by, {AT_ONCE[-1]} at once", grown, "MB", "", None, "", target, met)


def _run(site: Site, code: str, url: str) -> list[float]:
    return ran(site, code, module="copies", **served_from(url))


# -- in the worker's process ------------------------------------------------------------------------------------------


def copies(at_once: int, url: str) -> list[float]:
    """Return the copied MB a second, and the MB that the process grew by."""
    from generations.bucket.client import ensure_bucket
    from generations.models import Generation
    from generations.worker import video_transfer

    ensure_bucket()
    running(_count(at_once) + 1, 10.0)
    rows = list(Generation.objects.select_related("tenant"))
    Generation.objects.update(status="copying")
    for row in rows:
        row.status = "copying"

    def copy(row: Generation) -> int:
        return video_transfer.run(row, f"{url}/video.mp4").stored.size

    copy(rows.pop())  # what is made once is made
    before = _reset_peak()
    rate = _rate(at_once, copy, rows)
    grown = _peak() - before
    Generation.objects.all().delete()
    return [rate, grown / MIB]


def piped(at_once: int, url: str) -> list[float]:
    """Return the MB a second that go through a pipe, and 0."""
    from django.conf import settings

    from generations.bucket.client import ensure_bucket, get_client

    ensure_bucket()
    client, place = get_client(), urlsplit(url)

    def copy(number: int) -> int:
        source = http.client.HTTPConnection(place.hostname or "", place.port)
        source.request("GET", "/video.mp4")
        video = source.getresponse()
        size = int(video.headers["Content-Length"])
        where = {"Bucket": settings.S3_BUCKET, "Key": f"piped/{number}"}
        to = urlsplit(client.generate_presigned_url("put_object", Params=where))
        sink = http.client.HTTPConnection(to.hostname or "", to.port)
        sink.request("PUT", f"{to.path}?{to.query}", body=video, headers={"Content-Length": str(size)})
        assert sink.getresponse().status == 200
        source.close()
        sink.close()
        return size

    copy(0)
    return [_rate(at_once, copy, range(1, _count(at_once) + 1)), 0.0]


def _count(at_once: int) -> int:
    """Return how many copies a round makes."""
    return max(at_once * COPIES, MIN_COPIES)


def _rate(at_once: int, copy: Callable[[Item], int], items: Iterable[Item]) -> float:
    """Return the MB a second of copies of all items."""
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        sizes = list(pool.map(copy, items))
    return sum(sizes) / (time.perf_counter() - began) / 1e6


def _reset_peak() -> int:
    """Return the bytes resident, and set the high-water mark to them: proc(5)."""
    Path("/proc/self/clear_refs").write_text("5")
    return _read_status("VmRSS")


def _peak() -> int:
    """Return the high-water mark, in bytes."""
    return _read_status("VmHWM")


def _read_status(name: str) -> int:
    """Return a number of bytes of /proc/self/status."""
    [line] = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024
