"""Where the processor time of a create, a read and a poll goes: `make profile`.

py-spy takes samples of the process under the bench's own load: of threads that hold the interpreter's lock, so that no
wait counts. Printed are the service's own lines with most samples, those of the libraries that they call included.
benchmarks/PROFILE.md says what was done about each.
"""

import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from deploy import stack
from tests.bench import working
from tests.bench.serving import OURS, Site, body

SECONDS, RATE = 30, 100  # of a profile, and its samples a second; it takes longer where a sample does
LOAD_SECONDS = 5.0  # of one run of the load, which is repeated until the profile is taken
DEAREST = 5
IMPORTING = "importlib._bootstrap"  # in the frames of a process that starts
OWN = ("generations/", "tenants/", "seedance_service/")
S3 = {"S3_BUCKET": "bench", "S3_ENDPOINT_URL": "http://127.0.0.1:9", "S3_REGION": "us-east-1"}
S3 |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
RECORD = [str(stack.BIN / "py-spy"), "record", "--gil", "--rate", str(RATE), "--format", "raw"]


def main() -> None:
    """Print the tables of one database, which is the first argument."""
    kind = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        site, url = Site(kind, folder, S3), body("https://example.com/picture.png")
        with site.serving(OURS, "/livez") as web:
            _record(web, folder / "create", lambda: site.load(url, seconds=LOAD_SECONDS))
            site.settle()
            path = f"/v1/generations/{site.finish()}"
            _record(web, folder / "read", lambda: site.load(None, path, seconds=LOAD_SECONDS))
        (folder / "worker").mkdir()
        site = Site(kind, folder / "worker", S3)
        with working.upstream(folder) as upstream:
            recorder = [*RECORD, "--output", str(folder / "poll"), "--"]
            working.ran(site, f"polls({working.IN_FLIGHT}, {SECONDS})", wrapped_by=recorder, NOVITA_BASE_URL=upstream)
        for what in ("create", "read", "poll"):
            print(_table(f"A {what}, {kind}", (folder / what).read_text()))


def _record(process: stack.Process, file: Path, load: Callable[[], object]) -> None:
    """Take samples of a process and its children under the load, once it has run."""
    load()
    command = [*RECORD, "--subprocesses", "--duration", str(SECONDS), "--output", str(file), "--pid", str(process.pid)]
    recorder = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while recorder.poll() is None:
        load()
    assert recorder.returncode == 0, "py-spy has failed"


def _table(title: str, samples: str) -> str:
    """Return the dearest lines as Markdown. Each sample is a line: the frames from the outermost on, and a count."""
    lines, inner, total = Counter[str](), defaultdict[str, Counter[str]](Counter), 0
    for sample in samples.splitlines():
        text, _, count = sample.rpartition(" ")
        frames = [_shorten(frame) for frame in text.split(";")]
        own = next((frame for frame in reversed(frames) if _is_own(frame)), None)
        if own is not None and IMPORTING not in text:
            lines[own] += int(count)
            inner[own][frames[-1]] += int(count)
            total += int(count)
    rows = [
        f"| {count / total:.1%} | `{own}` | `{inner[own].most_common(1)[0][0]}` |"
        for own, count in lines.most_common(DEAREST)
    ]
    head = ["| share | line of the service | most of it in |", "| --- | --- | --- |"]
    return "\n".join([f"\n## {title}, {total:,} samples\n", *head, *rows])


def _shorten(frame: str) -> str:
    """Return a frame with the path below the project or the packages: "sign (generations/bucket/signing.py:43)"."""
    name, _, where = frame.partition(" (")
    for before in (f"{stack.ROOT}/", "site-packages/", "/lib/python3.11/"):
        where = where.rpartition(before)[2]
    return f"{name} ({where}"


def _is_own(frame: str) -> bool:
    return any(f"({folder}" in frame for folder in OWN)


if __name__ == "__main__":
    main()
