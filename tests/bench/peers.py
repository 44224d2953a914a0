"""Creates, reads and polls beside those of peers: LiteLLM's proxy, a naive view of REST framework, and django-q2.

All servers are one process on core 0 and are measured in turns. LiteLLM calls its upstream while the caller waits: a
stand-in of OpenAI's video API that answers from memory. Our web process calls no upstream, its worker does.
"""

import json
import os
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from pathlib import Path
from typing import Any

from deploy import stack, waiting
from tests.bench import database, load, working
from tests.bench.rounds import Figure, in_turns, rates, times
from tests.bench.serving import OURS, SECONDS, Site, body, output
from tests.bench.table import Line

LITELLM = stack.ROOT / "var" / "peers" / "litellm" / "bin" / "python"
DELAY_SECONDS = 0.01  # of the upstream's answers
MIN_CREATE, MIN_READ = 5.0, 15.0  # times LiteLLM
URL = body("https://example.com/picture.png")
NOTES = {
    "ours": "key, limits, fields; stores the row, its hold, event and usage, or signs two URLs",
    "LiteLLM": f"key; stores nothing, checks no quota, waits {DELAY_SECONDS * 1000:.0f} ms for its upstream",
    "naive DRF": "key, count of the day, fields; stores one row, or signs two URLs",
}


def lines(kind: str, s3: dict[str, str]) -> Iterator[Line | str]:
    """Yield the rates of each server on one database, and ours as multiples of the others'."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as running:
        site = Site(kind, Path(name), s3)
        servers = {"ours": site, "naive DRF": _naive(site)}
        running.enter_context(site.serving(OURS, "/livez"))
        running.enter_context(servers["naive DRF"].serving("tests.bench.naive:application", "/videos/1/"))
        creates = {server: _load(one, "/v1/generations", URL) for server, one in servers.items()}
        creates["naive DRF"] = _load(servers["naive DRF"], "/videos/", URL)
        site.load(URL, seconds=1.0)
        site.settle()
        reads = {
            "ours": _load(site, f"/v1/generations/{site.finish()}"),
            "naive DRF": _load(servers["naive DRF"], "/videos/1/"),
        }
        if LITELLM.exists():
            proxy = copy(site)
            proxy.headers = running.enter_context(_litellm(site.folder, proxy))
            asked = {"model": "sora-2", "prompt": "a lighthouse at dusk"}
            creates["LiteLLM"] = _load(proxy, "/v1/videos", asked)
            reads["LiteLLM"] = _load(proxy, f"/v1/videos/{_created(proxy, asked)}")
        elif kind == "SQLite":
            yield "LiteLLM's proxy is not in the table of peers: it could not be installed into var/peers/litellm."
        yield from _compared(f"Peers, {kind}", "create", creates, MIN_CREATE)
        yield from _compared(f"Peers, {kind}", "read", reads, MIN_READ)
    yield from _poll_lines(kind, s3)


def _compared(group: str, what: str, sides: dict[str, Any], least: float) -> Iterator[Line]:
    seen = dict(zip(sides, in_turns(*sides.values()), strict=True))
    for server, rounds in seen.items():
        yield Line(group, f"{what}, {server}", rates(rounds), "/s", f"{NOTES[server]}; {times(rounds)}")
    for server, rounds in seen.items():
        if server != "ours":
            ratio: Figure = rates(seen["ours"]) / rates(rounds)
            target = f"≥ {least:.0f} ×" if server == "LiteLLM" else ""
            met = ratio.median >= least if target else None
            yield Line(group, f"{what}, ours as {server}", ratio, "×", "", None, "", target, met)


def _poll_lines(kind: str, s3: dict[str, str]) -> Iterator[Line]:
    """Yield the polls a second of one worker run, and of a cluster of django-q2 with a task for each poll."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        site = Site(kind, folder, s3)
        with working.upstream(folder) as url:
            ours, queued = in_turns(
                lambda: working.ran(site, f"polls({working.IN_FLIGHT})", NOVITA_BASE_URL=url)[0],
                lambda: _queued_polls(kind, folder, url),
                warm_up=False,  # each is a new process, which warms up by itself
            )
    group, ratio = f"Peers, {kind}", Figure.of(ours) / Figure.of(queued)
    note = "claims many rows at once; writes each state, its event and, at the end, the money in one transaction"
    yield Line(group, "poll, ours", Figure.of(ours), "/s", note)
    note = "one task for each poll, its own table as the queue; writes the progress of the row"
    yield Line(group, "poll, django-q2", Figure.of(queued), "/s", note)
    yield Line(group, "poll, ours as django-q2", ratio, "×")


