"""The processes of a local stack: started together, watched, and stopped without leaving one behind."""

import ctypes
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from generations.worker.processes import die_with_parent

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
STOP_WITHIN, WORKER_STOPS_WITHIN = 5.0, 15.0  # seconds, then the process group is killed; the worker drains for 8
ASK_AGAIN = 1.0  # seconds
READY_WITHIN = 60.0  # seconds
MALLOC_TUNABLES = (
    "glibc.malloc.hugetlb=1",
    "glibc.malloc.mmap_threshold=8388608",  # bytes
    "glibc.malloc.trim_threshold=33554432",  # bytes
    "glibc.malloc.arena_max=4",
)
GRPC = 10_000  # SeaweedFS takes each of its ports once more, this much higher
PR_SET_CHILD_SUBREAPER = 36  # Linux, prctl(2)


class StackError(Exception):
    """A sentence for the person who typed the command."""


class Process:
    """A child in a process group of its own, which ends with its parent; its output goes to a log file."""

    running: ClassVar[set[int]] = set()  # pids of those that `kill` has not seen to their end

    def __init__(
        self, name: str, command: list[str], env: Mapping[str, str], logs: Path, stops_within: float = STOP_WITHIN
    ) -> None:
        self.name, self.log, self._stops_within = name, logs / f"{name}.log", stops_within
        logs.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            self.log.rename(self.log.with_suffix(".log.1"))  # of the start before: why it ended stands there
        with self.log.open("wb") as out:
            self._child = subprocess.Popen(
                command,
                cwd=ROOT,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C goes to the parent alone, which stops its children in order
                preexec_fn=die_with_parent,
            )
        self.running.add(self.pid)

    @property
    def pid(self) -> int:
        return self._child.pid

    def has_ended(self) -> bool:
        return self._child.poll() is not None

    def listens_on(self, port: int) -> bool:
        """Whether it, or a process of its group, is the one that listens there: a stranger's answer proves nothing."""
        ours = set()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if os.getpgid(int(folder.name)) == self.pid:
                    ours |= {os.readlink(fd) for fd in (folder / "fd").iterdir()}
            except OSError:
                continue  # it has ended meanwhile
        return not ours.isdisjoint(_listening_sockets(port))

    def ask_to_stop(self) -> None:
        if not self.has_ended():
            self._child.terminate()

    def kill(self) -> None:
        """The whole group, so that nothing of it is left."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            self._child.wait()
            self.running.discard(self.pid)

    def wait(self, asked: float) -> None:
        """Until it has ended, or its time since the monotonic clock's `asked` is over; then its group is killed."""
        ends = asked + self._stops_within
        while not self.has_ended() and time.monotonic() < ends:
            try:
                self._child.wait(min(ASK_AGAIN, max(ends - time.monotonic(), 0)))
            except subprocess.TimeoutExpired:
                self.ask_to_stop()  # one that was just starting may have missed the first
        if not self.has_ended():
            print(f"{self.name} does not stop; it is killed.", file=sys.stderr)
        self.kill()

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


def adopt_orphans() -> None:
    """From now on a process whose parent was killed becomes this process's child, and `stop` finds it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def stop(processes: list[Process]) -> None:
    """All of them at once, the last started first; then whatever a killed one among them left."""
    for process in reversed(processes):
        process.ask_to_stop()
    asked = time.monotonic()
    for process in reversed(processes):
        process.wait(asked)
    while orphans := _children() - Process.running:
        for pid in orphans:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _children() -> set[int]:
    """This process's children, as /proc knows them."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for children in lists for pid in children.read_text().split()}


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(first: int) -> int:
    """The first free port from `first` on, or else from 1024 on."""
    for port in itertools.chain(range(first, 65536), range(1024, first)):
        if is_free(port):
            return port
    raise StackError("There is no free port.")


