"""Several hosts on PostgreSQL, each with a network and a name of its own: one is cut off, and all are replaced."""

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

pytestmark = pytest.mark.story
JOBS = 40
RENDERS = 12.0  # seconds that a task takes at the sandbox
CALLERS, PAUSE = 3, 0.8  # seconds between two calls: the sandbox renders about one video a second
IN_TIME = 120.0  # seconds; longer than a lease, which a row of a host that was cut off waits for


class Site:
    """The machine's own services, and the environment of a host of the service."""

    def __init__(self, network: Network, database: str, folder: Path, seconds: float) -> None:
        self.database, self.logs, self.folder = database, folder / "log", folder
        ports = stack.seaweedfs_ports(29_000 + os.getpid() % 200 * 10)
        self.s3 = stack.seaweedfs(folder / "s3", self.logs, ports, "hosts-key", "hosts-secret")
        waiting.until_answers(self.s3, f"http://127.0.0.1:{ports[0]}")  # it takes none that another address has
        port = stack.free_port(23_000 + os.getpid() % 900)
        self.upstream = f"http://127.0.0.1:{port}"
        base, redis = urlsplit(database), urlsplit(REDIS)
        relayed = {name: network.relay(at) for name, at in (("s3", ports[0]), ("upstream", port))}
        assert base.port
        assert redis.port
        with_user = f"{base.username}@{network.relay(base.port)}" if base.username else network.relay(base.port)
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")}
        self.env = {
            **kept,
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
        env = {**self.env, "VAR_DIR": str(self.folder / "prepare")}
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ring(self) -> None:
        """For both slots."""
        rings = "for _ in range(2): wakeups.async_task(wakeups.SWEEP)"
        self._run("-c", f"import django; django.setup()\nfrom generations import wakeups\n{rings}")

    def manage(self, *command: str) -> str:
        return self._run("manage.py", *command)

    def web(self, host: Host, port: int = 8000, name: str = "web") -> stack.Process:
        command = [str(stack.BIN / "granian"), "--interface", "wsgi", "--host", "0.0.0.0", "--port", str(port)]
        command += ["--workers", "1", "--blocking-threads", "16", "--http", "1", "--no-ws"]
        return self._start(host, name, [*command, "seedance_service.wsgi:application"])

    def worker(self, host: Host) -> stack.Process:
        return self._start(host, "worker", [sys.executable, "manage.py", "worker"])

    def _start(self, host: Host, name: str, command: list[str]) -> stack.Process:
        var = self.folder / host.name / name
        var.mkdir(parents=True, exist_ok=True)
        return host.start(f"{host.name}-{name}", command, {**self.env, "VAR_DIR": str(var)}, self.logs)

    def ask(self, sql: str) -> list[Any]:
        with psycopg.connect(self.database, autocommit=True) as look:
            return look.execute(sql).fetchall()

    def tasks(self) -> list[dict[str, Any]]:
        """What the upstream itself says was paid for."""
        found: list[dict[str, Any]] = httpx.get(f"{self.upstream}/sandbox/tasks").json()["tasks"]
        return found

    def live(self) -> list[Any]:
        """What has not ended, by state, and when it is due."""
        rows = "SELECT status, count(*), min(due_at - now()), max(tries) FROM generations_generation"
        return self.ask(f"{rows} WHERE finished_at IS NULL GROUP BY status")

    def until_over(self) -> None:
        """Within IN_TIME of the last that ended: how many a machine renders in a minute is not asked here."""
        ends, fewest = time.monotonic() + IN_TIME, sys.maxsize
        while left := self.live():
            if (count := sum(row[1] for row in left)) < fewest:
                ends, fewest = time.monotonic() + IN_TIME, count
            assert time.monotonic() < ends, f"something is stuck: {left}"
            time.sleep(0.2)

    def check(self, made: dict[str, int]) -> None:
        """Nothing was lost, nothing doubled: by our rows, by the upstream's account, by the books and by the bytes."""
        ended = Counter(status for (status,) in self.ask("SELECT status FROM generations_generation"))
        assert ended == {"succeeded": len(made)}
        seeds = Counter(int(task["seed"]) for task in self.tasks())
        assert seeds == Counter(made.values())
        assert self.ask("SELECT count(*) FROM generations_attempt") == [(len(made),)]
        entries = dict(self.ask("SELECT kind, count(*) FROM tenants_ledgerentry GROUP BY kind"))
        assert entries == {"hold": len(made), "capture": len(made)}
        self.manage("ledger", "check")


@pytest.fixture
def site(own_database: str, tmp_path: Path, request: Any) -> Iterator[tuple[Network, Site]]:
    with Network() as network:
        made = Site(network, own_database, tmp_path, getattr(request, "param", RENDERS))
        try:
            yield network, made
        finally:
            stack.stop([made.s3, made.sandbox])


def until(true: Callable[[], Any], within: float, what: str) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within, what
        time.sleep(0.1)
    return time.monotonic() - began


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def body(seed: int) -> dict[str, Any]:
    return {"image": base64_of(image_bytes()), "resolution": "480p", "seed": seed}


def test_a_worker_host_that_is_cut_off_loses_and_doubles_nothing(site: tuple[Network, Site]) -> None:
    """Web on one host, workers on both. It is cut off while it polls and copies, and joins again when all is over."""
    network, it = site
    here, there = network.host("host-a"), network.host("host-b")
    started = [it.web(here), it.worker(here), it.worker(there)]
    url = f"http://{here.address}:8000"
    try:
        until(lambda: answers(url), 60, started[0].log_tail())
        made: dict[str, int] = {}
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {it.key}"}, timeout=60) as http:
            for seed in range(1000, 1000 + JOBS):
                made[http.post("/v1/generations", json=body(seed)).raise_for_status().json()["id"]] = seed
            # All are sent: a submit that is under way at the cut would be in doubt, and wait for a person.
            waiting = "SELECT count(*) FROM generations_generation WHERE status IN ('queued', 'submitting')"
            until(lambda: it.ask(waiting) == [(0,)], 60, "they are not submitted")
            until(lambda: both_sweep(it), 60, "host-b has no part in it")
            copying = "SELECT 1 FROM generations_generation WHERE status = 'copying'"
            until(lambda: it.ask(copying), 60, "nothing is copied")
            there.cut_off()
            assert it.live()
            it.until_over()  # what the other had in hand is taken over
            [(joined,)] = it.ask("SELECT now()")
            there.join_again()
            for seed in (2000, 2001, 2002):
                made[http.post("/v1/generations", json=body(seed)).raise_for_status().json()["id"]] = seed
            beat = f"SELECT 1 FROM generations_worker WHERE host = 'host-b' AND beat_at > '{joined.isoformat()}'"
            until(lambda: it.ask(beat) or it.ring(), 90, "host-b does not work again")
            it.until_over()
            for one in made:
                row = http.get(f"/v1/generations/{one}").json()
                content = httpx.get(row["video"]["url"]).raise_for_status().content
                assert hashlib.sha256(content).hexdigest() == row["video"]["sha256"]
                assert row["seed"] == made[one]
        it.check(made)
    finally:
        stack.stop(started)


def both_sweep(it: Site) -> bool:
    """Whether both hosts do; else they are rung for. One that keeps up calls nobody else by itself."""
    owners = it.ask("SELECT split_part(owner, '/', 1) FROM generations_slot WHERE lease_until > now()")
    if set(owners) == {("host-a",), ("host-b",)}:
        return True
    if len(owners) == 2:  # both are one host's: one of its sweeps is asked to stop
        it.ask("UPDATE generations_slot SET owner = '', lease_until = '1970-01-01' WHERE number = 2 RETURNING 1")
    it.ring()
    time.sleep(1)
    return False


@pytest.mark.parametrize("site", [2.0], indirect=True)
def test_replacing_every_process_under_load_loses_nothing(site: tuple[Network, Site], tmp_path: Path) -> None:
    """Two web hosts behind the proxy and two workers, each stopped and started anew in turn, while callers call."""
    network, it = site
    one, two = network.host("host-a"), network.host("host-b")
    begin: dict[str, Callable[[], stack.Process]] = {
        "web a": lambda: it.web(one),
        "worker a": lambda: it.worker(one),
        "web b": lambda: it.web(two),
        "worker b": lambda: it.worker(two),
    }
    webs = {"web a": f"http://{one.address}:8000", "web b": f"http://{two.address}:8000"}
    started = {name: start() for name, start in begin.items()}
    made: dict[str, int] = {}
    wrong: list[str] = []
    over = threading.Event()
    try:
        for name, url in webs.items():
            until(lambda url=url: answers(url), 60, started[name].log_tail())  # type: ignore[misc]
        proxy = tmp_path / "proxy"
        proxy.mkdir()
        with ExitStack() as stack_of, Proxy(proxy, [urlsplit(url).netloc for url in webs.values()]) as front:
            callers = stack_of.enter_context(ThreadPoolExecutor(CALLERS))
            calling = [callers.submit(_call, front.url, it.key, number, over, made, wrong) for number in range(CALLERS)]
            for name in begin:
                time.sleep(2)
                started[name].terminate()
                until(started[name].has_ended, 30, f"{name} does not stop")
                time.sleep(0.5)
                started[name].kill()
                started[name] = begin[name]()
                if name in webs:
                    until(lambda name=name: answers(webs[name]), 60, started[name].log_tail())  # type: ignore[misc]
            time.sleep(2)
            over.set()
            for future in calling:
                future.result()
        it.until_over()
        assert wrong == []
        assert len(made) > 50
        it.check(made)
    finally:
        over.set()
        stack.stop(list(started.values()))


def _call(url: str, key: str, number: int, over: threading.Event, made: dict[str, int], wrong: list[str]) -> None:
    """A caller that takes every answer for what it is, and asks for nothing twice."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as http:
        for seed in range(number * 10_000 + 1, (number + 1) * 10_000):
            if over.is_set():
                return
            answer = http.post("/v1/generations", json=body(seed))
            if answer.status_code != 202:
                wrong.append(f"{answer.status_code} {answer.text[:200]}")
                time.sleep(PAUSE)
                continue
            one = answer.json()["id"]
            made[one] = seed
            read = http.get(f"/v1/generations/{one}")
            if read.status_code != 200 or read.json()["seed"] != seed:
                wrong.append(f"{read.status_code} {read.text[:200]}")
            time.sleep(PAUSE)