def _queued_polls(kind: str, folder: Path, url: str) -> float:
    """Return the polls a second of django-q2, with an empty database of its own."""
    file = folder / "queued.sqlite3"
    file.unlink(missing_ok=True)
    queue = f"sqlite:///{file}" if kind == "SQLite" else database.empty("seedance_bench_queued")
    command = ["taskset", "-c", "0", sys.executable, "-m", "tests.bench.queued_polls", url]
    return float(output(command, {**os.environ, "DATABASE_URL": queue}).strip().rpartition("\n")[2])


def _load(site: Site, path: str, content: dict[str, Any] | None = None) -> Any:
    """Return a function that loads a server, and fails if an answer is no success."""
    encoded = json.dumps(content).encode() if content else b""
    asked = load.request("POST" if content else "GET", path, site.headers, encoded)

    def run() -> load.Seen:
        seen = load.run(site.port, lambda: asked, seconds=SECONDS)
        assert set(seen.statuses) <= {200, 201, 202}, (path, seen.statuses)
        return seen

    return run


def _naive(site: Site) -> Site:
    """Return the naive view's site: another port and tables of its own in the same database."""
    naive = copy(site)
    naive.port = stack.free_port(site.port + 1)
    key = site.headers["Authorization"].removeprefix("Bearer ")
    site.output(f"from tests.bench import naive; naive.prepare({key!r})")
    return naive


@contextmanager
def _litellm(folder: Path, proxy: Site) -> Iterator[dict[str, str]]:
    """Run LiteLLM's proxy and its upstream, give `proxy` its port, and yield the headers of a caller."""
    upstream_port = stack.free_port(proxy.port + 10)
    proxy.port = stack.free_port(upstream_port + 1)
    config = folder / "litellm.yaml"  # JSON is YAML
    upstream = {"model": "openai/sora-2", "api_base": f"http://127.0.0.1:{upstream_port}", "api_key": "bench"}
    models = [{"model_name": "sora-2", "litellm_params": upstream}]
    settings = {"telemetry": False, "callbacks": []}
    config.write_text(
        json.dumps({"model_list": models, "general_settings": {"master_key": "sk-bench"}, "litellm_settings": settings})
    )
    # No list of prices is fetched and nothing is reported: it reaches nothing beyond this machine.
    env = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "LITELLM_LOG": "ERROR"}
    command = ["taskset", "-c", "0", str(LITELLM), "-c", "from litellm import run_server; run_server()"]
    command += ["--config", str(config), "--host", "127.0.0.1", "--port", str(proxy.port), "--num_workers", "1"]
    command += ["--telemetry", "False"]
    standin = [sys.executable, "-m", "tests.bench.openai_videos", str(upstream_port), str(DELAY_SECONDS)]
    processes = [stack.Process("openai-videos", standin, os.environ, folder)]
    try:
        waiting.until_answers(processes[0], f"http://127.0.0.1:{upstream_port}/videos/1")
        processes.append(stack.Process("litellm", command, env, folder))
        waiting.until_answers(processes[1], f"http://127.0.0.1:{proxy.port}/health/liveliness")
        yield {"Authorization": "Bearer sk-bench"}
    finally:
        stack.stop(processes)


def _created(proxy: Site, asked: dict[str, Any]) -> str:
    """Create a video at the proxy, and return its id."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{proxy.port}/v1/videos",
        json.dumps(asked).encode(),
        {**proxy.headers, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return str(json.load(response)["id"])
