"""The worker process: django-q2's cluster in a process group of its own, watched by the work it does."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error, connection
from django.utils import timezone

from generations import wakeups
from generations.reports import database_metrics, worker_hosts
from generations.webhooks import deliveries
from generations.worker import claims
from generations.worker.processes import die_with_parent

log = structlog.stdlib.get_logger(__name__)

DRAIN = 8.0  # seconds that steps under way may take after a stop, so that all is over in ten; the rest falls due again
GIVE_UP = 9.5  # seconds after a stop, whatever hangs
LOOK_EVERY = 0.25  # seconds
CHECK_EVERY = 5.0  # seconds
LATE = timedelta(seconds=2)  # a row that is due for so long, with no sweep awake, has lost its ring
SETTLED = 10.0  # seconds; a cluster that ends by itself before that can not start at all


class Command(BaseCommand):
    help = "Run the worker until SIGTERM or SIGINT."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stopping = False
        self.cluster: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        metrics = settings.METRICS_DIR / "worker"
        shutil.rmtree(metrics, ignore_errors=True)  # of the run before; what can not be removed is gone on with
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)  # of each cluster, which inherits it
        if settings.METRICS_PORT:
            database_metrics.serve()
        while not self.stopping:
            why = self._run_cluster()
            if why and not self.stopping:
                log.error("its whole process group is killed, and started again", why=why)
                _asked(worker_hosts.restarted, why)

    def _stop(self, number: int, frame: Any) -> None:
        if not self.stopping:
            # A database that is silent would hold this process in a question: then the clock ends it all.
            signal.signal(signal.SIGALRM, self._give_up)
            signal.setitimer(signal.ITIMER_REAL, GIVE_UP)
        self.stopping = True

    def _give_up(self, number: int, frame: Any) -> None:
        if self.cluster:
            _kill_group(self.cluster)
        os._exit(1)

    def _run_cluster(self) -> str:
        """Until it is stopped, or has to be started again; why it has to."""
        # A cluster that was killed on this host may have left its slot taken, and its broker may have lost the rings.
        _asked(wakeups.free_slots_of_this_host)
        _asked(worker_hosts.started)
        wakeups.ring()
        command = [sys.executable, sys.argv[0], "qcluster"]
        cluster = subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent)
        self.cluster = cluster
        began = time.monotonic()
        try:
            why = self._watch(cluster)
        finally:
            _kill_group(cluster)
        if why and cluster.returncode > 0 and time.monotonic() - began < SETTLED:
            self.stderr.write(f"The cluster can not start: it ended by itself with {cluster.returncode}.")
            sys.exit(1)
        return why

    def _watch(self, cluster: "subprocess.Popen[bytes]") -> str:
        """Until it is stopped, ends, or does nothing although work is due: a killed idle child of it can hang the rest.

        Work done is watched, and not processes alive.
        """
        watch, next_check = worker_hosts.Watch(), time.monotonic()
        while cluster.poll() is None and not self.stopping:
            time.sleep(LOOK_EVERY)
            if time.monotonic() < next_check:
                continue
            next_check = time.monotonic() + CHECK_EVERY
            _asked(_ring_again)
            stalled = _asked(watch.observe)
            if stalled is None:
                watch.forget()
            elif stalled:
                return "work is due, and none was done for a minute"
        if not self.stopping:
            return "the cluster's main process has ended"
        self._drain(cluster)
        return ""

    def _drain(self, cluster: "subprocess.Popen[bytes]") -> None:
        cluster.terminate()  # the main process alone: a signal to the whole group hangs it
        ends = time.monotonic() + DRAIN
        while cluster.poll() is None and time.monotonic() < ends:
            _asked(wakeups.free_slots_of_this_host)  # the request to stop, also to a sweep that has just begun
            time.sleep(LOOK_EVERY)


def _ring_again() -> None:
    """A killed sweep rings for no successor: the schedule would, up to a minute and a half later."""
    late = timezone.now() - LATE
    if claims.is_any_due(late) or deliveries.is_any_due(late):
        wakeups.ring(more=True)


def _asked(question: Any, *args: Any) -> Any:
    """The answer; None where the database gives none, for the supervisor must outlive it."""
    try:
        return question(*args)
    except Error:  # a lost connection is an InterfaceError, which is no DatabaseError
        log.exception("the database does not answer the worker's supervisor")
        connection.close()  # it is opened anew at the next question
        return None


def _kill_group(cluster: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):  # where all of them had ended
        os.killpg(cluster.pid, signal.SIGKILL)
    cluster.wait()
