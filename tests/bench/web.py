"""Creates, reads and lists of one web process, against the same by hand on the same server."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

from deploy import stack
from tests.bench import large_images, load
from tests.bench.rounds import Figure, in_turns, rates, times
from tests.bench.serving import BY_HAND, LIST_ROWS, OURS, SECONDS, Site, base64_of, body
from tests.bench.table import Line

MIN_CREATE = {"SQLite": 0.35, "PostgreSQL": 0.45}  # of the creates by hand
MIN_READ = 0.40  # of the reads by hand
MAX_LIST = 6.0  # times a read


def lines(kind: str, s3: dict[str, str]) -> Iterator[Line]:
    """Yield the lines of one database."""
    group = f"Web, {kind}"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        site = Site(kind, Path(folder), s3)
        limit = copy(site)
        limit.port = stack.free_port(site.port + 1)
        url = body("https://example.com/picture.png")
        site.open_windows()
        with site.serving(OURS, "/livez") as web, limit.serving(BY_HAND, "/constant"):
            ours, by_hand = in_turns(lambda: site.load(url), lambda: limit.load(url))
            yield _against("create, URL image", group, ours, by_hand, MIN_CREATE[kind])
            [small] = in_turns(lambda: site.load(body(base64_of(100_000))))
            yield Line(group, "create, 100 KB in Base64", rates(small), "/s", times(small))
            yield from large_images.cpu_lines(group, site, web, s3)
            yield from _reads(group, site, limit)
            [constant] = in_turns(lambda: limit.load(None, "/constant"))
            yield Line(group, "limit: a constant", rates(constant), "/s")
        [raw] = in_turns(lambda: _raw(site, url))
        yield Line(group, "limit: the transaction without a server, one connection", Figure.of(raw), "/s")


def _reads(group: str, site: Site, limit: Site) -> Iterator[Line]:
    site.settle()
    path = f"/v1/generations/{site.finish(LIST_ROWS)}"
    reads, by_hand, lists = in_turns(
        lambda: site.load(None, path),
        lambda: limit.load(None, path),
        lambda: site.load(None, f"/v1/generations?limit={LIST_ROWS}"),
    )
    yield _against("read, with two signed URLs", group, reads, by_hand, MIN_READ)
    yield Line(group, "list, 20 a page", rates(lists), "/s", times(lists))
    ratio = rates(reads) / rates(lists)
    target = f"≤ {MAX_LIST:.0f} × a read"
    yield Line(group, "time of a list's page", ratio, "× a read", "", None, "", target, ratio.median <= MAX_LIST)


def _against(what: str, group: str, ours: list[load.Seen], by_hand: list[load.Seen], least: float) -> Line:
    ratio, limit_is = rates(ours) / rates(by_hand), "the same by hand, same server"
    target, met = f"≥ {least:.2f} of the limit", ratio.median >= least
    return Line(group, what, rates(ours), "/s", times(ours), rates(by_hand), limit_is, target, met)


def _raw(site: Site, url: dict[str, Any]) -> float:
    """Return how many creates by hand a second one connection takes, without a server."""
    code = f"""
import time
from tests.bench import plain
ends, count = time.perf_counter() + {SECONDS}, 0
while time.perf_counter() < ends:
    plain.create(1, 1, {url!r})
    count += 1
print(count / {SECONDS})
"""
    done = subprocess.run([sys.executable, "-c", code], env=site.env, check=True, capture_output=True, text=True)
    return float(done.stdout)
