"""Start, watch and stop the processes of a local stack, and leave none behind. It needs only the standard library."""

import ctypes
import functools
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from deploy import malloc
from generations.worker.processes import die_with_parent

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
SERVICE = "seedance_service.wsgi:application"
# Seconds after which the group of a process that does not stop is killed. The worker finishes steps for 8 s.
MAX_STOP_SECONDS, MAX_WORKER_STOP_SECONDS = 5.0, 15.0
SIGTERM_INTERVAL_SECONDS = 1.0
STOP_CHECK_SECONDS = 0.1  # between two looks at a process that is to stop
GRPC_OFFSET = 10_000  # SeaweedFS also takes each of its ports plus this number, for gRPC
PR_SET_CHILD_SUBREAPER = 36  # Linux, prctl(2)


class StackError(Exception):
    """The stack cannot start or go on; the message is a sentence for the person who typed the command."""


class Process:
    """A child process in its own process group, which ends with its parent and writes its output to a log file."""

    running: ClassVar[set[int]] = set()  # ids of the processes that `kill` has not ended yet

    def __init__(
        self,
        name: str,
        command: list[str],
        env: Mapping[str, str],
        logs: Path,
        stop_seconds: float = MAX_STOP_SECONDS,
        orphan_signal: int = signal.SIGTERM,
    ) -> None:
        self.name, self.log, self._stop_seconds = name, logs / f"{name}.log", stop_seconds
        logs.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            self.log.rename(self.log.with_suffix(".log.1"))  # the log of the start before says why that one ended
        with self.log.open("wb") as out:
            self._child = subprocess.Popen(
                command,
                cwd=ROOT,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C goes to the parent alone, which stops its children in order
                preexec_fn=functools.partial(die_with_parent, orphan_signal),
            )
        self.running.add(self.pid)

    @property
    def pid(self) -> int:
        """Return the process id, which is also the id of the process group."""
        return self._child.pid

    def has_ended(self) -> bool:
        """Return whether the process has ended."""
        return self._child.poll() is not None

    def listens_on(self, port: int) -> bool:
        """Return whether a process of this group listens on the port. Another program's answer proves nothing."""
        sockets = set()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if os.getpgid(int(folder.name)) == self.pid:
                    sockets |= {os.readlink(fd) for fd in (folder / "fd").iterdir()}
            except OSError:
                continue  # the process has just ended
        return not sockets.isdisjoint(_listening_sockets(port))

    def terminate(self) -> None:
        """Send SIGTERM, unless the process has ended."""
        if not self.has_ended():
            self._child.terminate()

    def kill(self) -> None:
        """Kill the whole process group, so that none of its processes is left."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            self._child.wait()
            self.running.discard(self.pid)

    def wait(self, terminated_at: float, is_hurried: Callable[[], bool]) -> None:
        """Wait for the end. Kill the group if the process takes longer than its stop time, or once `is_hurried`.

        `terminated_at` is the time of the first SIGTERM by the monotonic clock, in seconds.
        """
        ends, next_signal = terminated_at + self._stop_seconds, terminated_at + SIGTERM_INTERVAL_SECONDS
        while not self.has_ended() and time.monotonic() < ends and not is_hurried():
            try:
                self._child.wait(STOP_CHECK_SECONDS)
            except subprocess.TimeoutExpired:
                if time.monotonic() >= next_signal:
                    self.terminate()  # a process that was just starting may have missed the first signal
                    next_signal += SIGTERM_INTERVAL_SECONDS
        if not self.has_ended():
            print(f"{self.name} does not stop; it is killed.", file=sys.stderr)
        self.kill()

    def log_tail(self) -> str:
        """Return the last 15 lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


def adopt_orphans() -> None:
    """Make this process the parent of processes whose own parent is killed, so that `stop` finds them."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def stop(processes: list[Process], *, is_hurried: Callable[[], bool] = lambda: False, alone: bool = False) -> None:
    """Stop all processes at once, the last started first. Then kill the children that killed processes left.

    `alone`: this program has no other child that may go on, so that it leaves none at all. A signal may have stopped it
    between the start of a process and the moment in which it took note of that.
    """
    for process in reversed(processes):
        process.terminate()
    terminated_at = time.monotonic()
    for process in reversed(processes):
        process.wait(terminated_at, is_hurried)
    while orphans := _children() - (set() if alone else Process.running):
        for pid in orphans:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _children() -> set[int]:
    """Return the ids of this process's children."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for children in lists for pid in children.read_text().split()}


