"""How far the machine is from idle, before the run and during each part: other programs, stolen time, and a fixed loop.

Figures of a busy machine are still printed; the report says which parts it concerns.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.rounds import Figure
from tests.bench.table import Line

GROUP = "The machine"
IDLE_SECONDS = 3.0  # for which the machine is watched before the run
MAX_SHARE, MAX_SLOWDOWN = 0.05, 1.15  # above them the machine is called busy
TICKS = os.sysconf("SC_CLK_TCK")
KERNEL_THREADS = 2  # the process id of their parent


@dataclass(frozen=True)
class Times:
    """CPU seconds since the machine's start."""

    at: float  # by the monotonic clock, in seconds
    others: float  # of programs that are neither the bench's nor a database server
    stolen: float  # taken by the hypervisor

    def shares_since(self, before: "Times") -> tuple[float, float]:
        """Return the shares of all CPU time that other programs used and that was stolen."""
        available = (self.at - before.at) * (os.cpu_count() or 1)
        return max(0.0, self.others - before.others) / available, (self.stolen - before.stolen) / available


@dataclass(frozen=True)
class Watched:
    """What was seen of the machine in one part: two shares of all CPU time, and the fixed loop's time in seconds."""

    part: str
    others: float
    stolen: float
    loop: float


def times() -> Times:
    """Return the CPU times so far."""
    stolen = int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]) / TICKS
    return Times(time.monotonic(), _others(), stolen)


def loop_seconds() -> float:
    """Return how long a fixed loop of pure Python takes, about 20 ms: the median of 15."""
    return Figure.of(_loop() for _ in range(15)).median


def _loop() -> float:
    began, total = time.perf_counter(), 0
    for number in range(300_000):
        total += number & 7
    return time.perf_counter() - began


def _others() -> float:
    """Return the CPU seconds of all other programs, with those of their children that have ended. See proc(5)."""
    parents, ticks, names = {}, {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            head, _, tail = (folder / "stat").read_text().rpartition(")")
        except OSError:
            continue  # the process has just ended
        pid, fields = int(folder.name), tail.split()
        parents[pid], names[pid] = int(fields[1]), head.partition("(")[2]
        ticks[pid] = sum(map(int, fields[11:15]))
    return sum(ticks[pid] for pid in ticks if not _is_ours(pid, parents, names)) / TICKS


def _is_ours(pid: int, parents: dict[int, int], names: dict[int, str]) -> bool:
    """Return whether the process is the bench's, a database server's, or the kernel's, which works for them."""
    while pid > 0:
        if pid in (os.getpid(), KERNEL_THREADS) or names.get(pid) == "postgres":
            return True
        pid = parents.get(pid, 0)
    return False


def idle() -> Watched:
    """Watch the machine for a moment before the run."""
    before, loop = times(), loop_seconds()
    time.sleep(IDLE_SECONDS)
    return Watched("before the run", *times().shares_since(before), loop)


def lines(watched: list[Watched], load_before: float) -> list[Line]:
    """Return the rows that say how far from idle the machine was. `load_before` is the load of the minute before."""
    fastest = min(one.loop for one in watched)
    before, parts = watched[0], watched[1:]
    rows = [
        Line(GROUP, "load of the minute before the run", load_before, ""),
        Line(GROUP, "CPU used by other programs before the run", before.others * 100, "%"),
        _worst(parts, "CPU used by other programs, median and spread of the parts", [one.others for one in parts]),
        _worst(parts, "CPU stolen by the hypervisor, median and spread of the parts", [one.stolen for one in parts]),
    ]
    slowdowns = Figure.of(one.loop / fastest for one in watched)
    slowest = max(watched, key=lambda one: one.loop)
    more = f"fastest {fastest * 1000:.1f} ms; slowest: {slowest.part}"
    return [*rows, Line(GROUP, "a fixed loop, against the fastest of this run", slowdowns, "×", more)]


def _worst(parts: list[Watched], what: str, shares: list[float]) -> Line:
    worst = max(zip(shares, parts, strict=True), key=lambda pair: pair[0])[1]
    return Line(GROUP, what, Figure.of(share * 100 for share in shares), "%", f"most: {worst.part}")


def sentence(watched: list[Watched]) -> str:
    """Return in words whether the machine was quiet, and in which parts it was not."""
    fastest = min(one.loop for one in watched)
    busy = [
        one.part
        for one in watched
        if one.others > MAX_SHARE or one.stolen > MAX_SHARE or one.loop > MAX_SLOWDOWN * fastest
    ]
    if not busy:
        return "The machine was quiet throughout the run."
    return f"**The machine was busy, so these figures are rough: {', '.join(busy)}.**"
