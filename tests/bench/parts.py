"""The parts of the bench. Each runs in a process of its own, since some set Django up, and a failed one ends alone.

A new part is a function that yields `Line`s, and an entry in PARTS. A text that it yields is a sentence of the report.
"""

import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from tests.bench import beside, callers, copies, growth, large_images, lists, machine, panel, peers, web, working
from tests.bench.table import Line

LOG_TAIL_CHARS = 3000


@dataclass(frozen=True)
class Bench:
    """Arguments of all parts."""

    s3: dict[str, str]  # settings that reach the bucket
    folder: Path  # for the files of this run
    rows: int  # generations of the large databases


@dataclass(frozen=True)
class Part:
    """A part. `name` chooses it on the command line, and `database` separates it from others of that name."""

    name: str
    database: str
    lines: Callable[[Bench], Iterator[Line | str]]

    @property
    def title(self) -> str:
        return f"{self.name} ({self.database})"


@dataclass(frozen=True)
class Failure:
    """The end of a part by an exception; the reason is a line of text."""

    reason: str


@dataclass
class Outcome:
    """What a part yielded, how long it took in seconds, and why it failed, if it did."""

    part: Part
    lines: list[Line] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failure: str = ""
    seconds: float = 0.0

    def missed(self) -> list[Line]:
        """Return the lines whose target is not met."""
        return [line for line in self.lines if line.met is False]

    def progress(self) -> str:
        """Return a line of text about the part that has ended."""
        missed = f", {len(self.missed())} not met" if self.missed() else ""
        failed = f", FAILED: {self.failure}" if self.failure else ""
        return f"{self.part.title}: {self.seconds:.0f} s, {len(self.lines)} lines{missed}{failed}"


SQLITE, POSTGRES = "SQLite", "PostgreSQL"
PARTS = [
    Part("web", SQLITE, lambda bench: web.lines(SQLITE, bench.s3)),
    Part("web", POSTGRES, lambda bench: web.lines(POSTGRES, bench.s3)),
    Part("beside", SQLITE, lambda bench: beside.lines(SQLITE, bench.s3)),
    Part("beside", POSTGRES, lambda bench: beside.lines(POSTGRES, bench.s3)),
    Part("callers", SQLITE, lambda bench: callers.lines(SQLITE, bench.s3)),
    Part("callers", POSTGRES, lambda bench: callers.lines(POSTGRES, bench.s3)),
    Part("peers", SQLITE, lambda bench: peers.lines(SQLITE, bench.s3)),
    Part("peers", POSTGRES, lambda bench: peers.lines(POSTGRES, bench.s3)),
    Part("memory", SQLITE, lambda bench: large_images.memory_lines(bench.s3)),
    Part("worker", SQLITE, lambda bench: working.lines(SQLITE, bench.s3, bench.folder)),
    Part("worker", POSTGRES, lambda bench: working.lines(POSTGRES, bench.s3, bench.folder)),
    Part("copies", SQLITE, lambda bench: copies.lines(bench.s3, bench.folder)),
    Part("growth", POSTGRES, lambda bench: growth.lines(bench.s3, bench.rows)),
    Part("lists", SQLITE, lambda bench: lists.lines(SQLITE, bench.rows)),
    Part("lists", POSTGRES, lambda bench: lists.lines(POSTGRES, bench.rows)),
    Part("panel", POSTGRES, lambda bench: panel.lines(bench.rows)),
]
NAMES = list(dict.fromkeys(part.name for part in PARTS))


def run(part: Part, bench: Bench) -> tuple[Outcome, machine.Watched]:
    """Run a part in a process of its own, and watch the machine during it."""
    context = multiprocessing.get_context("fork")
    loop, before = machine.loop_seconds(), machine.times()
    outcome, log = Outcome(part), bench.folder / f"{part.title}.log"
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(part, bench, sender, log))
    process.start()
    sender.close()
    _receive(receiver, outcome)
    process.join()
    if process.exitcode and not outcome.failure:
        outcome.failure = f"it ended with exit code {process.exitcode}"
    if outcome.failure:
        print(log.read_text(errors="replace")[-LOG_TAIL_CHARS:], file=sys.stderr)
    after = machine.times()
    outcome.seconds = after.at - before.at
    return outcome, machine.Watched(part.title, *after.shares_since(before), loop)


def _receive(receiver: "Connection", outcome: Outcome) -> None:
    """Collect what the part's process sends until it ends."""
    while True:
        try:
            message = receiver.recv()
        except EOFError:
            return
        match message:
            case Line():
                outcome.lines.append(message)
            case str():
                outcome.remarks.append(message)
            case Failure():
                outcome.failure = message.reason


def _work(part: Part, bench: Bench, sender: "Connection", log: Path) -> None:
    """Run the part, and send each line. Whatever its programs print goes to the log."""
    with log.open("wb") as out:
        os.dup2(out.fileno(), sys.stdout.fileno())
        os.dup2(out.fileno(), sys.stderr.fileno())
    try:
        for line in part.lines(bench):
            sender.send(line)
    except Exception as error:
        traceback.print_exc()
        last = str(error).strip().rpartition("\n")[2]
        sender.send(Failure(f"{type(error).__name__}: {last}"))
    sys.stdout.flush()
    sys.stderr.flush()
