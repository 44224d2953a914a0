"""The worker: claims of due rows, polls, and how soon the end of a rendering is known and its video in the bucket.

One worker run has a process and a core of its own; the upstream, which answers from memory, and mostly the database
have the other core.
"""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy import malloc, stack, waiting
from tests.bench.rounds import Figure, in_turns
from tests.bench.serving import Site
from tests.bench.table import Line

IN_FLIGHT, LAGGING = 10_000, 1000
RUN_SECONDS = 5.0  # of a worker run that polls, and of polls without a database
VIDEO = 5_000_000  # bytes
CLAIMED = 100_000
MIN_POLLS = 0.45  # of the polls without a database
MIN_CLAIMS = 2.5  # times the polls of one worker
RESULT = "the numbers:"  # before what a process returns
MAX_SLOWDOWN = 1.2  # of claims by a million updates


@contextmanager
def upstream(folder: Path, *, begin: float = 0.0, spread: float = 1.0, count: int = 1, size: int = 0) -> Iterator[str]:
    """Start an upstream with these arguments of `upstream.py`, and yield its URL."""
    port = stack.free_port(24_000 + os.getpid() % 900)
    command = [sys.executable, "-m", "tests.bench.upstream", *map(str, (port, begin, spread, count, size))]
    process = stack.Process("upstream", command, os.environ, folder)
    url = f"http://127.0.0.1:{port}"
    try:
        waiting.until_answers(process, f"{url}/x-0")
        yield url
    finally:
        stack.stop([process])


def ran(site: Site, code: str, *, module: str = "working", wrapped_by: Sequence[str] = (), **env: str) -> list[float]:
    """Call a function of a module of tests.bench in a process on core 0 with Django set up.

    `wrapped_by` is a command that runs the process. Return the numbers that the function returns. Raise AssertionError
    with the process's errors if it fails.
    """
    text = f"import django; django.setup()\nfrom tests.bench import {module}\nprint({RESULT!r}, *{module}.{code})"
    command = ["taskset", "-c", "0", *wrapped_by, sys.executable, "-c", text]
    quiet = {"LOG_LEVEL": "ERROR", "FETCH_ALLOW_HOSTS": "127.0.0.1:1-65535"}
    environment = {**site.env, **quiet, **malloc.tunables(malloc.WORKER), **env}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    [result] = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    return [float(number) for number in result.removeprefix(RESULT).split()]


def lines(kind: str, s3: dict[str, str], folder: Path) -> Iterator[Line]:
    """Yield the lines of one database. Claims are measured on PostgreSQL alone, where they are one statement."""
    group = f"Worker, {kind}"
    here = folder / kind
    here.mkdir()
    site = Site(kind, here, s3)
    with upstream(here) as url:
        polls, plain = in_turns(
            lambda: ran(site, f"polls({IN_FLIGHT})", NOVITA_BASE_URL=url)[0],
            lambda: ran(site, "polls_by_httpx()", NOVITA_BASE_URL=url)[0],
            warm_up=False,  # each is a new process, which warms up by itself
        )
        rate, limit = Figure.of(polls), Figure.of(plain)
        more = f"{rate.median * 5:,.0f} in flight at a poll in 5 s"
        limit_is, target = "the same client and threads without a database", f"≥ {MIN_POLLS} of the limit"
        what, met = f"polls of one worker, {IN_FLIGHT:,} in flight", (rate / limit).median >= MIN_POLLS
        yield Line(group, what, rate, "/s", more, limit, limit_is, target, met)
    if kind == "PostgreSQL":
        yield from _claim_lines(group, site, rate)
    yield from _lag_lines(group, site)


