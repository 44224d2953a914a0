"""The worker process: django-q2's cluster in a process group of its own, stopped within seconds."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from typing import Any

from django.core.management.base import BaseCommand

from generations import queue

DRAIN = 10.0  # seconds that steps under way may take after a stop; what is cut off falls due again
LOOK_EVERY = 0.25  # seconds
PR_SET_PDEATHSIG = 1  # Linux, prctl(2)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Command(BaseCommand):
    help = "Run the worker until SIGTERM or SIGINT."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stopping = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        # A worker that was killed on this host may have left its slot taken; the rows it had are due soon.
        queue.free_slots_of_this_host()
        queue.ring()
        command = [sys.executable, sys.argv[0], "qcluster"]
        cluster = subprocess.Popen(command, start_new_session=True, preexec_fn=_die_with_parent)
        try:
            self._watch(cluster)
        finally:
            _kill_group(cluster)
        if not self.stopping:
            self.stderr.write(f"The cluster ended by itself with {cluster.returncode}.")
            sys.exit(1)

    def _stop(self, number: int, frame: Any) -> None:
        self.stopping = True

    def _watch(self, cluster: "subprocess.Popen[bytes]") -> None:
        while cluster.poll() is None and not self.stopping:
            time.sleep(LOOK_EVERY)
        ends = time.monotonic() + DRAIN
        if self.stopping:
            cluster.terminate()  # the main process alone: a signal to the whole group hangs it
        while cluster.poll() is None and time.monotonic() < ends:
            queue.free_slots_of_this_host()  # the request to stop, also to a sweep that has just begun
            time.sleep(LOOK_EVERY)


def _kill_group(cluster: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(cluster.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # all of them had ended
    cluster.wait()
