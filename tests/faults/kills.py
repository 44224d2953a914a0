"""`python -m tests.faults.kills --each 10`: kill -9 each process of the worker under load, with the real clocks.

After each kill a new generation must reach the upstream within 90 s without help, and no process may be orphaned. The
last trial freezes all processes (SIGSTOP).
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
from tests.faults.lab import Lab, short_connection

MAX_SECONDS = 90.0
WORKERS = 9  # of a cluster, as Q_CLUSTER says
ROLES = ["busy", "idle", "monitor", "pusher", "guard", "main"]


class Cluster:
    """The processes of the cluster by role. The cluster starts workers, then the monitor, then the pusher."""

    def __init__(self, supervisor: int) -> None:
        self._supervisor = supervisor
        self.main = self.guard = 0
        self._helpers: dict[str, int] = {}

    def refresh(self) -> None:
        """Wait until all processes are there. A new process has the role of the process that is gone."""
        ends = time.monotonic() + MAX_SECONDS
        while time.monotonic() < ends:
            mains = children(self._supervisor)
            guards = children(mains[0]) if len(mains) == 1 else []
            members = children(guards[0]) if len(guards) == 1 else []
            if len(members) == WORKERS + 2:
                self._assign(mains[0], guards[0], members)
                return
            time.sleep(0.1)
        raise SystemExit("The cluster is not whole.")

    def _assign(self, main: int, guard: int, members: list[int]) -> None:
        lost_roles = [role for role, pid in self._helpers.items() if pid not in members]
        if guard != self.guard:
            self._helpers = dict(zip(["monitor", "pusher"], members[-2:], strict=True))
        elif lost_roles:
            self._helpers[lost_roles[0]] = members[-1]
        self.main, self.guard = main, guard
        self.members = [pid for pid in members if pid not in self._helpers.values()]

    def pid(self, role: str) -> int:
        """Return the id of the process with that role."""
        if role in ("main", "guard"):
            return int(getattr(self, role))
        if role in self._helpers:
            return self._helpers[role]
        busy = find_running()
        return busy if role == "busy" else random.choice([pid for pid in self.members if pid != busy])


def children(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    lists = [tasks.read_text().split() for tasks in Path(f"/proc/{pid}/task").glob("*/children")]
    return sorted(int(child) for ids in lists for child in ids)


def find_running() -> int:
    """Return the id of the process that does a worker run: it holds the slot."""
    from generations.models import Slot

    ends = time.monotonic() + MAX_SECONDS
    while time.monotonic() < ends:
        with short_connection():
            owner = Slot.objects.exclude(owner="").values_list("owner", flat=True).first()
        if owner:
            return int(owner.rpartition("/")[2])
        time.sleep(0.05)
    raise SystemExit("No worker run is awake.")


def end_run() -> None:
    """End the worker run that is awake. The question is whether the cluster can start another one."""
    from generations import wakeups

    with short_connection():
        wakeups.free_slots_of_this_host()


def orphans(lab: Lab) -> list[int]:
    """Return the living processes of the lab that lost their parent and became children of this process."""
    own = {process.pid for process in lab.processes.values()}
    adopted = [pid for pid in children(os.getpid()) if pid not in own]
    return [pid for pid in adopted if os.waitpid(pid, os.WNOHANG) == (0, 0)]


def seconds_to_work(lab: Lab) -> float | None:
    """Return the seconds until the upstream receives a generation created from now on; None after MAX_SECONDS."""
    started, newest = time.monotonic(), len(lab.book.calls)
    while time.monotonic() - started < MAX_SECONDS:
        if any(lab.counts("received")[call.seed] for call in lab.book.calls[newest:]):
            return time.monotonic() - started
        time.sleep(0.1)
    return None


def main() -> int:
    """Run the trials and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills", description=__doc__)
    parser.add_argument("--each", type=int, default=10, help="kills of each process")
    each = parser.parse_args().each
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        lab = Lab("sqlite", 0, 1, Path(folder), quick=False)
        lab.upstream.calm = lab.ark.calm = True
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
        print(f"Processes left after a stop: {len(left)}. Paid twice: {_count_paid_twice(lab)}.", flush=True)
        return 0 if fine and not left and not _count_paid_twice(lab) else 1


def _count_paid_twice(lab: Lab) -> int:
    """Count the generations that were paid for more than once."""
    return sum(n > 1 for n in lab.counts("created").values())


def _kill_each(lab: Lab, each: int) -> bool:
    """Kill each process `each` times, and print how the work went on. Return whether all went well."""
    from generations.models import Worker

    cluster = Cluster(lab.processes["worker"].pid)
    results: dict[str, list[float | None]] = {role: [] for role in ROLES}
    fine = seconds_to_work(lab) is not None
    for _ in range(each):
        for role in ROLES:
            cluster.refresh()
            os.kill(cluster.pid(role), signal.SIGKILL)
            if role in ("idle", "monitor", "pusher"):
                end_run()
            results[role].append(seconds_to_work(lab))
            cluster.refresh()
            if left := orphans(lab):
                fine = False
                print(f"ORPHANS after the {role}: {left}", flush=True)
    if each > 1:
        cluster.refresh()
        os.killpg(cluster.main, signal.SIGSTOP)
        results["frozen"] = [seconds_to_work(lab)]
        cluster.refresh()
    for role, waits in results.items():
        seconds_list = sorted(wait for wait in waits if wait is not None)
        fine &= len(seconds_list) == len(waits)
        seconds = f"after {seconds_list[0]:.1f} to {seconds_list[-1]:.1f} s" if seconds_list else ""
        print(f"{role:8} {len(waits):>3} times: work went on {len(seconds_list)} times {seconds}", flush=True)
    with short_connection():
        restarts = Worker.objects.get().restarts
    print(f"The supervisor started the cluster again {restarts} times.", flush=True)
    return fine


if __name__ == "__main__":
    sys.exit(main())
