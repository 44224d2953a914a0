"""Several hosts on PostgreSQL, each with an own network and name: one host is cut off, and all are replaced."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from deploy import stack, waiting
from tests.deploy.test_proxy import Proxy
from tests.generations.test_brokers import REDIS
from tests.support.hosts import Host, Network
from tests.support.images import base64_of, image_bytes
from tests.support.running import ROOT

# Both tests open some sixty connections to PostgreSQL, which takes a hundred: they never run beside each other.
pytestmark = [pytest.mark.story, pytest.mark.xdist_group("hosts")]
GENERATIONS = 40
RENDER_SECONDS = 12.0  # of a task at the sandbox
CALLERS, PAUSE_SECONDS = 3, 0.8  # between two calls: the sandbox renders about one video a second
MAX_WAIT_SECONDS = 120.0  # longer than a lease: a row of a host that was cut off waits for the end of its lease


class Site:
    """The services of the machine, and the environment of the hosts."""

    def __init__(self, network: Network, database: str, folder: Path, seconds: float) -> None:
        self.database, self.logs, self.folder = database, folder / "log", folder
        ports = stack.seaweedfs_ports(29_000 + os.getpid() % 200 * 10)
        self.s3 = stack.seaweedfs(folder / "s3", self.logs, ports, "hosts-key", "hosts-secret")
        waiting.until_answers(self.s3, f"http://127.0.0.1:{ports[0]}")  # it refuses a port that another address uses
        port = stack.free_port(23_000 + os.getpid() % 900)
        self.upstream = f"http://127.0.0.1:{port}"
        base, redis = urlsplit(database), urlsplit(REDIS)
        relayed = {name: network.relay(at) for name, at in (("s3", ports[0]), ("upstream", port))}
        assert base.port
        assert redis.port
        with_user = f"{base.username}@{network.relay(base.port)}" if base.username else network.relay(base.port)
        inherited = {
            name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
        }
        self.env = {
            **inherited,
            "DJANGO_SETTINGS_MODULE": "seedance_service.settings",
            "DATABASE_URL": base._replace(netloc=with_user).geturl(),
            "BROKER_URL": redis._replace(netloc=network.relay(redis.port)).geturl(),
            "SECRET_KEY": "hosts",
            "NOVITA_BASE_URL": f"http://{relayed['upstream']}",
            "NOVITA_API_KEY": "sandbox",
            "SANDBOX_SECRET": "hosts",
            "FETCH_ALLOW_HOSTS": relayed["upstream"],
            "S3_BUCKET": "hosts",
            "S3_ENDPOINT_URL": f"http://{relayed['s3']}",
            "S3_PUBLIC_URL": f"http://127.0.0.1:{ports[0]}",
            "AWS_ACCESS_KEY_ID": "hosts-key",
            "AWS_SECRET_ACCESS_KEY": "hosts-secret",
            "ALLOWED_HOSTS": "*",
            "ADMIN_PASSWORD": "hosts",
            "SWEEP_SLOTS": "2",
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "-m", "deploy.sandbox", f"--port={port}", f"--dir={folder / 'sandbox'}"]
        command += [f"--seconds={seconds}", f"--url=http://{relayed['upstream']}"]
        self.sandbox = stack.Process("sandbox", command, self.env, self.logs)
        waiting.until_answers(self.sandbox, f"{self.upstream}/sandbox/tasks")
        self.key = self._run("-m", "deploy.prepare").strip().splitlines()[-1]

    def _run(self, *command: str) -> str:
        """Run Python with the command line, and return its output."""
        env = {**self.env, "VAR_DIR": str(self.folder / "prepare")}
        result = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def wake_workers(self) -> None:
        """Send a wake-up for each of the two slots."""
        statement = "for _ in range(2): wakeups.async_task(wakeups.SWEEP)"
        self._run("-c", f"import django; django.setup()\nfrom generations import wakeups\n{statement}")

    def manage(self, *command: str) -> str:
        """Run a management command, and return its output."""
        return self._run("manage.py", *command)

    def web(self, host: Host, port: int = 8000, name: str = "web") -> stack.Process:
        """Start a web process on the host."""
        command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", str(port)]
        command += ["--workers", "1", "--blocking-threads", "16", "--http", "1", "--no-ws"]
        return self._start(host, name, [*command, "seedance_service.wsgi:application"])

    def worker(self, host: Host) -> stack.Process:
        """Start a worker on the host."""
        return self._start(host, "worker", [sys.executable, "manage.py", "worker"])

    def _start(self, host: Host, name: str, command: list[str]) -> stack.Process:
        """Start a process of the service on the host, with a folder of its own."""
        var = self.folder / host.name / name
        var.mkdir(parents=True, exist_ok=True)
        return host.start(f"{host.name}-{name}", command, {**self.env, "VAR_DIR": str(var)}, self.logs)

    def query(self, sql: str) -> list[Any]:
        """Run a statement in the database, and return its rows."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            return connection.execute(sql).fetchall()

    def tasks(self) -> list[dict[str, Any]]:
        """Return the tasks that the upstream was paid for, by its own account."""
        tasks: list[dict[str, Any]] = httpx.get(f"{self.upstream}/sandbox/tasks").json()["tasks"]
        return tasks

    def live(self) -> list[Any]:
        """Return the unfinished generations by status: their number and when they are due."""
        rows = "SELECT status, count(*), min(due_at - now()), max(tries) FROM generations_generation"
        return self.query(f"{rows} WHERE finished_at IS NULL GROUP BY status")

    def wait_until_finished(self) -> None:
        """Wait until all generations are finished. Fail if none finishes for MAX_WAIT_SECONDS.

        The speed of the machine does not matter.
        """
        ends, fewest = time.monotonic() + MAX_WAIT_SECONDS, sys.maxsize
        while left := self.live():
            if (count := sum(row[1] for row in left)) < fewest:
                ends, fewest = time.monotonic() + MAX_WAIT_SECONDS, count
            assert time.monotonic() < ends, f"Generations are stuck: {left}"
            time.sleep(0.2)

    def check(self, seeds: dict[str, int]) -> None:
        """Check that nothing was lost or doubled, by our rows, the upstream's account and the ledger."""
        statuses = Counter(status for (status,) in self.query("SELECT status FROM generations_generation"))
        assert statuses == {"succeeded": len(seeds)}
        upstream_seeds = Counter(int(task["seed"]) for task in self.tasks())
        assert upstream_seeds == Counter(seeds.values())
        assert self.query("SELECT count(*) FROM generations_attempt") == [(len(seeds),)]
        entries = dict(self.query("SELECT kind, count(*) FROM tenants_ledgerentry GROUP BY kind"))
        assert entries == {"hold": len(seeds), "capture": len(seeds)}
        self.manage("ledger", "check")