def _claim_lines(group: str, site: Site, polls: Figure) -> Iterator[Line]:
    """Yield the lines of claims, as multiples of the polls of one worker in the same run."""
    numbers = ran(site, f"claims_of({CLAIMED})")
    before, narrow, after = (Figure.of(numbers[start::3]) for start in range(3))
    what, limit_is = f"claims of {CLAIMED:,} due rows, 100 at once", "the same UPDATE of a narrow table by hand"
    target, more = f"≥ {MIN_CLAIMS} × the polls", "with the rows as objects"
    yield Line(group, what, before, "/s", more, narrow, limit_is)
    yield Line(group, "claims after 1,000,000 updates", after, "/s", "", narrow, limit_is)
    for what, claims in (("claims", before), ("claims after 1,000,000 updates", after)):
        ratio = claims / polls
        met = ratio.median >= MIN_CLAIMS
        yield Line(group, f"{what}, as polls of one worker", ratio, "× polls", "", None, "", target, met)
    slowdown, target = before.median / after.median, f"≤ {MAX_SLOWDOWN} ×"
    met = slowdown <= MAX_SLOWDOWN
    yield Line(group, "slowdown of claims by the updates", slowdown, "×", "", None, "", target, met)


def _lag_lines(group: str, site: Site) -> Iterator[Line]:
    """Yield how soon ends are known and videos stored, while videos arrive at half the rate that copies carry."""
    with upstream(site.folder, begin=1.0, size=VIDEO) as url:
        carried, _ = ran(site, f"copies(16, {url!r})", module="copies", **served_from(url))
    rate = carried * 1e6 / VIDEO / 2  # videos a second
    begin, spread = time.time() + 8, LAGGING / rate
    with upstream(site.folder, begin=begin, spread=spread, count=LAGGING, size=VIDEO) as url:
        known, late, stored, longest = ran(site, f"lag({LAGGING}, {begin}, {spread})", **served_from(url))
    what, target = f"from the upstream's end to known here, {LAGGING:,} in flight, p50", "p50 ≤ 1.5 s, p95 ≤ 3.5 s"
    met = known <= 1.5 and late <= 3.5
    yield Line(group, what, known, "s", f"p95 {late:.2f} s; one round", None, "", target, met)
    more = f"p95 {longest:.2f} s; one round; {rate:.1f} videos arrive a second, half of what copies carry"
    what, target = "from the upstream's end to a signed URL, 5 MB, p50", "p50 ≤ 2.5 s"
    yield Line(group, what, stored, "s", more, None, "", target, stored <= 2.5)


def served_from(url: str) -> dict[str, str]:
    """Return the settings with which a worker renders at this upstream and copies from it."""
    return {"NOVITA_BASE_URL": url, "FETCH_ALLOW_HOSTS": f"127.0.0.1:{url.rpartition(':')[2]}"}


# -- what runs in the worker's process --------------------------------------------------------------------------------


def running(count: int, age: float) -> None:
    """Create `count` running generations, submitted `age` seconds ago and all of them due."""
    from datetime import timedelta

    from django.db import connection
    from django.utils import timezone

    from generations.models import Generation
    from tenants.models import ApiKey, LedgerEntry, Window
    from tests.bench import rows as prepared

    prepared.make_template(ApiKey.objects.select_related("tenant").get())
    template = Generation.objects.get(upstream_id="template")
    names = [field.attname for field in Generation._meta.concrete_fields]
    facts = {name: getattr(template, name) for name in names}
    sent = timezone.now() - timedelta(seconds=age)
    facts |= {"status": "running", "submitted_at": sent, "due_at": sent}
    rows = [
        Generation(**{**facts, "id": Generation._meta.pk.get_default(), "upstream_id": f"up-{n}"}) for n in range(count)
    ]
    Generation.objects.bulk_create(rows, batch_size=500)
    hold = LedgerEntry.objects.get(generation_id=template.pk)
    facts = {field.attname: getattr(hold, field.attname) for field in LedgerEntry._meta.concrete_fields}
    del facts["id"]
    LedgerEntry.objects.bulk_create([LedgerEntry(**{**facts, "generation_id": row.pk}) for row in rows], batch_size=500)
    Window.objects.update(used=10**7)
    Generation.objects.filter(pk=template.pk).delete()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE generations_generation")


