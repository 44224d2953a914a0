"""Creates, reads and lists with a thousand generations and with many, on PostgreSQL."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.rounds import Figure, in_turns, rates, times
from tests.bench.serving import LIST_ROWS, OURS, Site, body
from tests.bench.table import Line

GROUP = "Growth with rows, PostgreSQL"
FEW, MAX_GROWTH = 1000, 1.2


def lines(s3: dict[str, str], most: int) -> Iterator[Line]:
    """Yield the times with FEW and with `most` generations, and their ratios.

    The rows are filled in between, so that the two cannot be measured in turns: a ratio is that of two medians.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        site = Site("PostgreSQL", Path(folder), s3)
        few = dict(_measured(site, FEW))
        many = dict(_measured(site, most))
    for what, (took, percentiles) in many.items():
        before = few[what][0]
        ratio = took.median / before.median
        yield Line(GROUP, f"{what}, {FEW:,} generations", before, "ms", few[what][1])
        yield Line(GROUP, f"{what}, {most:,} generations", took, "ms", percentiles)
        target = f"≤ {MAX_GROWTH} ×"
        yield Line(GROUP, f"{what}, its growth", ratio, "×", "", None, "", target, ratio <= MAX_GROWTH)


def _measured(site: Site, rows: int) -> Iterator[tuple[str, tuple[Figure, str]]]:
    """Yield a name, the milliseconds for each answer and their percentiles, of each kind of request."""
    site.call(f"rows.fill({rows})")
    url = body("https://example.com/picture.png")
    with site.serving(OURS, "/livez"):
        site.load(url, seconds=1.0)
        path = f"/v1/generations/{site.finish(LIST_ROWS)}"
        creates, reads, lists = in_turns(
            lambda: site.load(url, connections=4),
            lambda: site.load(None, path, connections=4),
            lambda: site.load(None, f"/v1/generations?limit={LIST_ROWS}", connections=4),
        )
    for what, seen in (("create", creates), ("read", reads), ("list, 20 a page", lists)):
        yield what, (Figure.of(1000 / rate for rate in rates(seen).values), times(seen))
