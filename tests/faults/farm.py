"""Processes to be killed: sweepers that do what a queue's task does, and people of ops who settle doubts.

They are forked from one that has loaded everything, so that a killed one is back in no time, and a kill is cheap.
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

from generations.media import videos  # noqa: F401  what a sweep will need
from generations.models import Generation
from generations.ops import in_doubt
from generations.worker import loop
from tenants.audit import Actor
from tenants.errors import Refusal

log = logging.getLogger("farm")
OPS = Actor(name="ops of the lab", reason="the upstream's own list was read")


def sweeper() -> None:
    """At work half of the time: in the other half the worker's own cluster has to be rung, and does it."""
    if time.time() % 8 < 4:
        time.sleep(0.1)
        return
    loop.run()
    time.sleep(random.uniform(0.05, 0.3))


def ops() -> None:
    """Attach what the upstream has; what it has not, send again."""
    for generation in Generation.objects.filter(status="in_doubt").select_related("tenant"):
        url = f"{settings.NOVITA_BASE_URL}/lab/tasks?seed={generation.seed}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            found = json.load(answer)
        try:
            if found:
                in_doubt.attach(OPS, generation, found[0])
            elif generation.seed % 3:
                in_doubt.resubmit(OPS, generation)
            else:
                random.choice([in_doubt.release, in_doubt.give_up])(OPS, generation)
        except Refusal as refusal:
            log.info("ops: %s", refusal)  # still rendering, or resolved by a late answer
            if "Release" in str(refusal):  # the task failed
                in_doubt.release(OPS, generation)
    time.sleep(0.5)


def child(work: object) -> int:
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


def main(sweepers: int) -> None:
    jobs = [*[sweeper] * sweepers, ops]
    pids = {child(job): job for job in jobs}

    def stop(number: int, frame: object) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    while True:
        pid, _ = os.wait()
        job = pids.pop(pid)
        pids[child(job)] = job


if __name__ == "__main__":
    main(int(sys.argv[1]))
