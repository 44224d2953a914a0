"""The whole service under faults: web, worker, upstream, database, and S3 behind a fault proxy."""

import itertools
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from deploy import malloc, stack, waiting
from generations.telemetry.failpoints import NAMES
from tests.faults import proxy, surroundings
from tests.faults.ark_upstream import ArkUpstream
from tests.faults.database import Postgres, Sqlite
from tests.faults.faulty_server import sha256_of
from tests.faults.upstream import LabUpstream
from tests.support.images import base64_of, image_bytes

APIS = ["/v3/async/seedance-v1-lite-i2v", "/v1/generations"]
ARK_MODEL = "seedance-2-0"  # offered at Ark, then at Novita over the same wire
ARK_SHARE = 0.5  # of the creates
LIMITED_TO = 10  # in flight, of the tenant `limited`
WORKERS = 4  # of the farm whose clock is right
SKEWED_WORKERS = 2  # of the farm whose clock is ahead or behind
SUBMIT_DEADLINE = 3  # seconds
LOST_ANSWER_WAIT = 8  # seconds; longer than a task is hidden from the list, or a process frozen
LONG_OUTAGES = ("no balance", "too many", "upstream away", "bucket away")  # each for longer than SUBMIT_DEADLINE
ACCESS_KEY = "lab-access-key"
UPSTREAM_KEY, ARK_KEY = "upstream-key-of-the-lab", "ark-key-of-the-lab"
TRIES = 3  # of a create
GRACE = 10.0  # seconds that a deploy gives a process
SETTLED_WITHIN = 120.0  # seconds after the last fault
ACTS = ["kill", "kill", "kill", "raise", "hang=1"]  # of a trap
WEB_ACTS = ["kill", "hang=1"]  # at a caller's request none raises: its 500 would be the lab's, not the service's
PATIENCE = 4  # times its seconds may a lab go on until every failpoint was hit
LAID_EVERY = 8.0  # seconds at least: what is killed needs time to come back, or nothing goes on that could be killed


@dataclass
class Call:
    """A create as the caller knows it."""

    tenant: str
    seed: int
    id: str = ""  # empty: no answer came, so the generation may exist or not
    ended: str = ""  # the final status that the caller has read


@dataclass
class Book:
    """The calls and results of all callers."""

    calls: list[Call] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    own_troubles: Counter[str] = field(default_factory=Counter)  # the lab's, such as a database that it has cut itself
    served: int = 0
    wrong: list[str] = field(default_factory=list)  # results that no caller may ever get
    most_in_flight: int = 0

    def acked(self) -> list[Call]:
        """Return the calls that were accepted."""
        return [call for call in self.calls if call.id]


