"""Starts `make run` on a folder of its own, for the tests that need the whole product."""

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
SIGNED_URL_TTL = 4  # seconds that a signed URL is valid, unless a test sets another time


class MakeRun:
    """A process of `make run`, with a folder and ports of its own."""

    def __init__(self, var: Path, port: int, **env: str) -> None:
        self.var, self.port, self.url = var, port, f"http://127.0.0.1:{port}"
        inherited = {
            name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
        }
        self.env = {**inherited, "VAR_DIR": str(var), "PORT": str(port), "SANDBOX_SECONDS": "1", **env}
        self.process = subprocess.Popen(
            [sys.executable, "deploy/run.py"],
            cwd=ROOT,
            env={"SIGNED_URL_TTL": str(SIGNED_URL_TTL), **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""

    def wait_until_ready(self) -> "MakeRun":
        """Read the output until everything runs. Raise AssertionError if the process ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if "Ctrl-C stops everything" in line:
                return self
        self.process.communicate(timeout=40)
        raise AssertionError(f"it ended with {self.process.returncode}:\n{self.output}")

    def printed(self, name: str) -> str:
        """Return the value that was printed beside a name, such as "API key"."""
        [value] = re.findall(rf"^  {name} +(\S+)", self.output, re.MULTILINE)
        return str(value)

    def stop(self, number: int = signal.SIGINT) -> float:
        """Send a signal, wait for the end and return how many seconds that took."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.output += self.process.communicate(timeout=40)[0]
        return time.monotonic() - started

    def pids(self) -> dict[int, str]:
        """Return the command line of every process that was started with this folder, by process id."""
        processes = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"VAR_DIR={self.var}\0".encode() in (folder / "environ").read_bytes():
                    processes[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # the process has ended since
        return processes

    def manage(self, *args: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of manage.py with the environment of this process."""
        command = [sys.executable, "manage.py", *args]
        return subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)

    def login(self) -> tuple[str, str]:
        """Return the printed user and password of the panel."""
        [login] = re.findall(r"/admin/ +(\S+) / (\S+)", self.output)
        return login

    def http(self) -> httpx.Client:
        """Return a client that uses the printed API key."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.printed('API key')}"})

    def submits(self) -> list[dict[str, Any]]:
        """Return the tasks that the sandbox, as the upstream, has accepted."""
        answer = httpx.get(f"{self.printed('Upstream')}/sandbox/tasks")
        tasks: list[dict[str, Any]] = answer.json()["tasks"]
        return tasks


def free_port() -> int:
    """Return a free port for a stack; the sandbox of the stack has the next one."""
    # Processes of the test run begin ten ports apart, since two of them may start a stack at once.
    return stack.free_port(10_000 + os.getpid() % 600 * 10)