def seaweedfs_ports(first: int, *, but: int = 0) -> list[int]:
    """Five free ports from `first` on, none of them `but`, whose twins for gRPC are free too."""
    found: list[int] = []
    for port in range(first, 65536 - GRPC):
        if but not in (port, port + GRPC) and is_free(port) and is_free(port + GRPC):
            found.append(port)
        if len(found) == 5:
            return found
    raise StackError(f"There are no five free ports from {first} on for the local S3.")


def _listening_sockets(port: int) -> set[str]:
    """As /proc/PID/fd names them. Source of the columns: proc(5), /proc/net/tcp."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}


def wait_until_answers(process: Process, url: str) -> None:
    """Until the process itself answers there over HTTP, be it an error. Raises StackError where it ends before."""
    ends = time.monotonic() + READY_WITHIN
    while time.monotonic() < ends:
        if process.has_ended():
            raise StackError(f"{process.name} ended at its start. Its last words:\n{process.last_words()}")
        if process.listens_on(urlsplit(url).port or 80) and _answers(url):
            return
        time.sleep(0.05)
    raise StackError(f"{process.name} does not answer at {url}. Its last words:\n{process.last_words()}")


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


def seaweedfs(folder: Path, logs: Path, ports: list[int], access_key: str, secret_key: str) -> Process:
    """A local S3 at 127.0.0.1, port `ports[0]`, that keeps its objects in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "identities.json"
    config.touch(0o600)
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    config.write_text(json.dumps({"identities": [{"name": "local", "credentials": credentials, "actions": ["Admin"]}]}))
    command = [str(BIN / "weed"), "-logtostderr=true", "mini", f"-dir={folder}", f"-s3.config={config}"]
    command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=10000"]
    parts = ("s3", "master", "filer", "volume", "admin")
    command += [f"-{part}.port={port}" for part, port in zip(parts, ports, strict=True)]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"]
    command += ["-master.telemetry=false"]  # nothing is told to anybody
    return Process("s3", command, os.environ, logs)


def sandbox(folder: Path, logs: Path, port: int, seconds: float, env: Mapping[str, str]) -> Process:
    command = [sys.executable, "-m", "deploy.sandbox", f"--port={port}", f"--dir={folder}", f"--seconds={seconds}"]
    return Process("sandbox", command, env, logs)


def malloc_tunables() -> dict[str, str]:
    """Return how glibc's malloc behaves in a web process, as deploy/Procfile sets it too.

    A body of megabytes comes in pages of 2 MB, where the system has such. A block above 8 MiB goes back to the system
    as soon as it is freed: glibc would raise this size to 32 MB by itself, and keep an image of 30 MB for each thread.
    Smaller blocks stay in an arena, whose free end is kept up to 32 MiB for the next request: the bodies of two images
    of 5 MB at once. New pages would have to be cleared, which takes a millisecond for a few MB. Threads share 4 arenas.
    What GLIBC_TUNABLES says already comes last, and so overrides these.
    Source: https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html.
    """
    return {"GLIBC_TUNABLES": ":".join(filter(None, [*MALLOC_TUNABLES, os.environ.get("GLIBC_TUNABLES")]))}


def web(port: int, static: Path, logs: Path, env: Mapping[str, str]) -> Process:
    command = [str(BIN / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--blocking-threads", "32", "--http", "1", "--no-ws"]
    command += ["--respawn-failed-workers"]  # one that the kernel killed must not end the others
    command += ["--static-path-mount", str(static), "seedance_service.wsgi:application"]
    metrics = Path(env.get("METRICS_DIR") or Path(env["VAR_DIR"], "metrics"))
    shutil.rmtree(metrics / "web", ignore_errors=True)  # of the run before; what can not be removed is gone on with
    return Process("web", command, {**env, **malloc_tunables()}, logs)


def worker(logs: Path, env: Mapping[str, str]) -> Process:
    return Process("worker", [sys.executable, "manage.py", "worker"], env, logs, WORKER_STOPS_WITHIN)
