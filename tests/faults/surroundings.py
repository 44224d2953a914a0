"""What stands around the service in the lab, and hurts it: a broker, an agent that gives credentials, other clocks."""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from deploy import stack
from tests.faults import proxy

SESSION_SECONDS = 20.0  # of the credentials that the agent gives
SKEW_SECONDS = 8.0  # of a host's clock; longer than most leases of the lab
DISK_BYTES = 200_000  # of a file, while the disk is full: less than a video
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


class Agent:
    """The agent of a container: credentials that end soon. It knows which of its sessions have ended, as S3 does.

    Some answers are an error, come late, or repeat the session before. A session is known by its access key, since
    SeaweedFS takes no token that it has not made itself.
    """

    ACCESS_KEYS = [f"lab-session-{number}" for number in range(500)]

    def __init__(self, secret: str, seed: int) -> None:
        self.calm = False
        self.faults: Counter[str] = Counter()
        self._secret, self._dice, self._lock = secret, random.Random(seed), threading.Lock()
        self._ends: dict[str, datetime] = {}  # of each session, by its access key
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _agents_handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.env = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{self._server.server_address[1]}/",
            "AWS_METADATA_SERVICE_TIMEOUT": "2",
            "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "1",
        }

    def draw(self) -> str:
        """Draw a fault; "" for none."""
        with self._lock:
            kind = "" if self.calm or self._dice.random() > 0.2 else self._dice.choice(["error", "late", "old session"])
            if kind:
                self.faults[kind] += 1
            return kind

    def session(self, *, old: bool) -> dict[str, str]:
        """Return credentials as the agent's JSON has them."""
        with self._lock:
            now, half = datetime.now(UTC), timedelta(seconds=SESSION_SECONDS / 2)
            if not self._ends or max(self._ends.values()) < now + half:
                self._ends[self.ACCESS_KEYS[len(self._ends)]] = now + 2 * half
            *_, before, last = [("", now), *self._ends.items()]
            access, ends = before if old and before[0] else last
        facts = {"AccessKeyId": access, "SecretAccessKey": self._secret, "Token": ""}
        return {**facts, "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def refusal(self, request: proxy.Request) -> proxy.Answer | None:
        """Return S3's answer to a request of a session that has ended; None for all others."""
        access = request.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
        if access not in self._ends or self._ends[access] > datetime.now(UTC):
            return None
        self.faults["session ended"] += 1
        return proxy.Answer(403, b"<Error><Code>ExpiredToken</Code></Error>", {"Content-Type": "application/xml"})

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


def _agents_handler(agent: Agent) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind = agent.draw()
            if kind == "late":
                time.sleep(1)
            body = json.dumps(agent.session(old=kind == "old session")).encode()
            self.send_response(500 if kind == "error" else 200)
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # a late answer, or the lab has killed who asked
                self.wfile.write(b"{}" if kind == "error" else body)

        def log_message(self, *args: Any) -> None:
            """Print nothing."""

    return Handler


class Broker:
    """A Redis that loses its messages, or falls silent. Without Redis on this machine, the database is the broker."""

    def __init__(self, logs: Path, env: dict[str, str], *, requested: bool) -> None:
        program = shutil.which("redis-server")
        self.name = "Redis" if requested and program else "the database"
        self.skipped = "redis-server is not installed" if requested and not program else ""
        self.faults: Counter[str] = Counter()
        self.env: dict[str, str] = {}
        self._process: stack.Process | None = None
        if requested and program:
            port = stack.free_port(34_000 + os.getpid() % 900)
            self.env = {"BROKER_URL": f"redis://127.0.0.1:{port}/0"}
            command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(logs)]
            self._begin = lambda: stack.Process("redis", command, env, logs)
            self._process = self._begin()

    def hurt(self, dice: random.Random) -> None:
        """Lose the broker with its messages, or let it be silent, for a while."""
        if self._process is None:
            return
        if dice.random() < 0.5:
            self.faults["broker lost"] += 1
            self._process.kill()
            time.sleep(dice.uniform(0.5, 4))
            self._process = self._begin()
        else:
            self.faults["broker silent"] += 1
            os.kill(self._process.pid, signal.SIGSTOP)
            time.sleep(dice.uniform(1, 5))
            os.kill(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop the broker."""
        if self._process:
            self._process.kill()


def skewed(seconds: float) -> dict[str, str]:
    """Return the environment of a host whose clock is ahead by so much, or behind. It needs libfaketime."""
    return {"LD_PRELOAD": str(FAKETIME[-1]), "FAKETIME": f"{seconds:+}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@contextmanager
def full_disk(pid: int) -> Iterator[None]:
    """Let the process write no file beyond DISK_BYTES, as on a disk that is full."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (DISK_BYTES, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
