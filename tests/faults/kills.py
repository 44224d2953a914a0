"""`python -m tests.faults.kills --each 10`: kill -9 of each process of the worker under load, with the real clocks.

After each kill a new generation must reach the upstream within 90 s with nobody's help, and no process may be orphaned.
The last trial freezes them all (SIGSTOP).
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import tests.support.environment  # noqa: F401
from tests.faults.lab import Lab, database_look

WITHIN = 90.0  # seconds
WORKERS = 9  # of a cluster, as Q_CLUSTER says
ROLES = ["busy", "idle", "monitor", "pusher", "guard", "main"]


class Cluster:
    """The cluster's processes by role: it starts its workers, then the monitor, then the pusher."""

    def __init__(self, supervisor: int) -> None:
        self._supervisor = supervisor
        self.main = self.guard = 0
        self._helpers: dict[str, int] = {}

    def look(self) -> None:
        """Until all of them are there; who is new since the last look has the place of who is gone."""
        ends = time.monotonic() + WITHIN
        while time.monotonic() < ends:
            mains = children(self._supervisor)
            guards = children(mains[0]) if len(mains) == 1 else []
            crew = children(guards[0]) if len(guards) == 1 else []
            if len(crew) == WORKERS + 2:
                self._assign(mains[0], guards[0], crew)
                return
            time.sleep(0.1)
        raise SystemExit("The cluster is not whole.")

    def _assign(self, main: int, guard: int, crew: list[int]) -> None:
        gone = [role for role, pid in self._helpers.items() if pid not in crew]
        if guard != self.guard:
            self._helpers = dict(zip(["monitor", "pusher"], crew[-2:], strict=True))
        elif gone:
            self._helpers[gone[0]] = crew[-1]
        self.main, self.guard = main, guard
        self.crew = [pid for pid in crew if pid not in self._helpers.values()]

    def pid(self, role: str) -> int:
        if role in ("main", "guard"):
            return int(getattr(self, role))
        if role in self._helpers:
            return self._helpers[role]
        busy = sweeping()
        return busy if role == "busy" else random.choice([pid for pid in self.crew if pid != busy])


def children(pid: int) -> list[int]:
    lists = [tasks.read_text().split() for tasks in Path(f"/proc/{pid}/task").glob("*/children")]
    return sorted(int(child) for one in lists for child in one)


def sweeping() -> int:
    """The process that holds the slot."""
    from generations.models import Slot

    ends = time.monotonic() + WITHIN
    while time.monotonic() < ends:
        with database_look():
            owner = Slot.objects.exclude(owner="").values_list("owner", flat=True).first()
        if owner:
            return int(owner.rpartition("/")[2])
        time.sleep(0.05)
    raise SystemExit("No sweep is awake.")


def end_the_sweep() -> None:
    """The sweep that is awake would go on by itself: whether the cluster can begin another one is the question."""
    from generations import wakeups

    with database_look():
        wakeups.free_slots_of_this_host()


def orphans(lab: Lab) -> list[int]:
    """What is of the lab's, lives, and has lost its parent, which makes it this process's child."""
    known = {process.pid for process in lab.processes.values()}
    adopted = [pid for pid in children(os.getpid()) if pid not in known]
    return [pid for pid in adopted if os.waitpid(pid, os.WNOHANG) == (0, 0)]


def seconds_to_work(lab: Lab) -> float | None:
    """From now until the upstream receives a generation that was created after now."""
    began, newest = time.monotonic(), len(lab.book.calls)
    while time.monotonic() - began < WITHIN:
        if any(lab.upstream.received[call.seed] for call in lab.book.calls[newest:]):
            return time.monotonic() - began
        time.sleep(0.1)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills", description=__doc__)
    parser.add_argument("--each", type=int, default=10, help="kills of each process")
    each = parser.parse_args().each
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        lab = Lab("sqlite", 0, 1, Path(folder), quick=False)
        lab.upstream.calm = True
        os.environ["DATABASE_URL"] = lab.database.url
        import django

        os.environ["DJANGO_SETTINGS_MODULE"] = "seedance_service.settings"
        django.setup()
        over = threading.Event()
        try:
            lab.start()
            threading.Thread(target=lab.loop, args=(lab.create, over), daemon=True).start()
            fine = _kill_each(lab, each)
        finally:
            over.set()
            lab.stop()
        left = orphans(lab)
        print(f"Processes left after a stop: {len(left)}. Paid twice: {_twice(lab)}.", flush=True)
        return 0 if fine and not left and not _twice(lab) else 1


def _twice(lab: Lab) -> int:
    return sum(n > 1 for n in lab.upstream.created.values())


def _kill_each(lab: Lab, each: int) -> bool:
    from generations.models import Worker

    cluster = Cluster(lab.processes["worker"].pid)
    found: dict[str, list[float | None]] = {role: [] for role in ROLES}
    fine = seconds_to_work(lab) is not None
    for _ in range(each):
        for role in ROLES:
            cluster.look()
            os.kill(cluster.pid(role), signal.SIGKILL)
            if role in ("idle", "monitor", "pusher"):
                end_the_sweep()
            found[role].append(seconds_to_work(lab))
            cluster.look()
            if left := orphans(lab):
                fine = False
                print(f"ORPHANS after the {role}: {left}", flush=True)
    if each > 1:
        cluster.look()
        os.killpg(cluster.main, signal.SIGSTOP)
        found["frozen"] = [seconds_to_work(lab)]
        cluster.look()
    for role, waits in found.items():
        known = sorted(wait for wait in waits if wait is not None)
        fine &= len(known) == len(waits)
        seconds = f"after {known[0]:.1f} to {known[-1]:.1f} s" if known else ""
        print(f"{role:8} {len(waits):>3} times: work went on {len(known)} times {seconds}", flush=True)
    with database_look():
        restarts = Worker.objects.get().restarts
    print(f"The supervisor started the cluster again {restarts} times.", flush=True)
    return fine


if __name__ == "__main__":
    sys.exit(main())
