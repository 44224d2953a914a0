"""`make run` as a process on a folder of its own, for the tests that need the whole product."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from deploy import stack

ROOT = Path(__file__).parents[2]
TTL = 4  # seconds that a signed URL lives, unless a test says otherwise


class MakeRun:
    """`make run`'s own process on a folder of its own."""

    def __init__(self, var: Path, port: int, **env: str) -> None:
        self.var, self.port, self.url = var, port, f"http://127.0.0.1:{port}"
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")}
        self.env = {**kept, "VAR_DIR": str(var), "PORT": str(port), "SANDBOX_SECONDS": "1", **env}
        self.process = subprocess.Popen(
            [sys.executable, "deploy/run.py"],
            cwd=ROOT,
            env={"SIGNED_URL_TTL": str(TTL), **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""

    def wait_until_ready(self) -> "MakeRun":
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if "Ctrl-C stops everything" in line:
                return self
        self.process.communicate(timeout=40)
        raise AssertionError(f"it ended with {self.process.returncode}:\n{self.output}")

    def printed(self, name: str) -> str:
        [value] = re.findall(rf"^  {name} +(\S+)", self.output, re.MULTILINE)
        return str(value)

    def stop(self, number: int = signal.SIGINT) -> float:
        """Seconds until it has ended."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.output += self.process.communicate(timeout=40)[0]
        return time.monotonic() - started

    def pids(self) -> dict[int, str]:
        """Every process that was started with this folder: its command line by its id."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"VAR_DIR={self.var}\0".encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it has ended meanwhile
        return found

    def manage(self, *args: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "manage.py", *args]
        return subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)

    def login(self) -> tuple[str, str]:
        """The panel's printed user and password."""
        [found] = re.findall(r"/admin/ +(\S+) / (\S+)", self.output)
        return found

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.printed('API key')}"})

    def submits(self) -> list[dict[str, Any]]:
        """What the upstream itself says was paid for."""
        answer = httpx.get(f"{self.printed('Upstream')}/sandbox/tasks")
        tasks: list[dict[str, Any]] = answer.json()["tasks"]
        return tasks


def free_port() -> int:
    # Ten apart: the sandbox of one process's stack has the next port, and two processes start at once.
    return stack.free_port(10_000 + os.getpid() % 600 * 10)
