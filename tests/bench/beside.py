"""What one caller's readers of a page cost others' reads: 16 connections of reads, alone and beside 16 of the page."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench import load
from tests.bench.serving import ROUNDS, Site, body
from tests.bench.table import Line

PAGES = ("/openapi.json", "/docs", "/docs/errors", "/llms.txt", "/v1/usage", "/v1/limits")
MOST = 2.0  # times as long


def lines(kind: str, s3: dict[str, str]) -> Iterator[Line]:
    """Yield a line for each page."""
    group = f"Reads beside 16 readers of a page, {kind}"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        site = Site(kind, Path(folder), s3)
        with site.serving("seedance_service.wsgi:application", "/livez"):
            site.load(body("https://example.com/picture.png"), seconds=1.0)
            site.settle()
            look = f"/v1/generations/{site.finish()}"
            for page in PAGES:
                rounds = [(site.load(None, look), *_both(site, look, page)) for _ in range(ROUNDS)]
                alone, beside, readers = min(rounds, key=lambda one: one[1].percentile(50) / one[0].percentile(50))
                ratio = beside.percentile(50) / alone.percentile(50)
                more = f"{ratio:.2f} × the {alone.percentile(50):.1f} ms alone; {readers.rate:,.0f} pages a second"
                target, met = f"≤ {MOST:.0f} × alone", ratio <= MOST
                yield Line(group, f"read beside {page}, p50", beside.percentile(50), "ms", more, None, "", target, met)


def _both(site: Site, look: str, page: str) -> tuple[load.Seen, load.Seen]:
    """Return what readers of the generation and those of the page see at the same time."""
    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(site.load, None, page)
        return site.load(None, look), others.result()
