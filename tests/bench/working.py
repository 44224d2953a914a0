"""The worker: claims of due rows, polls, how late an end is known, and how fast a video lies in the bucket.

One sweep in a process of its own, on its own core; the upstream, which answers from memory, and mostly the database on
the other.
"""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy import stack, waiting
from tests.bench.serving import ROUNDS, Site
from tests.bench.table import Line
from tests.support import novita_calls

IN_FLIGHT, LAGGING = 10_000, 1000
SWEEP_FOR = 10.0  # seconds
SPREAD = 100.0  # seconds over which the upstream ends what it renders
VIDEO = 5_000_000  # bytes
CLAIMED = 100_000
MIB = 1024 * 1024


@contextmanager
def upstream(folder: Path, *, begin: float = 0.0, spread: float = 1.0, count: int = 1, size: int = 0) -> Iterator[str]:
    port = stack.free_port(24_000 + os.getpid() % 900)
    command = [sys.executable, "-m", "tests.bench.upstream", *map(str, (port, begin, spread, count, size))]
    process = stack.Process("upstream", command, os.environ, folder)
    url = f"http://127.0.0.1:{port}"
    try:
        waiting.until_answers(process, f"{url}/x-0")
        yield url
    finally:
        stack.stop([process])


def ran(site: Site, code: str, **env: str) -> list[float]:
    """In a process of its own on the first core, with Django set up: the numbers that it prints last."""
    text = f"import django; django.setup()\nfrom tests.bench import working\nprint()\nprint(*working.{code})"
    command = ["taskset", "-c", "0", sys.executable, "-c", text]
    quiet = {"LOG_LEVEL": "ERROR", "FETCH_ALLOW_HOSTS": "127.0.0.1:1-65535"}
    done = subprocess.run(command, env={**site.env, **quiet, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [float(number) for number in done.stdout.strip().splitlines()[-1].split()]


def lines(kind: str, s3: dict[str, str], folder: Path) -> Iterator[Line]:
    group = f"Worker, {kind}"
    here = folder / kind
    here.mkdir()
    site = Site(kind, here, s3)
    with upstream(here) as url:
        account = {"NOVITA_BASE_URL": url}
        turns = [
            (ran(site, f"polls({IN_FLIGHT})", **account)[0], ran(site, "polls_by_httpx()", **account)[0])
            for _ in range(ROUNDS)
        ]
        rate, plain = max(rate for rate, _ in turns), max(plain for _, plain in turns)
        yield Line(
            group,
            f"polls of one worker, {IN_FLIGHT:,} in flight",
            rate,
            "/s",
            f"{rate * 5:,.0f} in flight at a poll in 5 s",
            plain,
            "the same client and threads without a database",
            "≥ 0.45 of the limit",
            rate >= 0.45 * plain,
        )
    begin = time.time() + 8
    with upstream(here, begin=begin, spread=SPREAD, count=LAGGING, size=VIDEO) as url:
        port = url.rpartition(":")[2]
        known, late, stored, longest = ran(
            site, f"lag({LAGGING}, {begin})", NOVITA_BASE_URL=url, FETCH_ALLOW_HOSTS=f"127.0.0.1:{port}"
        )
        what, target = "from the upstream's end to known here", "p50 ≤ 1.5 s, p95 ≤ 3.5 s"
        yield Line(
            group,
            f"{what}, {LAGGING:,} in flight, p50",
            known,
            "s",
            f"p95 {late:.2f} s",
            None,
            "",
            target,
            known <= 1.5 and late <= 3.5,
        )
        yield Line(
            group,
            "from the upstream's end to a signed URL, 5 MB, p50",
            stored,
            "s",
            f"p95 {longest:.2f} s",
            None,
            "",
            "p50 ≤ 2.5 s",
            stored <= 2.5,
        )


def claim_lines(s3: dict[str, str], folder: Path) -> Iterator[Line]:
    here = folder / "claims"
    here.mkdir()
    site = Site("PostgreSQL", here, s3)
    first, after, raw = ran(site, f"claims_of({CLAIMED})")
    group, target = "Claims, PostgreSQL", "≥ 10,000 /s"
    what = f"claims of due rows, {CLAIMED:,} in flight, 100 at once"
    limit = "the same UPDATE of a narrow table by hand"
    yield Line(group, what, first, "/s", "with the rows as objects", raw, limit, target, first >= 10_000)
    more = f"{after / first:.2f} × that before"
    met = after >= 10_000 and after >= first / 1.2
    yield Line(group, "and after 1,000,000 updates", after, "/s", more, raw, limit, "the same", met)


# -- what runs in the worker's process --------------------------------------------------------------------------------


def running(count: int, age: float) -> None:
    """So many that the upstream renders for `age` seconds, all of them due."""
    from django.db import connection

    from generations.models import Generation
    from tenants.models import ApiKey, LedgerEntry, Window
    from tests.bench import serving

    serving._template(ApiKey.objects.select_related("tenant").get())
    template = Generation.objects.get(upstream_id="template")
    names = [field.attname for field in Generation._meta.concrete_fields]
    facts = {name: getattr(template, name) for name in names}
    from datetime import timedelta

    from django.utils import timezone

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
    from django.conf import settings

    ends, counts = time.monotonic() + 5.0, []

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
    return [sum(counts) / 5.0]


def polls(count: int) -> list[float]:
    """A second, of one sweep for which more are due than it can poll."""
    from generations import leases
    from generations.models import Generation
    from generations.worker import backoff, loop

    running(count, 1.0)
    backoff.MIN_POLL_SECONDS, backoff.MAX_POLL_SECONDS, leases.RUN_SECONDS = 0.0, 0.0, SWEEP_FOR
    taken = loop.run()
    Generation.objects.all().delete()
    return [taken / SWEEP_FOR]


def lag(count: int, begin: float) -> list[float]:
    """Seconds from each end at the upstream to known here, p50 and p95; and to a video in the bucket."""
    from generations import leases
    from generations.bucket.client import ensure_bucket
    from generations.models import Event, Generation
    from generations.worker import loop

    ensure_bucket()
    running(count, 10.0)
    leases.RUN_SECONDS = begin - time.time() + SPREAD + 30
    loop.run()
    ends = {
        pk: begin + SPREAD * int(name.rpartition("-")[2]) / count
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
    """Rows a second: with all of them due, after a million updates more, and of a narrow table by hand."""
    from django.db import connection

    from generations.worker import claims

    running(count, 10.0)

    def claimed() -> float:
        _all_due()
        began, rows = time.perf_counter(), 0
        while rows < 20_000:
            rows += len(claims.claim_polls(100))
        return rows / (time.perf_counter() - began)

    claimed()
    first = statistics.median(claimed() for _ in range(3))
    for _ in range(10):
        _all_due()
    # As autovacuum does, which it is given no time for here.
    with connection.cursor() as cursor:
        cursor.execute("VACUUM generations_generation")
    return [first, statistics.median(claimed() for _ in range(3)), _narrow(count)]


def _all_due() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("UPDATE generations_generation SET due_at = now() - interval '1 second', turn = turn + 1")


def _narrow(count: int) -> float:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE narrow (id uuid PRIMARY KEY, due_at timestamptz, turn int)")
        cursor.execute("INSERT INTO narrow SELECT id, now() - interval '1 second', 0 FROM generations_generation")
        cursor.execute("CREATE INDEX narrow_due ON narrow (due_at)")
        cursor.execute("ANALYZE narrow")
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


# -- copies -----------------------------------------------------------------------------------------------------------


def copy_lines(s3: dict[str, str], folder: Path) -> Iterator[Line]:
    here = folder / "copies"
    here.mkdir()
    site = Site("SQLite", here, s3)
    with upstream(here, begin=1.0, size=10_000_000) as url:
        env = {"NOVITA_BASE_URL": url, "FETCH_ALLOW_HOSTS": f"127.0.0.1:{url.rpartition(':')[2]}"}
        group = "Copies of 10 MB, upstream to bucket"
        for at_once in (1, 4, 16):
            plain, _ = ran(site, f"plain_copies({at_once}, {url!r})", **env)
            rate, grown = ran(site, f"copies({at_once}, {url!r})", **env)
            limit = "GET piped to a signed PUT of known length, nothing checked"
            more = f"memory +{grown:.0f} MB; hashed, read back, hashed again, every frame counted"
            met = rate >= 0.5 * plain
            yield Line(group, f"{at_once} at once", rate, "MB/s", more, plain, limit, "≥ 0.5 of the limit", met)
        yield Line(group, "memory grown by, 16 at once", grown, "MB", "", None, "", "≤ 32", grown <= 32)


def copies(at_once: int, url: str) -> list[float]:
    """MB a second, and MB that the process grew by."""
    from generations.bucket.client import ensure_bucket
    from generations.models import Generation
    from generations.worker import video_transfer

    ensure_bucket()
    running(at_once * 8, 10.0)
    rows = list(Generation.objects.select_related("tenant"))
    Generation.objects.update(status="copying")
    for row in rows:
        row.status = "copying"
    video_transfer.run(rows.pop(), f"{url}/video.mp4")  # what is made once is made
    before = _reset_peak()
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        sizes = [video.size for video in pool.map(lambda row: video_transfer.run(row, f"{url}/video.mp4"), rows)]
    took = time.perf_counter() - began
    grown = _peak() - before
    Generation.objects.all().delete()
    return [sum(sizes) / took / 1e6, grown / MIB]


def plain_copies(at_once: int, url: str) -> list[float]:
    import http.client
    from urllib.parse import urlsplit

    from generations.bucket.client import ensure_bucket, get_client

    ensure_bucket()
    client, place = get_client(), urlsplit(url)

    def copy(number: int) -> int:
        source = http.client.HTTPConnection(place.hostname or "", place.port)
        source.request("GET", "/video.mp4")
        video = source.getresponse()
        size = int(video.headers["Content-Length"])
        signed = client.generate_presigned_url("put_object", Params={"Bucket": _bucket(), "Key": f"plain/{number}"})
        to = urlsplit(signed)
        sink = http.client.HTTPConnection(to.hostname or "", to.port)
        sink.request("PUT", f"{to.path}?{to.query}", body=video, headers={"Content-Length": str(size)})
        assert sink.getresponse().status == 200
        source.close()
        sink.close()
        return size

    copy(0)
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        sizes = list(pool.map(copy, range(1, at_once * 8)))
    return [sum(sizes) / (time.perf_counter() - began) / 1e6, 0.0]


def _bucket() -> Any:
    from django.conf import settings

    return settings.S3_BUCKET


def _reset_peak() -> int:
    """Bytes resident; the high-water mark is reset, proc(5)."""
    Path("/proc/self/clear_refs").write_text("5")
    return _of_status("VmRSS")


def _peak() -> int:
    return _of_status("VmHWM")


def _of_status(name: str) -> int:
    [line] = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024
