"""`make bench`: measure speed against the targets, print a table, and write it to benchmarks/RESULTS.md with a chart.

Absolute figures are of one machine and one run. The ratios to limits that were measured in the same run count.
Progress goes to standard error, the table alone to standard output. The exit code is 1 if a target is missed or a part
failed.
"""

import argparse
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy import stack, waiting
from tests.bench import machine, parts
from tests.bench.report import Report
from tests.bench.serving import s3_client

parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
parser.add_argument("--rows", type=int, default=1_000_000, help="generations of the growth, the lists and the panel")
parser.add_argument("--only", action="append", choices=parts.NAMES, help="run this part alone, and write nothing")


def main() -> int:
    given = parser.parse_args()
    began, load_before = time.monotonic(), os.getloadavg()[0]
    watched, outcomes = [machine.idle()], []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with _store(folder) as s3:
            bench = parts.Bench(s3, folder, given.rows)
            for part in parts.PARTS:
                if not given.only or part.name in given.only:
                    outcome, seen = parts.run(part, bench)
                    outcomes.append(outcome)
                    watched.append(seen)
                    print(outcome.progress(), file=sys.stderr, flush=True)
    report = Report(outcomes, watched, load_before, time.monotonic() - began)
    print(report.body())
    if not given.only:
        report.write()
    return 0 if report.has_succeeded() else 1


@contextmanager
def _store(folder: Path) -> Iterator[dict[str, str]]:
    """Run a local S3 with a bucket, and yield the settings that reach it."""
    ports = stack.seaweedfs_ports(20_000 + os.getpid() % 200 * 10)
    keys = secrets.token_hex(8), secrets.token_hex(16)
    store = stack.seaweedfs(folder / "s3", folder / "log", ports, *keys)
    try:
        url = f"http://127.0.0.1:{ports[0]}"
        waiting.until_answers(store, url)
        s3 = {"S3_BUCKET": "bench", "S3_ENDPOINT_URL": url, "S3_PUBLIC_URL": url}
        s3 |= {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]}
        s3_client(s3).create_bucket(Bucket="bench")
        yield s3
    finally:
        stack.stop([store])


if __name__ == "__main__":
    sys.exit(main())
