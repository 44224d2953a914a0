"""What one caller's readers of a page cost others' reads: 16 connections of reads, alone and beside 16 of the page.

The tenant has finished MANY generations within a month, and has some in progress.
"""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench import load
from tests.bench.rounds import Figure, in_turns, rates
from tests.bench.serving import OURS, Site, body
from tests.bench.table import Line

PAGES = ("/openapi.json", "/docs", "/docs/errors", "/llms.txt", "/v1/models", "/v1/usage", "/v1/limits")
MAX_RATIO = 2.0  # times as long
FEW, MANY, MAX_GROWTH = 1000, 200_000, 1.2
SPAN_DAYS, SPAN_SECONDS = 30, 28 * 86_400  # the generations are that far apart in all


def lines(kind: str, s3: dict[str, str]) -> Iterator[Line]:
    """Yield a line for each page, and the time of usage over few and many generations."""
    group = f"Reads beside 16 readers of a page, {kind}"
    today = datetime.now(UTC).date()
    since = today - timedelta(days=SPAN_DAYS)
    queries = {"/v1/usage": f"?from={since}&to={today}"}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        site = Site(kind, Path(folder), s3)
        usage = [_time_usage(site, f"/v1/usage{queries['/v1/usage']}", rows, str(since)) for rows in (FEW, MANY)]
        with site.serving(OURS, "/livez"):
            site.load(body("https://example.com/picture.png"), seconds=0.2)
            path = f"/v1/generations/{site.finish()}"
            for page in PAGES:
                yield _line(group, page, site, path, page + queries.get(page, ""))
    growth = usage[1].median / usage[0].median
    yield Line(group, f"/v1/usage, {FEW:,} generations", usage[0], "ms")
    yield Line(group, f"/v1/usage, {MANY:,} generations", usage[1], "ms")
    target = f"≤ {MAX_GROWTH} ×"
    yield Line(group, "/v1/usage, its growth", growth, "×", "", None, "", target, growth <= MAX_GROWTH)


def _time_usage(site: Site, path: str, rows: int, since: str) -> Figure:
    """Return the milliseconds of each answer with so many generations, of four connections."""
    apart = SPAN_SECONDS // rows
    site.call(f"rows.fill({rows}, since={since!r}, apart={apart}); rows.store_sums()")
    site.settle()
    with site.serving(OURS, "/livez"):
        [seen] = in_turns(lambda: site.load(None, path, connections=4))
    return Figure.of(1000 / rate for rate in rates(seen).values)


def _line(group: str, page: str, site: Site, path: str, page_path: str) -> Line:
    """Return the line of one page: how much longer a read takes beside its readers."""
    alone, both = in_turns(lambda: site.load(None, path), lambda: _load_both(site, path, page_path))
    medians = [Figure.of(seen.percentile(50) for seen in reads) for reads in (alone, [reads for reads, _ in both])]
    ratio, pages = medians[1] / medians[0], rates([readers for _, readers in both])
    more = f"p50 {medians[1].median:.1f} ms, alone {medians[0].median:.1f} ms; {pages.median:,.0f} pages a second"
    target, met = f"≤ {MAX_RATIO:.0f} × alone", ratio.median <= MAX_RATIO
    return Line(group, f"read beside {page}, p50", ratio, "× alone", more, None, "", target, met)


def _load_both(site: Site, path: str, page_path: str) -> tuple[load.Seen, load.Seen]:
    """Return what readers of the generation and those of the page see at the same time."""
    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(site.load, None, page_path)
        return site.load(None, path), others.result()
