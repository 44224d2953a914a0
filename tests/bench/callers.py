"""One web process under 200 callers: a third reads, a third waits by `Prefer: wait`, a third sends bodies slowly."""

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tests.bench import load
from tests.bench.load import Group, Pace, Seen
from tests.bench.rounds import Figure, in_turns, rates
from tests.bench.serving import OURS, Site, body
from tests.bench.table import Line

READERS, WAITERS = 66, 67
SECONDS = 25.0  # of a round: longer than a body may drip in
WAIT_SECONDS = 2
ALONE_SECONDS = 4.0
MAX_RATIO = 5.0  # p99 to p50 of the reads: the server is fair
MAX_BESIDE = (
    5.0  # p50 to that of the readers alone: all may be slow alike. Most waits are answered at once, as reads are
)
URL = body("https://example.com/picture.png")
LONG = {**URL, "prompt": "a lighthouse at dusk, " * 100}  # over a minute at 3 bytes in 100 ms
# Bodies that are slow and arrive, that would take more than a minute, and that stop in the middle: 67 in all.
SLOW = ((URL, 22, Pace(10, 0.1)), (LONG, 22, Pace(3, 0.1)), (URL, 23, Pace(3, 0.1, until=20)))


UNFINISHED = "from generations.models import Generation; print(Generation.objects.filter(finished_at=None)[0].pk)"
OTHERS = ("Prefer: wait", "bodies that arrive slowly", "bodies that drip in for over a minute", "bodies that stop")


def lines(kind: str, s3: dict[str, str]) -> Iterator[Line]:
    """Yield the lines of one database."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        site = Site(kind, Path(folder), s3)
        with site.serving(OURS, "/livez"):
            site.load(URL, seconds=1.0)
            groups = _groups(site, site.finish(), site.call(UNFINISHED))
            site.settle()
            alone, rounds = in_turns(
                lambda: load.run_groups(site.port, groups[:1], seconds=ALONE_SECONDS)[0],
                lambda: load.run_groups(site.port, groups, seconds=SECONDS),
            )
    readers, *others = zip(*rounds, strict=True)
    yield from _lines(f"200 callers at once, {kind}", alone, readers, others)


def _groups(site: Site, finished: str, unfinished: str) -> list[Group]:
    """Return the readers and the others, by the ids of a generation that is finished and of one that is not."""
    wait = {**site.headers, "Prefer": f"wait={WAIT_SECONDS}"}
    read = load.request("GET", f"/v1/generations/{finished}", site.headers)
    groups = [
        Group(lambda: read, READERS),
        Group(lambda: load.request("GET", f"/v1/generations/{unfinished}", wait), WAITERS),
    ]
    for content, connections, pace in SLOW:
        asked = load.request("POST", "/v1/generations", site.headers, json.dumps(content).encode())
        groups.append(Group(partial(bytes, asked), connections, pace, obeys_retry_after=True))
    return groups


def _lines(
    group: str, alone: Sequence[Seen], readers: Sequence[Seen], others: Iterable[Sequence[Seen]]
) -> Iterator[Line]:
    what, answers = f"reads of {READERS} of them", f"{rates(readers).median:,.0f} /s; {_statuses(readers)}"
    median, slowest, undisturbed = _figure(readers, 50), _figure(readers, 99), _figure(alone, 50)
    target, met = f"≤ {MAX_BESIDE:.0f} × alone", (median / undisturbed).median <= MAX_BESIDE
    yield Line(group, f"{what}, p50", median, "ms", answers, undisturbed, "the same readers alone", target, met)
    target, met = f"≤ {MAX_RATIO:.0f} × p50", (slowest / median).median <= MAX_RATIO
    yield Line(group, f"{what}, p99", slowest, "ms", "", median, "their p50", target, met)
    for what, seen in zip(OTHERS, others, strict=True):
        silent = sum(one.silent_refusals for one in seen)
        yield Line(
            group, f"{what}: refusals without Retry-After", silent, "", _statuses(seen), None, "", "0", not silent
        )


def _figure(rounds: Iterable[Seen], percent: int) -> Figure:
    return Figure.of(seen.percentile(percent) for seen in rounds)


def _statuses(rounds: Iterable[Seen]) -> str:
    counts = sorted(load.together(rounds).statuses.items())
    return "answers " + ", ".join(f"{status or 'closed'} × {count:,}" for status, count in counts)
