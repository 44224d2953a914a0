"""Processes that are killed: some do worker runs as the queue's task does, one resolves generations in doubt.

They are forked from a process that has loaded everything, so a killed process is replaced at once.
"""

import ctypes
import json
import logging
import os
import random
import signal
import sys
import time
import urllib.request

import django

django.setup()

from django.conf import settings
from django.db import connections

from generations import wakeups
from generations.media import videos  # noqa: F401  a worker run needs it
from generations.models import Generation
from generations.ops import in_doubt
from generations.upstream import accounts
from generations.worker import loop
from tenants.audit import Actor
from tenants.errors import Refusal

log = logging.getLogger("farm")
OPS = Actor(name="ops of the lab", reason="the upstream's own list was read")


def worker() -> None:
    """Do worker runs half of the time. In the other half the cluster of the real worker has to be woken and works."""
    if time.time() % 8 < 4:
        time.sleep(0.1)
        return
    loop.run()
    time.sleep(random.uniform(0.05, 0.3))


def operator() -> None:
    """Resolve generations in doubt: attach the tasks that the upstream has, and resubmit or fail the others.

    Those at an account with a list are left to the service.
    """
    for generation in Generation.objects.filter(status="in_doubt").select_related("tenant"):
        if accounts.of(generation)[0].has_list:
            continue
        url = f"{settings.NOVITA_BASE_URL}/lab/tasks?seed={generation.seed}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            task_ids = json.load(answer)
        try:
            if task_ids:
                in_doubt.attach(OPS, generation, task_ids[0])
            elif generation.seed % 3:
                in_doubt.resubmit(OPS, generation)
            else:
                random.choice([in_doubt.release, in_doubt.give_up])(OPS, generation)
        except Refusal as refusal:
            log.info("ops: %s", refusal)  # still rendering, or resolved by a late answer
            if "Release" in str(refusal):  # the task failed
                in_doubt.release(OPS, generation)
    time.sleep(0.5)


def fork(work: object) -> int:
    """Fork a process that does the work for ever. Return its id."""
    pid = os.fork()
    if pid:
        return pid
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    random.seed()
    while True:
        try:
            work()  # type: ignore[operator]
        except Exception:
            log.exception("the farm goes on")
            time.sleep(0.2)
        for connection in connections.all(initialized_only=True):
            connection.close_if_unusable_or_obsolete()


def share_names() -> None:
    """Let processes have one name in slots, as those of two containers with one host name and equal process ids."""
    wakeups._owner = lambda pid: f"{wakeups.host()}/{pid % 2}"


def main(workers: int, *, has_operator: bool) -> None:
    """Keep `workers` worker processes alive until SIGTERM, and an operator if there is to be one."""
    share_names()
    jobs = [*[worker] * workers, *[operator] * has_operator]
    pids = {fork(job): job for job in jobs}

    def stop(number: int, frame: object) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    while True:
        pid, _ = os.wait()
        job = pids.pop(pid)
        pids[fork(job)] = job


if __name__ == "__main__":
    main(int(sys.argv[1]), has_operator="--operator" in sys.argv)
