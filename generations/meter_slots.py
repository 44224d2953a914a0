"""Whose metrics files are whose: a process holds a slot, and its files are that slot's.

A new process goes on with the files of one that is gone: they stay as few as there are processes at once, and no
counter ever falls, whatever is killed. Prometheus's own way, a set of files for each process id, keeps those of all the
dead. Where the folder can not be used, what the process counts is lost, and nothing else is.
"""

import fcntl
import json
import os
import struct
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

import structlog
from prometheus_client.mmap_dict import MmapedDict

log = structlog.stdlib.get_logger(__name__)

KINDS = ("counter", "histogram", "gauge_livesum")  # as Prometheus's client names a slot's files
SIZE = 128 * 1024  # bytes of a file; all labels together take some 20,000
MEMORY = "/dev/shm"  # noqa: S108  # whose room is not the disk's
LOST = 1_000_000  # slots from here on are served by nobody


class Slots:
    """A folder with a lock for each slot. A lock ends with the process that holds it, whatever ends it."""

    def __init__(self, folder: Path, told: Callable[[Path], None] = lambda _: None) -> None:
        """`told`: where this process's files are, whenever it has taken a slot."""
        self._folder, self._told = folder, told
        self._held: int | None = None  # a descriptor: it has to outlive everything but the process
        self._number, self._pid = -1, -1

    def number(self) -> int:
        """This process's slot; asked at each count, so nothing is done but where it was forked."""
        if self._pid != os.getpid():
            self._take()
        return self._number

    def let_go(self) -> None:
        """In a child: what it inherited is its parent's."""
        if self._held is not None:
            os.close(self._held)  # its copy alone: the parent's lock stays
            self._held = None

    def _take(self) -> None:
        self.let_go()
        try:
            self._take_in(self._folder)
        except OSError as error:  # it is full, or another user's; a process must not end by that
            log.error("what this process counts is not served", folder=str(self._folder), why=error.strerror)
            self.let_go()
            # By a number that no parent has: Prometheus's client opens other files where the number is another.
            self._take_in(Path(tempfile.mkdtemp(prefix="seedance-metrics-", dir=MEMORY)), first=LOST + os.getpid())

    def _take_in(self, folder: Path, first: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for number in count(first):
            self._held = _locked(folder / f"slot-{number}.lock")
            if self._held is not None:
                break
        for kind in KINDS:
            _prepare(folder / f"{kind}_{number}.db")
        self._number, self._pid = number, os.getpid()
        self._told(folder)

    def files(self) -> list[str]:
        """Those that count: all counters and histograms, and of what is true only now, that of processes that live."""
        dead = {number for number in self._numbers() if number != self._number and self._is_free(number)}
        every = sorted(self._folder.glob("*.db"))
        return [str(file) for file in every if _slot_of(file) not in dead or _outlives(file)]

    def _numbers(self) -> list[int]:
        return [int(file.stem.removeprefix("slot-")) for file in self._folder.glob("slot-*.lock")]

    def _is_free(self, number: int) -> bool:
        held = _locked(self._folder / f"slot-{number}.lock")
        if held is not None:
            os.close(held)
        return held is not None


def _locked(file: Path) -> int | None:
    """The lock's descriptor; None where another process has it. No program that is started inherits it."""
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError:
        if file.exists():  # another user's, who ran a command here
            return None
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _prepare(file: Path) -> None:
    """Goes on with it, if it counts still; with all its room on the disk. A page of a mapped file that finds none when
    it is written to would kill the process (SIGBUS)."""
    if file.exists() and not _outlives(file):
        file.unlink()
    made = file if file.exists() else file.with_suffix(".new")  # no scrape finds one that is being made
    with made.open("ab") as opened:
        os.posix_fallocate(opened.fileno(), 0, SIZE)
    made.rename(file)


def _outlives(file: Path) -> bool:
    """Whether it counts although its process is gone: how many waited with it does not, nor what a power cut tore."""
    if file.name.startswith("gauge_live"):
        return False
    try:
        for key, *_ in MmapedDict.read_all_values_from_file(file):  # type: ignore[no-untyped-call]
            json.loads(key)
    except (ValueError, RuntimeError, struct.error):
        return False
    return True


def _slot_of(file: Path) -> int:
    return int(file.stem.rpartition("_")[2])