@pytest.fixture
def site(own_database: str, tmp_path: Path, request: Any) -> Iterator[tuple[Network, Site]]:
    """Start the services of the machine, and an empty network of hosts."""
    with Network() as network:
        site = Site(network, own_database, tmp_path, getattr(request, "param", RENDER_SECONDS))
        try:
            yield network, site
        finally:
            stack.stop([site.s3, site.sandbox])


def wait_until(condition: Callable[[], Any], seconds: float, message: str) -> float:
    """Wait until the condition holds, for `seconds` at most. Return the seconds that this took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, message
        time.sleep(0.1)
    return time.monotonic() - started


def answers(url: str) -> bool:
    """Return whether the web process at the URL is alive."""
    try:
        return httpx.get(f"{url}/livez", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def body(seed: int) -> dict[str, Any]:
    """Return the body of a create."""
    return {"image": base64_of(image_bytes()), "resolution": "480p", "camera_fixed": True, "seed": seed}


def test_a_worker_host_that_is_cut_off_loses_and_doubles_nothing(site: tuple[Network, Site]) -> None:
    """Cut off host B, which has all the work, while it polls and copies. Host A's worker takes over, and B rejoins."""
    network, it = site
    here, there = network.add_host("host-a"), network.add_host("host-b")
    started = [it.web(here), it.worker(there)]
    url = f"http://{here.address}:8000"
    try:
        wait_until(lambda: answers(url), 60, started[0].log_tail())
        seeds: dict[str, int] = {}
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {it.key}"}, timeout=60) as http:
            for seed in range(1000, 1000 + GENERATIONS):
                seeds[http.post("/v1/generations", json=body(seed)).raise_for_status().json()["id"]] = seed
            # All are submitted: a submit in progress at the cut would be in doubt, and wait for an operator.
            waiting = "SELECT count(*) FROM generations_generation WHERE status IN ('queued', 'submitting')"
            wait_until(lambda: it.query(waiting) == [(0,)], 60, "The generations are not submitted.")
            copying = "SELECT 1 FROM generations_generation WHERE status = 'copying'"
            wait_until(lambda: it.query(copying), 60, "No video is copied.")
            there.cut_off()
            assert it.live()
            started.append(it.worker(here))
            it.wait_until_finished()  # host A takes over what host B had claimed
            [(rejoined,)] = it.query("SELECT now()")
            there.rejoin()
            for seed in (2000, 2001, 2002):
                seeds[http.post("/v1/generations", json=body(seed)).raise_for_status().json()["id"]] = seed
            heartbeat = f"SELECT 1 FROM generations_worker WHERE host = 'host-b' AND beat_at > '{rejoined.isoformat()}'"
            wait_until(lambda: it.query(heartbeat) or it.wake_workers(), 90, "Host B does not work again.")
            it.wait_until_finished()
            for generation_id, seed in seeds.items():
                row = http.get(f"/v1/generations/{generation_id}").json()
                content = httpx.get(row["video"]["url"]).raise_for_status().content
                assert hashlib.sha256(content).hexdigest() == row["video"]["sha256"]
                assert row["seed"] == seed
        it.check(seeds)
    finally:
        stack.stop(started)


