"""Creates with large images in Base64: their CPU beyond the put to the bucket, and their memory."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy import stack
from tests.bench import load
from tests.bench.rounds import Figure, in_turns, rates, times
from tests.bench.serving import OURS, Site, base64_of, body, cpu_seconds, memory_mb, s3_client
from tests.bench.table import Line

SIZE = 5_000_000  # bytes of an image
MAX_CPU = 2.0  # times the CPU by hand
MAX_PEAK_MB, MAX_AFTER_MB = 600, 250
REPEATED = 20  # puts, or images by hand, of one round


def cpu_lines(group: str, site: Site, web: stack.Process, s3: dict[str, str]) -> Iterator[Line]:
    """Yield the lines of creates of 5 MB. `web` is the process that serves `site`."""
    content = body(base64_of(SIZE))

    def create() -> tuple[float, load.Seen]:
        before = cpu_seconds(web)
        seen = site.load(content, connections=2)
        return (cpu_seconds(web) - before) / len(seen.took) * 1000, seen

    def measured(code: str) -> tuple[float, load.Seen]:
        return _milliseconds(code, {**site.env, **s3}), load.Seen()

    creates, puts, by_hand = in_turns(create, lambda: measured("put"), lambda: measured("by_hand"))
    seen = [one for _, one in creates]
    cpu, put, plain = (Figure.of(milliseconds for milliseconds, _ in side) for side in (creates, puts, by_hand))
    yield Line(group, "create, 5 MB in Base64, 2 at once", rates(seen), "/s", times(seen))
    beyond = cpu - put
    met, target = (beyond / plain).median <= MAX_CPU, f"≤ {MAX_CPU:.0f} × by hand"
    limit_is = "JSON and Base64 decoded, hashed and the image checked by hand"
    more = f"{cpu.median:.1f} ms in all, {put.median:.1f} of them boto3's put"
    yield Line(group, "CPU of a 5 MB create beyond the put", beyond, "ms", more, plain, limit_is, target, met)


def _milliseconds(name: str, env: dict[str, str]) -> float:
    """Return the milliseconds of CPU that the function `name` of this file takes, in a process on the web's core."""
    code = f"from tests.bench import large_images; print(large_images.{name}())"
    command = ["taskset", "-c", "0", sys.executable, "-c", code]
    return float(subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout)


def put() -> float:
    """Return the milliseconds of CPU of one put of 5 MB by boto3."""
    env: dict[str, str] = dict(os.environ)
    client, content = s3_client(env), os.urandom(SIZE)
    return _cpu_of(lambda: client.put_object(Bucket=env["S3_BUCKET"], Key="bench", Body=content))


def by_hand() -> float:
    """Return the milliseconds of CPU that the least handling of one image takes."""
    import msgspec
    import pybase64
    from PIL import Image

    asked = json.dumps(body(base64_of(SIZE))).encode()

    def handle() -> str:
        content = pybase64.b64decode(msgspec.json.decode(asked)["image"], validate=True)
        with Image.open(io.BytesIO(content)) as image:
            image.verify()
        return hashlib.sha256(content).hexdigest()

    return _cpu_of(handle)


def _cpu_of(call: Any) -> float:
    call()
    began = time.process_time()
    for _ in range(REPEATED):
        call()
    return (time.process_time() - began) / REPEATED * 1000


def memory_lines(s3: dict[str, str]) -> Iterator[Line]:
    """Yield the lines of a web process that gets eight creates of 30 MB in Base64 at once."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        site = Site("SQLite", Path(folder), s3)
        site.env["LARGE_BODIES"] = "2"
        with site.serving(OURS, "/livez") as web:
            site.load(body("https://example.com/picture.png"), seconds=1.0)
            before = memory_mb(web)[0]
            content = json.dumps(body(base64_of(30_000_000))).encode()
            asked = load.request("POST", "/v1/generations", site.headers, content)
            seen = load.run(site.port, lambda: asked, connections=8, seconds=0.5)
            time.sleep(2)
            after, peak = memory_mb(web)
    group, what = "Memory of a web process", "eight creates of 30 MB in Base64 at once, peak"
    answers = ", ".join(f"{status or 'closed'} × {count}" for status, count in sorted(seen.statuses.items()))
    more = f"{before:.0f} MB before; answers {answers}: LARGE_BODIES=2 are read at once, the rest has to wait"
    yield Line(group, what, peak, "MB", more, None, "", f"≤ {MAX_PEAK_MB} MB", peak <= MAX_PEAK_MB)
    yield Line(group, "and after it", after, "MB", "", None, "", f"≤ {MAX_AFTER_MB} MB", after <= MAX_AFTER_MB)
