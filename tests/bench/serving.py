"""Serve the service, or the code by hand, from one web process on a core of its own, with a database and a bucket.

The load, and mostly the database, have the other core: 16 connections, one tenant, every limit set.
"""

import base64
import itertools
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import isqrt
from pathlib import Path
from typing import Any

import psycopg

from deploy import malloc, stack, waiting
from tests.bench import database, load
from tests.bench.rounds import ROUNDS as ROUNDS
from tests.support.images import image_bytes

OURS, BY_HAND = "seedance_service.wsgi:application", "tests.bench.plain:application"
SECONDS = 2.0  # of one load
LIST_ROWS = 20  # of a page, each with two signed URLs
UNIQUE_CHARS = 12  # characters of an image's Base64, amid its pixels, that are digits: no two images are the same
LIMITS = ("--requests-per-minute", "--in-flight", "--per-day", "--per-month", "--seconds-per-month", "--usd-per-month")
DATABASE = "seedance_bench_serving"


class Site:
    """A database with one tenant, a bucket and a web process. `kind` is SQLite or PostgreSQL."""

    def __init__(self, kind: str, folder: Path, s3: dict[str, str]) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder / 'db.sqlite3'}" if kind == "SQLite" else database.empty(DATABASE)
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
        self._manage("migrate", "-v0")
        limits = [word for name in LIMITS for word in (name, "100000000")]
        body = json.loads(self._manage("tenant", "create", "bench", *limits, "--json"))
        self.headers = {"Authorization": f"Bearer {body['api_key']}"}
        self.port = stack.free_port(28_000 + os.getpid() % 900)

    def _manage(self, *command: str) -> str:
        return output([sys.executable, "manage.py", *command], self.env)

    @contextmanager
    def serving(self, application: str, path: str) -> Iterator[stack.Process]:
        """Serve a WSGI application from one process on core 0, which answers at `path`. Yield the process."""
        command = ["taskset", "-c", "0", sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1", "--blocking-threads", "32", "--http", "1", "--no-ws"]
        process = stack.Process(
            "web", [*command, application], {**self.env, **malloc.tunables(malloc.WEB)}, self.folder
        )
        try:
            waiting.until_answers(process, f"http://127.0.0.1:{self.port}{path}")
            yield process
        finally:
            stack.stop([process])

    def load(self, body: dict[str, Any] | None, path: str = "/v1/generations", **options: Any) -> load.Seen:
        """Post the body, or get the path, for SECONDS. Each Base64 image is another one, or it would be stored already.

        Raise AssertionError if any answer is not a success.
        """
        content = json.dumps(body).encode() if body else b""
        asked = load.request("POST" if body else "GET", path, self.headers, content)
        image_text = body["image"] if body and not body["image"].startswith("https:") else ""
        at = asked.index(image_text.encode()) + len(image_text) - 8 * UNIQUE_CHARS if image_text else 0
        count = itertools.count(secrets.randbelow(10**9))

        def make() -> bytes:
            return b"%s%012d%s" % (asked[:at], next(count), asked[at + UNIQUE_CHARS :]) if at else asked

        seen = load.run(self.port, make, **{"seconds": SECONDS, **options})
        assert set(seen.statuses) <= {200, 202}, seen.statuses
        return seen

    def call(self, code: str) -> str:
        """Run Python code in a process with Django set up, and return the last line that it prints."""
        text = f"import django; django.setup(); from tests.bench import rows; {code}"
        return self.output(text).strip().rpartition("\n")[2]

    def output(self, code: str) -> str:
        """Run Python code in a process with this site's settings, and return what it prints."""
        return output([sys.executable, "-c", code], self.env)

    def open_windows(self) -> None:
        """Create the usage windows that the creates by hand count in."""
        self.output("from tests.bench import plain; plain.open_windows(1)")

    def settle(self) -> None:
        """Analyze the tables, as autovacuum does within a minute.

        Without it the planner does not know how many rows there are, and a list sorts all of them.
        """
        if self.url.startswith("postgres"):
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute("ANALYZE")

    def finish(self, count: int = 1) -> str:
        """Finish the tenant's newest generations, and return the id of one."""
        return self.call(f"print(rows.finish_newest({count}, {secrets.token_hex(8)!r}))")


def output(command: list[str], env: dict[str, str]) -> str:
    """Run a command and return its output. Raise AssertionError with its errors if it fails."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def body(image: str) -> dict[str, Any]:
    """Return the body of a create with this image: a URL, or Base64."""
    return {"image": image, "resolution": "480p", "prompt": "a lighthouse at dusk"}


def base64_of(size: int) -> str:
    """Return a black image of about `size` bytes in Base64: a BMP with a byte for each pixel."""
    side = isqrt(size) // 4 * 4
    return base64.b64encode(image_bytes(kind="BMP", width=side, height=side, mode="L")).decode()


def s3_client(s3: dict[str, str]) -> Any:
    """Return a boto3 client of the bench's local S3."""
    import boto3

    keys = {"aws_access_key_id": s3["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": s3["AWS_SECRET_ACCESS_KEY"]}
    return boto3.client("s3", endpoint_url=s3["S3_ENDPOINT_URL"], region_name="us-east-1", **keys)


def cpu_seconds(process: stack.Process) -> float:
    """Return the CPU seconds that a process and its children have used. proc(5) explains the columns."""
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == process.pid:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(process: stack.Process) -> tuple[float, float]:
    """Return the resident MB of the largest process of a group, and the most MB that it ever had."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == process.pid:
                facts = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
                found.append(tuple(int(facts[name].split()[0]) / 1000 for name in ("VmRSS", "VmHWM")))
        except (OSError, KeyError):
            continue
    resident, peak = max(found)
    return resident, peak