def wake_both(it: Site) -> bool:
    """Return whether both hosts work. Otherwise wake them: a host that keeps up does not wake others by itself."""
    owners = it.query("SELECT split_part(owner, '/', 1) FROM generations_slot WHERE lease_until > now()")
    if set(owners) == {("host-a",), ("host-b",)}:
        return True
    if len(owners) == 2:  # both are of one host: stop one of its worker runs
        it.query("UPDATE generations_slot SET owner = '', lease_until = '1970-01-01' WHERE number = 2 RETURNING 1")
    it.wake_workers()
    time.sleep(1)
    return False


@pytest.mark.parametrize("site", [2.0], indirect=True)
def test_replacing_every_process_under_load_loses_nothing(site: tuple[Network, Site], tmp_path: Path) -> None:
    """Stop and restart two web processes behind a proxy and two workers, one after the other, while callers call."""
    network, it = site
    one, two = network.add_host("host-a"), network.add_host("host-b")
    starts: dict[str, Callable[[], stack.Process]] = {
        "web a": lambda: it.web(one),
        "worker a": lambda: it.worker(one),
        "web b": lambda: it.web(two),
        "worker b": lambda: it.worker(two),
    }
    webs = {"web a": f"http://{one.address}:8000", "web b": f"http://{two.address}:8000"}
    started = {name: start() for name, start in starts.items()}
    seeds: dict[str, int] = {}
    errors: list[str] = []
    over = threading.Event()
    try:
        for name, url in webs.items():
            wait_until(lambda url=url: answers(url), 60, started[name].log_tail())  # type: ignore[misc]
        proxy = tmp_path / "proxy"
        proxy.mkdir()
        with ExitStack() as stack_of, Proxy(proxy, [urlsplit(url).netloc for url in webs.values()]) as front:
            callers = stack_of.enter_context(ThreadPoolExecutor(CALLERS))
            calling = [
                callers.submit(_call, front.url, it.key, number, over, seeds, errors) for number in range(CALLERS)
            ]
            for name in starts:
                time.sleep(2)
                started[name].terminate()
                wait_until(started[name].has_ended, 30, f"{name} does not stop.")
                time.sleep(0.5)
                started[name].kill()
                started[name] = starts[name]()
                if name in webs:
                    wait_until(lambda name=name: answers(webs[name]), 60, started[name].log_tail())  # type: ignore[misc]
            time.sleep(2)
            over.set()
            for future in calling:
                future.result()
        it.wait_until_finished()
        assert errors == []
        assert len(seeds) > 50
        it.check(seeds)
    finally:
        over.set()
        stack.stop(list(started.values()))


def _call(url: str, key: str, number: int, over: threading.Event, seeds: dict[str, int], errors: list[str]) -> None:
    """Create and read generations until `over` is set. Collect seeds and errors; never retry."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as http:
        for seed in range(number * 10_000 + 1, (number + 1) * 10_000):
            if over.is_set():
                return
            answer = http.post("/v1/generations", json=body(seed))
            if answer.status_code != 202:
                errors.append(f"{answer.status_code} {answer.text[:200]}")
                time.sleep(PAUSE_SECONDS)
                continue
            generation_id = answer.json()["id"]
            seeds[generation_id] = seed
            read = http.get(f"/v1/generations/{generation_id}")
            if read.status_code != 200 or read.json()["seed"] != seed:
                errors.append(f"{read.status_code} {read.text[:200]}")
            time.sleep(PAUSE_SECONDS)