class Lab:
    """The service and its surroundings.

    `quick` is with shorter leases, more worker processes, and traps at failpoints; otherwise all is as in production.
    """

    def __init__(
        self, database: str, seconds: float, seed: int, folder: Path, *, quick: bool = True, least: int = 0
    ) -> None:
        self.seconds, self.folder, self.quick, self.least = seconds, folder, quick, least
        self.dice = random.Random(seed)
        self.book, self.kills = Book(), Counter[str]()
        self.secret_key = secrets.token_hex(16)
        self.traps, self.log = folder / "traps", folder / "failpoints.log"
        self.traps.mkdir()
        self.settled_after: float | None = None
        self.strays = 0  # objects that belong to no success
        self.outages: list[tuple[datetime, datetime]] = []  # of the upstream or the bucket: from, to
        self.skipped: list[str] = []  # faults for which this machine has not the means
        self._places = threading.Lock()  # one outage at a time
        self._over = threading.Event()
        self._seeds = itertools.count(1)
        self._long_outages = itertools.cycle(LONG_OUTAGES)
        self.processes: dict[str, stack.Process] = {}
        self._starts: dict[str, Callable[[], stack.Process]] = {}
        self._guard = threading.Lock()
        stack.adopt_orphans()
        self._seed = seed
        self.upstream, self.ark = LabUpstream(seed), ArkUpstream(seed, ARK_KEY)
        self.database = Sqlite(folder) if database == "sqlite" else Postgres(folder)

    # -- the stack ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything, and create the tenants."""
        ports = stack.seaweedfs_ports(28_000 + os.getpid() % 3000)
        access, secret = ACCESS_KEY, secrets.token_hex(16)
        s3 = self.processes["s3"] = stack.seaweedfs(
            self.folder / "s3", self.folder / "log", ports, access, secret, surroundings.Agent.ACCESS_KEYS
        )
        self.s3_url = f"http://127.0.0.1:{ports[0]}"
        waiting.until_answers(s3, self.s3_url)
        self.proxy = proxy.Proxy("127.0.0.1", ports[0])
        self.agent = surroundings.Agent(secret, self._seed)
        port = stack.free_port(31_000 + os.getpid() % 3000)
        self.url = f"http://127.0.0.1:{port}"
        inherited = {
            name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
        }
        self.env = {
            **inherited,
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings" if self.quick else "seedance_service.settings",
            "VAR_DIR": str(self.folder),
            "DATABASE_URL": self.database.url,
            "SECRET_KEY": self.secret_key,
            "NOVITA_BASE_URL": self.upstream.url,
            "NOVITA_API_KEY": UPSTREAM_KEY,
            "ARK_BASE_URL": self.ark.base_url,
            "ARK_API_KEY": ARK_KEY,
            "UPSTREAM_CALLBACK_URL": self.url,
            "S3_BUCKET": "lab",
            "S3_ENDPOINT_URL": self.s3_url,
            "S3_PUBLIC_URL": self.s3_url,
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "FETCH_ALLOW_HOSTS": ",".join(one.url.removeprefix("http://") for one in (self.upstream, self.ark)),
            **({"SWEEP_SLOTS": "24", "SWEEP_THREADS": "4", "DELIVERY_THREADS": "4"} if self.quick else {}),
            "ADMIN_PASSWORD": secrets.token_hex(8),
            "ALLOWED_HOSTS": "127.0.0.1",
            "PYTHONUNBUFFERED": "1",
        }
        self.keys = {"demo": self._prepare()}
        self.keys["limited"] = self._tenant("limited", "--in-flight", str(LIMITED_TO))
        self.keys["fails"] = self._tenant("fails", "--on-doubt", "fail")
        self.env["S3_ENDPOINT_URL"] = self.proxy.url
        self.secrets = {"S3's secret": secret, "SECRET_KEY": self.secret_key}
        logs = self.folder / "log"
        self.broker = surroundings.Broker(logs, inherited, requested=self.quick and self.database.name == "PostgreSQL")
        self.env |= self.broker.env
        if self.quick:
            self.env |= {"FAILPOINT": f"@{self.traps}", "FAILPOINT_LOG": str(self.log)}
            self.env |= {"SUBMIT_DEADLINE": str(SUBMIT_DEADLINE), "LOST_ANSWER_WAIT": str(LOST_ANSWER_WAIT)}
            self.env |= self.agent.env
            del self.env["AWS_ACCESS_KEY_ID"], self.env["AWS_SECRET_ACCESS_KEY"]
        web = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
        web += ["--workers", "2", "--blocking-threads", "8", "--http", "1", "--no-ws", "--respawn-failed-workers"]
        web += ["--respawn-interval", "0.1", "seedance_service.wsgi:application"]
        self._starts = {
            "web": lambda: stack.Process("web", web, {**self.env, **malloc.tunables(malloc.WEB)}, logs),
            "worker": lambda: stack.worker(logs, self.env),
        }
        if self.quick:
            self._starts |= self._farms(logs)
        for name, begin in self._starts.items():
            self.processes[name] = begin()
        waiting.until_answers(self.processes["web"], f"{self.url}/openapi.json")

    def _farms(self, logs: Path) -> dict[str, Callable[[], stack.Process]]:
        """Return the starts of the farms: one with the right clock, and one whose clock is ahead or behind."""
        farm = [sys.executable, "-m", "tests.faults.farm"]
        starts = {"farm": partial(stack.Process, "farm", [*farm, str(WORKERS), "--operator"], self.env, logs)}
        if not surroundings.FAKETIME:
            self.skipped.append("clocks that differ: libfaketime is not installed")
            return starts
        name, seconds = self.dice.choice([("ahead", 1), ("behind", -1)])
        env = {**self.env, **surroundings.skewed(seconds * surroundings.SKEW_SECONDS)}
        starts[name] = partial(stack.Process, name, [*farm, str(SKEWED_WORKERS)], env, logs)
        return starts

    def _prepare(self) -> str:
        """Run deploy.prepare, and return the API key that it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "deploy.prepare"], cwd=stack.ROOT, env=self.env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    def _tenant(self, *args: str) -> str:
        """Create a tenant, and return its API key."""
        command = [sys.executable, "manage.py", "tenant", "create", *args, "--json"]
        done = subprocess.run(command, cwd=stack.ROOT, env=self.env, capture_output=True, text=True, check=True)
        [key] = re.findall(r'"api_key": "([^"]+)"', done.stdout)
        return str(key)

    def stop(self) -> None:
        """Stop everything."""
        self._over.set()
        with self._guard:
            stack.stop(list(self.processes.values()))
            self.broker.stop()
            self.agent.stop()
            self.proxy.stop()
            self.upstream.stop()
            self.ark.stop()
            self.database.stop()

    def _restart(self) -> None:
        """Restart processes that have ended, as a process manager does."""
        with self._guard:
            for name, begin in self._starts.items():
                if self.processes[name].has_ended() and not self._over.is_set():
                    self.processes[name].kill()
                    old = self.processes[name].log
                    old.rename(old.with_name(f"{old.stem}.{time.monotonic_ns()}.log"))
                    self.kills[f"{name} started again"] += 1
                    self.processes[name] = begin()

    # -- what goes on in it ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run callers, readers and faults for the time. Then wait without faults until all is finished."""
        hurting = threading.Event()
        self.proxy.choose = self._s3_fault
        loops = [(self.create, 4), (self._read, 2), (self._watch_limit, 1)]
        faults = [self._set_traps, self._kill, self._deploy, self._outage, self._hurt_database]
        faults += [self._long_outage, self._fill_disk, self._hurt_broker]
        threads = [threading.Thread(daemon=True, target=self.loop, args=(self._restart, self._over))]
        threads += [threading.Thread(daemon=True, target=self.loop, args=(do, hurting)) for do in faults]
        readers = [
            threading.Thread(daemon=True, target=self.loop, args=(do, self._over))
            for do, n in loops[1:]
            for _ in range(n)
        ]
        creators = [
            threading.Thread(daemon=True, target=self.loop, args=(self.create, hurting)) for _ in range(loops[0][1])
        ]
        began = time.monotonic()
        self.ends = began + self.seconds
        for thread in [*threads, *readers, *creators]:
            thread.start()
        time.sleep(self.seconds)
        while self.rarely_hit() and time.monotonic() < began + PATIENCE * self.seconds:
            time.sleep(1)
        hurting.set()
        self.seconds = time.monotonic() - began
        for thread in [*threads[1:], *creators]:
            thread.join()
        self.upstream.calm = self.ark.calm = self.agent.calm = True
        self.proxy.choose = self.agent.refusal
        for trap in self.traps.iterdir():
            trap.unlink(missing_ok=True)
        self.quiet_at = time.monotonic()
        self.settled_after = self._settled()
        self._over.set()
        for thread in [threads[0], *readers]:
            thread.join()

    def loop(self, do: Callable[[], None], over: threading.Event) -> None:
        """Call `do` again and again until the event."""
        while not over.is_set():
            try:
                do()
            except Exception as error:  # an error of the lab itself is in the report, and ends no fault
                self.book.own_troubles[f"{type(error).__name__} in {do.__name__.strip('_')}"] += 1
                time.sleep(0.5)

    def _settled(self) -> float | None:
        """Return the seconds until all generations are finished and all webhooks delivered; None if some are not."""
        from generations.models import Delivery, Generation

        while time.monotonic() - self.quiet_at < SETTLED_WITHIN:
            with short_connection():
                live = [rows.objects.filter(finished_at=None).exists() for rows in (Generation, Delivery)]
                if not any(live):
                    return time.monotonic() - self.quiet_at
            time.sleep(0.5)
        return None

    def create(self) -> None:
        """Create a generation for one of the tenants, and record the answer."""
        tenant = self.dice.choice(list(self.keys))
        number = next(self._seeds)
        call = Call(tenant, number)
        self.book.calls.append(call)
        content = f"{self.upstream.url}/image.png" if number % 5 == 0 else base64_of(image_bytes())
        body: dict[str, Any] = {"image": content, "resolution": "480p", "seed": number}
        body["prompt"] = f"number {number}"
        path = self.dice.choice(APIS)
        if self.dice.random() < ARK_SHARE:
            path = "/v1/generations"
            body |= {"model": ARK_MODEL, "aspect_ratio": "16:9", "duration": 5}
            if number % 4:  # most let the service draw the seed, which may then find a task in a list
                del body["seed"]
        if number % 8:
            hook = f"{self.upstream.url}/hook"
            body |= {"extra": {"webhook": {"url": hook}}} if path.startswith("/v3/") else {"webhook_url": hook}
        headers = {"Authorization": f"Bearer {self.keys[tenant]}", "Idempotency-Key": f"number {number}"}
        for _ in range(TRIES):  # a caller without an answer tries again, with the same key
            try:
                answer = httpx.post(self.url + path, json=body, headers=headers, timeout=30)
                break
            except httpx.HTTPError as error:
                self.book.answers[f"create: {type(error).__name__}"] += 1
                time.sleep(1)
        else:
            return
        replayed = " replayed" if "Idempotent-Replayed" in answer.headers else ""
        self.book.answers[f"create: {answer.status_code}{replayed}"] += 1
        if answer.is_success:
            fields = answer.json()
            call.id = fields.get("id") or fields["task_id"]
            call.seed = fields.get("seed", call.seed)
        elif answer.status_code not in (429, 503):
            self.book.wrong.append(f"a create was answered with {answer.status_code}: {answer.text[:200]}")
        time.sleep(self.dice.uniform(0.3, 0.9))

    def _read(self) -> None:
        """Read a generation as its caller: the video must be that of its seed, and a final status must stay."""
        calls = self.book.acked()
        if not calls:
            time.sleep(0.2)
            return
        call = self.dice.choice(calls[-60:] if self.dice.random() < 0.8 else calls)
        headers = {"Authorization": f"Bearer {self.keys[call.tenant]}"}
        try:
            answer = httpx.get(f"{self.url}/v1/generations/{call.id}", headers=headers, timeout=30)
        except httpx.HTTPError as error:
            self.book.answers[f"read: {type(error).__name__}"] += 1
            time.sleep(0.3)
            return
        self.book.answers[f"read: {answer.status_code}"] += 1
        if answer.is_success:
            self._check_row(call, answer.json())
        elif answer.status_code != 503:
            self.book.wrong.append(f"a read of {call.id} was answered with {answer.status_code}: {answer.text[:200]}")
        time.sleep(0.05)

    def _check_row(self, call: Call, row: dict[str, Any]) -> None:
        """Compare a row as read with what its caller knows."""
        if row["seed"] != call.seed:
            self.book.wrong.append(f"{call.id} has another seed")
        if call.ended and row["status"] != call.ended:
            self.book.wrong.append(f"{call.id} was {call.ended}, and is {row['status']} now")
        first = row["finished_at"] and not call.ended
        if row["finished_at"]:
            call.ended = row["status"]
        if row["status"] == "succeeded" and (first or self.dice.random() < 0.1):
            self._check_served(call, row["video"]["url"])

    def _check_served(self, call: Call, url: str) -> None:
        """Compare the served video with the video of the seed."""
        import hashlib

        content = httpx.get(url, timeout=30).raise_for_status().content
        self.book.served += 1
        if hashlib.sha256(content).hexdigest() != sha256_of(call.seed):
            self.book.wrong.append(f"{call.id} was served with wrong bytes ({len(content)})")

    def _watch_limit(self) -> None:
        """Record the highest number of generations in flight of the limited tenant."""
        from generations.models import Generation

        with short_connection():
            live = Generation.objects.filter(tenant__name="limited", finished_at=None).count()
        self.book.most_in_flight = max(self.book.most_in_flight, live)
        time.sleep(0.1)

    def counts(self, name: str) -> Counter[int]:
        """Return `created` or `received` by seed, of all accounts and wires together."""
        counts: list[Counter[int]] = [
            getattr(one, name) for one in (self.upstream, self.upstream.metered, self.ark.tasks)
        ]
        return sum(counts, Counter())

    def seed_of(self, upstream_id: str) -> int | None:
        """Return the seed of a task of any account and wire; None if no upstream has created it."""
        for tasks in (self.upstream.tasks, self.upstream.metered.by_id, self.ark.tasks.by_id):
            if upstream_id in tasks:
                return int(tasks[upstream_id].seed)
        return None

    # -- what hurts --------------------------------------------------------------------------------------------------

    def hits(self) -> list[str]:
        """Return the failpoints that were hit, each with its act and process."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def rarely_hit(self) -> dict[str, int]:
        """Return the failpoints that were hit less than `least` times, with their counts."""
        counts = Counter(line.split()[0] for line in self.hits())
        return {name: counts[name] for name in NAMES if counts[name] < self.least}

    def _set_traps(self) -> None:
        """Set a trap at every failpoint, some thirty times in the time of the lab. After that, set only missing traps.

        The traps at the start of a copy kill most copies that would reach the traps at its end.
        """
        over = time.monotonic() > self.ends
        for name in self.rarely_hit() if over else NAMES:
            trap = self.traps / name
            if not trap.exists():
                new = trap.with_suffix(".new")
                new.write_text(self.dice.choice(WEB_ACTS if name.startswith("accept") else ACTS))
                new.rename(trap)
        time.sleep(max(self.seconds / 32, LAID_EVERY) if not over else 1)

    def _kill(self) -> None:
        """Kill one process of any kind, or freeze it for a while."""
        time.sleep(self.dice.uniform(1.0, 4.0))
        name = self.dice.choice(["web", "worker", "worker", self._any_farm()])
        family = descendants(self.processes[name].pid)
        if name == "worker" and self.dice.random() < 0.1:
            family = {self.processes[name].pid}  # the supervisor itself
        if not family:
            return
        pid = self.dice.choice(sorted(family))
        try:
            if self.dice.random() < 0.25:
                self.kills[f"{name} frozen"] += 1
                os.kill(pid, signal.SIGSTOP)
                time.sleep(3)
                os.kill(pid, signal.SIGCONT)
            else:
                self.kills[f"{name} killed"] += 1
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _deploy(self) -> None:
        """Restart a process as a deploy does: SIGTERM, and SIGKILL ten seconds later."""
        time.sleep(self.dice.uniform(12, 20))
        name = self.dice.choice(["web", "worker"])
        process = self.processes[name]
        process.terminate()
        ends = time.monotonic() + GRACE
        while not process.has_ended() and time.monotonic() < ends:
            time.sleep(0.1)
        self.kills[f"{name} deployed" if process.has_ended() else f"{name} deployed, killed after {GRACE:.0f} s"] += 1
        process.kill()

    def _outage(self) -> None:
        """Take the upstream or S3 down for a while."""
        time.sleep(self.dice.uniform(10, 20))
        place = self.dice.choice([self.upstream, self.ark, self.proxy])
        self._hold(place.down, place.up, self.dice.uniform(0.5, 4))

    def _hold(self, begin: Callable[[], None], end: Callable[[], None], seconds: float) -> None:
        """Let an outage last for so long. There is one at a time."""
        with self._places:
            began = datetime.now(UTC)
            begin()
            time.sleep(seconds)
            end()
            self.outages.append((began, datetime.now(UTC)))

    def _long_outage(self) -> None:
        """Let upstreams refuse our account, or be away, or the bucket, for longer than SUBMIT_DEADLINE."""
        time.sleep(self.dice.uniform(12, 24))
        kind = next(self._long_outages)
        names = self.dice.choice([["novita"], ["ark"], ["novita", "ark"]])
        places: list[Any] = [{"novita": self.upstream, "ark": self.ark}[name] for name in names]
        if kind == "bucket away":
            names, places = [], [self.proxy]
        is_away = kind.endswith("away")
        begins = [place.down if is_away else partial(place.refuse, kind) for place in places]
        ends = [place.up if is_away else partial(place.refuse, "") for place in places]
        self.kills[f"long outage: {' '.join([kind, *names])}"] += 1
        self._hold(lambda: _call_all(begins), lambda: _call_all(ends), SUBMIT_DEADLINE * self.dice.uniform(1.3, 1.6))

    def _fill_disk(self) -> None:
        """Fill the disk under one process for a while."""
        time.sleep(self.dice.uniform(4, 10))
        name = self.dice.choice(["web", "worker", self._any_farm()])
        family = sorted(descendants(self.processes[name].pid))
        if not family:  # killed a moment ago
            return
        with surroundings.full_disk(self.dice.choice(family)):
            self.kills[f"{name}: disk full"] += 1
            time.sleep(self.dice.uniform(0.5, 3))

    def _any_farm(self) -> str:
        return self.dice.choice([name for name in self.processes if name in ("farm", "ahead", "behind")])

    def _hurt_broker(self) -> None:
        """Inject a fault into the broker."""
        time.sleep(self.dice.uniform(6, 12))
        self.broker.hurt(self.dice)

    def _hurt_database(self) -> None:
        """Inject a fault into the database."""
        time.sleep(self.dice.uniform(5, 12))
        self.database.hurt(self.dice)

    def _s3_fault(self, request: proxy.Request) -> Any:
        """Return a fault for some requests to S3, and None for the others."""
        if refusal := self.agent.refusal(request):
            return refusal
        if self.dice.random() >= 0.08:
            return None
        busy = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
        kinds: list[Any] = [
            proxy.Reset(),
            proxy.ResetInBody(20_000),
            proxy.Answer(503, busy, {"Content-Type": "application/xml"}),
            proxy.Answer(500, b"", {}),
            proxy.Answer(403, b"<Error><Code>RequestTimeTooSkewed</Code></Error>", {"Content-Type": "application/xml"}),
            proxy.AnswerAfter(500, b"", {}),
            proxy.LoseAnswer(),
            proxy.CutAnswer(1000),
            proxy.ResetAnswer(1000),
            proxy.Delay(1.5),
            proxy.FlipBit(),
        ]
        return self.dice.choice(kinds)


def _call_all(calls: list[Callable[[], None]]) -> None:
    for call in calls:
        call()


def descendants(pid: int) -> set[int]:
    """Return the ids of all processes below that one."""
    pids: set[int] = set()
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = {int(child) for child in tasks.read_text().split()}
        except OSError:
            continue
        pids |= children.union(*(descendants(child) for child in children))
    return pids


@contextmanager
def short_connection() -> Iterator[None]:
    """Close the connection after the block: the server may be gone before the next use."""
    from django.db import connection

    try:
        yield
    finally:
        connection.close()
