"""Whose metrics files are whose: a process holds a slot, and its files are that slot's.

A new process goes on with the files of one that is gone: they stay as few as there are processes at once, and no
counter ever falls, whatever is killed. Prometheus's own way, a set of files for each process id, keeps those of all the
dead.
"""

import fcntl
import os
from contextlib import suppress
from itertools import count
from pathlib import Path


class Slots:
    """A folder with a lock for each slot. A lock ends with the process that holds it, whatever ends it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in count():
            held = self._locked(number)
            if held is not None:
                self._held, self._number, self._pid = held, number, os.getpid()
                break
        for left in self._folder.glob(f"gauge_live*_{self._number}.db"):  # how many waited with who is gone
            with suppress(FileNotFoundError):
                left.unlink()

    def _locked(self, number: int) -> int | None:
        """The lock's descriptor; None where another process has it. No program that is started inherits it."""
        descriptor = os.open(self._folder / f"slot-{number}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def files(self) -> list[str]:
        """Those that count: all counters and histograms, and of what is true only now, that of processes that live."""
        dead = {number for number in self._numbers() if number != self._number and self._is_free(number)}
        every = sorted(self._folder.glob("*.db"))
        return [str(file) for file in every if not _is_live_gauge(file) or _slot_of(file) not in dead]

    def _numbers(self) -> list[int]:
        return [int(file.stem.removeprefix("slot-")) for file in self._folder.glob("slot-*.lock")]

    def _is_free(self, number: int) -> bool:
        held = self._locked(number)
        if held is not None:
            os.close(held)
        return held is not None


def _is_live_gauge(file: Path) -> bool:
    return file.name.startswith("gauge_live")


def _slot_of(file: Path) -> int:
    return int(file.stem.rpartition("_")[2])
