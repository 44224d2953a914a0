"""The files in which processes count: no count is lost or doubled, and no fault of a file stops a process."""

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.multiprocess import MultiProcessCollector

from generations.telemetry import metric_files

pytestmark = pytest.mark.one_database

PROGRAM = """
import os, sys
import django; django.setup()
from generations.telemetry import metrics

def count(number):
    metrics.ACCEPTED.labels("live", "other").inc(number)
    metrics.WAITERS.set(3)
    print(os.getpid(), flush=True)

count(int(sys.argv[1]))
for line in sys.stdin:  # each line starts a forked child, which lives as long as its parent
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(write)
        count(int(line))
        os.read(read, 1)
        os._exit(0)
"""
Process = subprocess.Popen[str]
Start = Callable[..., Process]


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    """Return a host's METRICS_DIR."""
    settings.METRICS_DIR = tmp_path / "metrics"
    return tmp_path / "metrics"


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Return a function that starts a process of a role, and returns it once it has counted that number.

    The process sets WAITERS to 3, and lives until its standard input ends.
    """
    running: list[Process] = []

    def start(count: int, role: str = "web") -> Process:
        """Start a process. Without a role the process counts in memory."""
        env = {**os.environ, "METRICS_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "seedance_service.settings"}
        del env[metric_files.FOLDER_VARIABLE]
        if role:
            env[metric_files.FOLDER_VARIABLE] = str(folder / role)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(count)], env=env, text=True, **pipes)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == f"{process.pid}\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def kill(process: Process) -> str:
    """Kill the process, as the kernel would. Return what it had written to its log."""
    process.kill()
    return process.communicate()[1]


def read_counts() -> tuple[float, float]:
    """Return the accepted generations and the waiting requests that a scrape of the host reports."""
    sums = {metric.name: sum(sample.value for sample in metric.samples) for metric in metric_files.read()}
    return sums.get("seedance_accepted", 0), sums.get("seedance_waiters", 0)


def count_files(folder: Path, kind: str = "counter") -> int:
    """Return the number of files of that kind, over all roles."""
    return len(list(folder.glob(f"*/{kind}_*.db")))


def test_the_counts_of_ended_processes_stay_and_their_gauges_do_not(start: Start, folder: Path) -> None:
    first = start(5)
    start(7, role="worker")
    assert read_counts() == (12, 6)
    kill(first)
    assert read_counts() == (12, 3)  # an ended process has no waiting requests


def test_there_are_never_more_files_than_processes_at_once(start: Start, folder: Path) -> None:
    beside = start(1)
    for _ in range(3):
        kill(start(1))
    assert read_counts() == (4, 3)
    assert (count_files(folder), count_files(folder, "histogram")) == (2, 2)
    kill(beside)
    start(1)
    start(1)
    assert read_counts() == (6, 6)
    assert (count_files(folder), count_files(folder, "histogram")) == (2, 2)


def test_a_role_never_continues_with_the_counts_of_another(start: Start, folder: Path) -> None:
    kill(start(5, role="worker"))
    start(1)
    assert [len(list((folder / role).glob("counter_*.db"))) for role in ("web", "worker")] == [1, 1]
    assert read_counts() == (6, 3)


def test_a_forked_child_counts_in_its_own_file(start: Start, folder: Path) -> None:
    parent = start(5)
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write("2\n")
    parent.stdin.flush()
    child = int(parent.stdout.readline())
    assert child != parent.pid
    assert read_counts() == (7, 6)
    assert {file.name for file in folder.glob("*/counter_*.db")} == {f"counter_{parent.pid}.db", f"counter_{child}.db"}


def test_a_command_counts_in_its_own_memory_alone(start: Start, folder: Path) -> None:
    assert kill(start(5, role="")) == ""
    assert not folder.exists()
    assert read_counts() == (0, 0)


def test_a_disk_that_fills_up_later_kills_no_process_that_counts(start: Start, folder: Path) -> None:
    start(5)
    for kind, size in metric_files.FILE_BYTES.items():
        [file] = folder.glob(f"*/{kind}_*.db")
        assert file.stat().st_blocks * 512 >= size


def test_a_file_that_a_power_cut_tore_breaks_no_scrape_and_no_start(start: Start, folder: Path) -> None:
    ended = start(5)
    kill(ended)
    torn = folder / "web" / f"counter_{ended.pid}.db"
    torn.write_bytes(struct.pack("i", 4000) + bytes(5000))
    (folder / "web" / f"histogram_{ended.pid}.db").write_bytes(b"")
    assert read_counts() == (0, 0)
    start(7)
    assert read_counts() == (7, 3)
    assert torn.exists()  # no process continues with the file; the role empties its folder at its next start


def test_a_file_that_is_taken_over_during_a_scrape_is_counted_once(
    start: Start, folder: Path, monkeypatch: Any
) -> None:
    ended = start(5)
    kill(ended)
    new = start(1)
    assert count_files(folder) == 1
    old_path, new_path = (folder / "web" / f"counter_{process.pid}.db" for process in (ended, new))
    new_path.rename(old_path)
    merge = MultiProcessCollector.merge

    def take_over_and_merge(paths: list[Path]) -> Any:
        """Rename the old file at the first merge, as a new process would."""
        if old_path.exists():
            old_path.rename(new_path)
        return merge(paths)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(MultiProcessCollector, "merge", staticmethod(take_over_and_merge))
    assert read_counts() == (6, 3)


def test_a_folder_that_cannot_be_used_costs_no_more_than_the_counts(start: Start, folder: Path) -> None:
    folder.touch()  # a file in its place: root, who may run the tests, may write to any folder
    before = set(Path(metric_files.FALLBACK_PARENT).glob("seedance-metrics-*"))
    process = start(5)
    [fallback] = set(Path(metric_files.FALLBACK_PARENT).glob("seedance-metrics-*")) - before
    try:
        names = {f"{kind}_{process.pid}.db" for kind in metric_files.FILE_BYTES}
        assert {file.name for file in fallback.iterdir()} == names
        assert read_counts() == (0, 0)
        assert "what this process counts is not served" in kill(process)
    finally:
        shutil.rmtree(fallback)