def is_free(port: int) -> bool:
    """Return whether a program can listen on the port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(first: int) -> int:
    """Return the first free port from `first` on, or else from 1024 on. Raise StackError if there is none."""
    for port in itertools.chain(range(first, 65536), range(1024, first)):
        if is_free(port):
            return port
    raise StackError("There is no free port.")


def seaweedfs_ports(first: int, *, but: int = 0) -> list[int]:
    """Return five free ports from `first` on, except `but`, whose ports for gRPC are free too."""
    ports: list[int] = []
    for port in range(first, 65536 - GRPC_OFFSET):
        if but not in (port, port + GRPC_OFFSET) and is_free(port) and is_free(port + GRPC_OFFSET):
            ports.append(port)
        if len(ports) == 5:
            return ports
    raise StackError(f"There are no five free ports from {first} on for the local S3.")


def _listening_sockets(port: int) -> set[str]:
    """Return the sockets that listen on a port, as /proc/PID/fd names them. proc(5) explains /proc/net/tcp."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}


def seaweedfs(
    folder: Path, logs: Path, ports: list[int], access_key: str, secret_key: str, more_access_keys: Sequence[str] = ()
) -> Process:
    """Start a local S3 on port `ports[0]` of 127.0.0.1, which stores its objects in `folder`.

    It takes all access keys, with the one secret.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "identities.json"
    config.touch(0o600)
    credentials = [{"accessKey": one, "secretKey": secret_key} for one in (access_key, *more_access_keys)]
    config.write_text(json.dumps({"identities": [{"name": "local", "credentials": credentials, "actions": ["Admin"]}]}))
    command = [str(BIN / "weed"), "-logtostderr=true", "mini", f"-dir={folder}", f"-s3.config={config}"]
    command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=10000"]
    parts = ("s3", "master", "filer", "volume", "admin")
    command += [f"-{part}.port={port}" for part, port in zip(parts, ports, strict=True)]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"]
    command += ["-master.telemetry=false"]  # SeaweedFS sends no statistics to its makers
    # It may hang after a SIGTERM, so it is killed if this program is.
    return Process("s3", command, os.environ, logs, MAX_STOP_SECONDS, signal.SIGKILL)


def sandbox(folder: Path, logs: Path, port: int, seconds: float, env: Mapping[str, str]) -> Process:
    """Start the sandbox upstream. A task takes at least `seconds`."""
    command = [sys.executable, "-m", "deploy.sandbox", f"--port={port}", f"--dir={folder}", f"--seconds={seconds}"]
    return Process("sandbox", command, env, logs)


def web(port: int, static: Path, logs: Path, env: Mapping[str, str], application: str = SERVICE) -> Process:
    """Start one web process, which also serves the files in `static`."""
    # As a module: the first line of .venv/bin/granian names the folder of its installation, which may have moved since.
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--blocking-threads", "32", "--http", "1", "--no-ws"]
    command += ["--respawn-failed-workers"]  # a worker that the kernel killed must not end the others
    command += ["--static-path-mount", str(static), application]
    metrics = Path(env.get("METRICS_DIR") or Path(env["VAR_DIR"], "metrics"))
    # Counters of the run before; a file that cannot be removed stays.
    shutil.rmtree(metrics / "web", ignore_errors=True)
    return Process("web", command, {**env, **malloc.tunables(malloc.WEB)}, logs)


def worker(logs: Path, env: Mapping[str, str]) -> Process:
    """Start the worker's supervisor with its cluster."""
    command = [sys.executable, "manage.py", "worker"]
    return Process("worker", command, {**env, **malloc.tunables(malloc.WORKER)}, logs, MAX_WORKER_STOP_SECONDS)