def polls_by_httpx() -> list[float]:
    """Return the polls per second of the service's client and threads, without a database."""
    from django.conf import settings

    from tests.support import novita_calls

    ends, counts = time.monotonic() + RUN_SECONDS, []

    def poll() -> None:
        count = 0
        while time.monotonic() < ends:
            novita_calls.get_task("up-1")
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=poll) for _ in range(settings.POLL_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [sum(counts) / RUN_SECONDS]


def polls(count: int, seconds: float = RUN_SECONDS) -> list[float]:
    """Return the polls per second of one worker run, for which more rows are due than it can poll."""
    from generations import leases
    from generations.models import Generation
    from generations.worker import backoff, loop

    running(count, 1.0)
    backoff.MIN_POLL_SECONDS, backoff.MAX_POLL_SECONDS, leases.RUN_SECONDS = 0.0, 0.0, seconds
    taken = loop.run()
    Generation.objects.all().delete()
    return [taken / seconds]


def lag(count: int, begin: float, spread: float) -> list[float]:
    """Return the seconds from an end at the upstream to known here, p50 and p95; and to a video in the bucket.

    `count` renderings end evenly over `spread` seconds from `begin` on, in seconds since the epoch.
    """
    from generations import leases
    from generations.bucket.client import ensure_bucket
    from generations.models import Event, Generation
    from generations.worker import loop

    ensure_bucket()
    running(count, 10.0)
    leases.RUN_SECONDS = begin - time.time() + spread + 20
    loop.run()
    ends = {
        pk: begin + spread * int(name.rpartition("-")[2]) / count
        for pk, name in Generation.objects.filter(status="succeeded").values_list("pk", "upstream_id")
    }
    assert len(ends) == count, f"{len(ends)} of {count} have ended"
    medians = []
    for status in ("copying", "succeeded"):
        moves = Event.objects.filter(status=status).values_list("generation", "at")
        took = sorted(at.timestamp() - ends[pk] for pk, at in moves if pk in ends)
        medians += [statistics.median(took), took[int(len(took) * 0.95)]]
    return medians


def claims_of(count: int) -> list[float]:
    """Return the rows claimed per second, of a narrow table by hand, and after a million updates: three a round.

    `count` rows are due at the start of each measurement.
    """
    from django.db import connection

    from generations.models import Generation
    from generations.worker import claims

    running(count, 10.0)

    def claimed() -> float:
        _all_due()
        began, rows = time.perf_counter(), 0
        while rows < 20_000:
            rows += len(claims.claim_polls(100))
        return rows / (time.perf_counter() - began)

    _create_narrow()
    before, narrow = in_turns(claimed, _claim_narrow)
    for _ in range(10):
        _all_due()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM generations_generation")  # autovacuum would, and has no time here
    [after] = in_turns(claimed)
    Generation.objects.all().delete()
    return [number for numbers in zip(before, narrow, after, strict=True) for number in numbers]


def _all_due() -> None:
    """Make all rows due."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("UPDATE generations_generation SET due_at = now() - interval '1 second', turn = turn + 1")


def _create_narrow() -> None:
    """Create a table with nothing but what a claim needs."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE narrow (id uuid PRIMARY KEY, due_at timestamptz, turn int)")
        cursor.execute("INSERT INTO narrow SELECT id, now() - interval '1 second', 0 FROM generations_generation")
        cursor.execute("CREATE INDEX narrow_due ON narrow (due_at)")
        cursor.execute("ANALYZE narrow")


def _claim_narrow() -> float:
    """Return the rows per second that one UPDATE for each 100 of them claims."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("UPDATE narrow SET due_at = now() - interval '1 second', turn = turn + 1")
        began, rows = time.perf_counter(), 0
        while rows < 20_000:
            cursor.execute(
                """
                WITH picked AS MATERIALIZED (
                    SELECT id, due_at FROM narrow WHERE due_at <= now() ORDER BY due_at LIMIT 100
                       FOR NO KEY UPDATE SKIP LOCKED
                ) UPDATE narrow SET due_at = now() + interval '90 s', turn = turn + 1 FROM picked
                   WHERE narrow.id = picked.id RETURNING narrow.id
                """
            )
            rows += len(cursor.fetchall())
        return rows / (time.perf_counter() - began)
