"""The worker process: django-q2's cluster in a process group of its own, stopped within seconds."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError
from django.utils import timezone

from generations import lifecycle, queue

log = logging.getLogger(__name__)

DRAIN = 10.0  # seconds that steps under way may take after a stop; what is cut off falls due again
LOOK_EVERY = 0.25  # seconds
CHECK_EVERY = 5.0  # seconds
OVERDUE = timedelta(seconds=90)  # the schedule looks every 30 s and rings each minute
PR_SET_PDEATHSIG = 1  # Linux, prctl(2)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Command(BaseCommand):
    help = "Run the worker until SIGTERM or SIGINT."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stopping = self.stuck = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self.stopping:
            self._run_cluster()

    def _run_cluster(self) -> None:
        # A cluster that was killed on this host may have left its slot taken, and its broker may have lost the rings.
        queue.free_slots_of_this_host()
        queue.ring()
        command = [sys.executable, sys.argv[0], "qcluster"]
        cluster = subprocess.Popen(command, start_new_session=True, preexec_fn=_die_with_parent)
        try:
            self._watch(cluster)
        finally:
            _kill_group(cluster)
        if not self.stopping and not self.stuck:
            self.stderr.write(f"The cluster ended by itself with {cluster.returncode}.")
            sys.exit(1)

    def _stop(self, number: int, frame: Any) -> None:
        self.stopping = True

    def _watch(self, cluster: "subprocess.Popen[bytes]") -> None:
        self.stuck = False
        # Rows may be overdue from long before this cluster: it is judged only after the time in which it must act.
        next_check = time.monotonic() + OVERDUE.total_seconds()
        while cluster.poll() is None and not self.stopping and not self.stuck:
            time.sleep(LOOK_EVERY)
            if time.monotonic() > next_check:
                self.stuck = _work_stands_still()
                next_check = time.monotonic() + CHECK_EVERY
        ends = time.monotonic() + DRAIN
        if self.stuck:
            log.error("rows are overdue and no sweep is awake: the cluster is killed and started again")
            return
        if self.stopping:
            cluster.terminate()  # the main process alone: a signal to the whole group hangs it
        while cluster.poll() is None and time.monotonic() < ends:
            queue.free_slots_of_this_host()  # the request to stop, also to a sweep that has just begun
            time.sleep(LOOK_EVERY)


def _work_stands_still() -> bool:
    """Work done is watched, not processes alive: a cluster whose idle child was killed can live on and do nothing."""
    try:
        due = lifecycle.next_due()
        return due is not None and due < timezone.now() - OVERDUE and not queue.is_awake()
    except DatabaseError:
        log.exception("the database can not be asked whether work stands still")
        return False


def _kill_group(cluster: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(cluster.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # all of them had ended
    cluster.wait()
