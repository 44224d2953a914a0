"""The web process: creates and reads on both databases, their memory, and how they grow with rows.

One process on a core of its own; the load, and mostly the database, on the other. 16 connections, one tenant, every
limit set. Its limits are `plain.py` by the same server, and that transaction without a server.
"""

import base64
import itertools
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from math import isqrt
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from deploy import stack, waiting
from tests.bench import load
from tests.bench.table import Line
from tests.support.databases import postgres_url
from tests.support.images import image_bytes

SECONDS, ROUNDS = 3.0, 3
OWN = 12  # characters of an image's Base64, amid its pixels, that are digits: each is another one
LIMITS = ("--requests-per-minute", "--in-flight", "--per-day", "--per-month", "--seconds-per-month", "--usd-per-month")
NAME = "seedance_bench_serving"
CREATE, READ = {"SQLite": 0.35, "PostgreSQL": 0.45}, 0.40  # the targets, as ratios to the same by hand
GROWTH = 1.2


class Site:
    """A database, a bucket and a web process."""

    def __init__(self, kind: str, folder: Path, s3: dict[str, str]) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'db.sqlite3'}" if kind == "SQLite" else _empty_database()
        self.env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "seedance_service.settings",
            "DATABASE_URL": self.url,
            "VAR_DIR": str(folder),
            "SECRET_KEY": "bench",
            "NOVITA_API_KEY": "bench",
            "ALLOWED_HOSTS": "*",
            "LARGE_BODIES": "8",
            **s3,
        }
        self._run("migrate", "-v0")
        limits = [word for name in LIMITS for word in (name, "100000000")]
        body = json.loads(self._run("tenant", "create", "bench", *limits, "--json"))
        self.headers = {"Authorization": f"Bearer {body['api_key']}"}
        self.port = stack.free_port(28_000 + os.getpid() % 900)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *command], env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def serving(self, application: str, path: str) -> Iterator[stack.Process]:
        command = ["taskset", "-c", "0", sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1", "--blocking-threads", "32", "--http", "1", "--no-ws"]
        process = stack.Process("web", [*command, application], {**self.env, **stack.malloc_tunables()}, self.folder)
        try:
            waiting.until_answers(process, f"http://127.0.0.1:{self.port}{path}")
            yield process
        finally:
            stack.stop([process])

    def load(self, body: dict[str, Any] | None, path: str = "/v1/generations", **options: Any) -> load.Seen:
        content = json.dumps(body).encode() if body else b""
        asked = load.request("POST" if body else "GET", path, self.headers, content)
        image_text = body["image"] if body and not body["image"].startswith("https:") else ""
        at = asked.index(image_text.encode()) + len(image_text) - 8 * OWN if image_text else 0
        count = itertools.count(secrets.randbelow(10**9))  # or it would be stored already

        def make() -> bytes:
            return b"%s%012d%s" % (asked[:at], next(count), asked[at + OWN :]) if at else asked

        seen = load.run(self.port, make, **{"seconds": SECONDS, **options})
        assert set(seen.statuses) <= {200, 202}, seen.statuses
        return seen

    def open_windows(self) -> None:
        """Those that the creates by hand take from."""
        code = "from tests.bench import plain; plain.open_windows(1)"
        subprocess.run([sys.executable, "-c", code], env=self.env, check=True)

    def settle(self) -> None:
        """Analyze the tables, as autovacuum does within a minute: without it the planner does not know how many rows
        there are, and a list sorts all of them.
        """
        if self.url.startswith("postgres"):
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute("ANALYZE")

    def one(self) -> str:
        """A finished generation's id."""
        name = secrets.token_hex(8)
        code = f"import django; django.setup(); from tests.bench.serving import finished; print(finished({name!r}))"
        done = subprocess.run([sys.executable, "-c", code], env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]


def finished(name: str) -> str:
    """Makes one of the tenant's newest generation. Called with Django set up."""
    from django.utils import timezone

    from generations.models import Generation

    newest = Generation.objects.order_by("-created_at").first()
    assert newest is not None
    facts = {"status": "succeeded", "due_at": None, "finished_at": timezone.now(), "upstream_id": f"up-{name}"}
    facts |= {"video_key": f"videos/1/{name}.mp4", "video_sha256": "ab" * 32, "video_size": 9, "poster_key": "p.jpg"}
    Generation.objects.filter(pk=newest.pk).update(**facts)
    return str(newest.pk)


def _empty_database() -> str:
    server = postgres_url()
    assert server, "no PostgreSQL answers"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {NAME}")
    return urlsplit(server)._replace(path=f"/{NAME}").geturl()


def body(image: str) -> dict[str, Any]:
    return {"image": image, "resolution": "480p", "prompt": "a lighthouse at dusk"}


def base64_of(size: int) -> str:
    """Return a black image of about so many bytes: a BMP of a byte a pixel."""
    side = isqrt(size) // 4 * 4
    return base64.b64encode(image_bytes(kind="BMP", width=side, height=side, mode="L")).decode()


def lines(kind: str, s3: dict[str, str]) -> Iterator[Line]:
    group = f"Web, {kind}"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        site = Site(kind, Path(folder), s3)
        limit = copy(site)
        limit.port = stack.free_port(site.port + 1)
        url = body("https://example.com/picture.png")
        site.open_windows()
        ours, by_hand = "seedance_service.wsgi:application", "tests.bench.plain:application"
        with site.serving(ours, "/livez") as web, limit.serving(by_hand, "/constant"):
            create, most_creates = in_turns(lambda: site.load(url), lambda: limit.load(url))
            one = site.one()
            look = f"/v1/generations/{one}"
            read, most_reads = in_turns(lambda: site.load(None, look), lambda: limit.load(None, look))
            small = site.load(body(base64_of(100_000)))
            seen = [_large(site, web, s3) for _ in range(ROUNDS)]
            site.settle()
            listed = site.load(None, "/v1/generations?limit=20")
            constant = limit.load(None, "/constant")
        made_by_hand = "the same rows by hand, same server"
        yield _against("create, URL image", group, create, most_creates, made_by_hand, CREATE[kind])
        yield Line(group, "create, 100 KB in Base64", small.rate, "/s", f"p50/95/99 {small.times()} ms")
        beyond, cpu, put, large = min(seen, key=lambda one: one[0])
        more = f"p50/95/99 {large.times()} ms; {cpu:.0f} ms CPU of the web process, {put:.0f} of them boto3's put"
        yield Line(group, "create, 5 MB in Base64, 2 at once", large.rate, "/s", more)
        target = "≤ 10 ms CPU beyond the S3 put"
        yield Line(group, "CPU of a 5 MB create beyond the put", beyond, "ms", "", None, "", target, beyond <= 10)
        yield _against("read, with two signed URLs", group, read, most_reads, "the same by hand, same server", READ)
        yield Line(group, "list, 20 a page", listed.rate, "/s", f"p50/95/99 {listed.times()} ms")
        yield Line(group, "limit: a constant", constant.rate, "/s")
        yield Line(group, "limit: the transaction without a server, one connection", _raw(site, url), "/s")


def in_turns(ours: Callable[[], load.Seen], limit: Callable[[], load.Seen]) -> tuple[load.Seen, load.Seen]:
    """The best of some rounds of each, once all threads and connections have done it: a machine that others share is
    slower from one moment to the next by more than what is measured."""
    rounds = [(ours(), limit()) for _ in range(ROUNDS + 1)][1:]
    best = [max(seen, key=lambda one: one.rate) for seen in zip(*rounds, strict=True)]
    return best[0], best[1]


def _large(site: Site, web: stack.Process, s3: dict[str, str]) -> tuple[float, float, float, load.Seen]:
    """Milliseconds of CPU that a create of 5 MB takes beyond the put, in all, and of the put."""
    before = _cpu(web)
    seen = site.load(body(base64_of(5_000_000)), connections=2)
    cpu, put = (_cpu(web) - before) / len(seen.took) * 1000, _put_cpu(s3)
    return cpu - put, cpu, put, seen


def _against(what: str, group: str, seen: load.Seen, limit: load.Seen, limit_is: str, target: float) -> Line:
    met = seen.rate >= target * limit.rate
    more = f"p50/95/99 {seen.times()} ms"
    return Line(group, what, seen.rate, "/s", more, limit.rate, limit_is, f"≥ {target:.2f} of the limit", met)


def _raw(site: Site, url: dict[str, Any]) -> float:
    code = f"""
import time
from tests.bench import plain
ends, count = time.perf_counter() + {SECONDS}, 0
while time.perf_counter() < ends:
    plain.create(1, 1, {url!r})
    count += 1
print(count / {SECONDS})
"""
    body = subprocess.run([sys.executable, "-c", code], env=site.env, check=True, capture_output=True, text=True)
    return float(body.stdout)


def _cpu(process: stack.Process) -> float:
    """Seconds that it and its children have used. Source of the columns: proc(5)."""
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == process.pid:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def _put_cpu(s3: dict[str, str]) -> float:
    """Milliseconds of CPU of one put of 5 MB by boto3."""
    client, content = _client(s3), os.urandom(5_000_000)
    client.put_object(Bucket=s3["S3_BUCKET"], Key="bench", Body=content)
    began = time.process_time()
    for _ in range(20):
        client.put_object(Bucket=s3["S3_BUCKET"], Key="bench", Body=content)
    return (time.process_time() - began) / 20 * 1000


def _client(s3: dict[str, str]) -> Any:
    import boto3

    keys = {"aws_access_key_id": s3["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": s3["AWS_SECRET_ACCESS_KEY"]}
    return boto3.client("s3", endpoint_url=s3["S3_ENDPOINT_URL"], region_name="us-east-1", **keys)


def memory(s3: dict[str, str]) -> Iterator[Line]:
    """Eight creates of 30 MB in Base64 at once."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        site = Site("SQLite", Path(folder), s3)
        site.env["LARGE_BODIES"] = "2"
        with site.serving("seedance_service.wsgi:application", "/livez") as web:
            site.load(body("https://example.com/picture.png"), seconds=1.0)
            before = _memory(web)[0]
            content = json.dumps(body(base64_of(30_000_000))).encode()
            asked = load.request("POST", "/v1/generations", site.headers, content)
            seen = load.run(site.port, lambda: asked, connections=8, seconds=0.5)
            time.sleep(2)
            after, peak = _memory(web)
        statuses = dict(seen.statuses)
        group = "Memory of a web process"
        more = f"{before:.0f} before; answers {statuses}: LARGE_BODIES=2 are read at once, the rest has to wait"
        yield Line(
            group, "eight creates of 30 MB in Base64 at once, peak", peak, "MB", more, None, "", "≤ 600", peak <= 600
        )
        yield Line(group, "and after it", after, "MB", "", None, "", "≤ 250", after <= 250)


def _memory(process: stack.Process) -> tuple[float, float]:
    """MB resident of its largest process, and the most that it ever had."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == process.pid:
                facts = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
                found.append(tuple(int(facts[name].split()[0]) / 1000 for name in ("VmRSS", "VmHWM")))
        except (OSError, KeyError):
            continue
    return max(found)


def growth(s3: dict[str, str], most: int) -> Iterator[Line]:
    """On PostgreSQL: at 10^3, 10^4, … generations, as ratios to the first."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        site = Site("PostgreSQL", Path(folder), s3)
        url, first, rows = body("https://example.com/picture.png"), dict[str, float](), 1000
        while rows <= most:
            _fill(site, rows)
            with site.serving("seedance_service.wsgi:application", "/livez"):
                site.load(url, seconds=1.0)
                one = site.one()
                asked = {
                    "create": (url, "/v1/generations"),
                    "read": (None, f"/v1/generations/{one}"),
                    "list, 20 a page": (None, "/v1/generations?limit=20"),
                }
                took = {
                    what: 1 / max(site.load(*how, connections=4).rate for _ in range(ROUNDS))
                    for what, how in asked.items()
                }
            first = first or took
            for what, seconds in took.items():
                ratio = seconds / first[what]
                group, target = "Growth with rows, PostgreSQL", f"≤ {GROWTH} × that with a thousand"
                met = None if rows == 1000 else ratio <= GROWTH
                more = f"{ratio:.2f} × that with a thousand"
                yield Line(group, f"{what}, {rows:,} generations", seconds * 1000, "ms", more, None, "", target, met)
            rows *= 10


def _fill(site: Site, rows: int) -> None:
    """Up to so many, each a copy of the first, one a second from 2020 on."""
    code = f"import django; django.setup(); from tests.bench import serving; serving.fill({rows})"
    subprocess.run([sys.executable, "-c", code], env=site.env, check=True)


def fill(rows: int) -> None:
    """Called with Django set up."""
    from django.db import connection

    from generations.models import Generation
    from tenants.models import ApiKey
    from tests.bench import database, lists

    template = Generation.objects.filter(upstream_id="template").first()
    if template is None:
        template = _template(ApiKey.objects.select_related("tenant").get())
    there = Generation.objects.count()
    changed = {column: sql.format(other=template.api_key_id) for column, sql in lists.CHANGED.items()}
    numbered = lists.NUMBERED.format(rows=rows).replace("generate_series(1,", f"generate_series({there + 1},")
    with connection.cursor() as cursor:
        if there < rows:
            database.copy(template, changed, numbered)
        cursor.execute("VACUUM ANALYZE generations_generation")
        cursor.execute("CHECKPOINT")  # or what was copied is written out while the first creates are measured


def _template(key: Any) -> Any:
    from django.utils import timezone

    from generations.intake import record
    from generations.models import Generation

    facts = {"model": "seedance-v1-lite-i2v", "resolution": "480p", "aspect_ratio": "16:9", "duration": 5, "seed": 7}
    facts |= {"seed_source": "caller", "image_url": "https://example.com/a.png", "price_micro": 1}
    row = Generation(tenant=key.tenant, api_key=key, created_at=timezone.now(), upstream_id="template", **facts)
    record.admit_and_record(row)
    return row
