"""The supervisor of a host's worker: django-q2's cluster runs in a process group of its own, and is restarted if it
does no work.

The supervisor watches the work that is done, and not the processes that are alive: a cluster whose idle child was
killed can hang with all other processes alive.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import Error, connection

from generations import wakeups
from generations.models import Worker
from generations.reports import prometheus, worker_hosts
from generations.webhooks import deliveries
from generations.worker import claims
from generations.worker.direct_runs import DirectRuns, does_broker_answer
from generations.worker.processes import StopSignal, die_with_parent
from tenants.db import clock

log = structlog.stdlib.get_logger(__name__)

DRAIN_SECONDS = 8.0  # for steps in progress after a stop, so that the host is down in ten; other rows fall due again
KILL_AFTER_SECONDS = 9.5  # after a stop, whatever hangs
POLL_INTERVAL_SECONDS = 0.25  # between two checks whether the cluster's main process is alive
CHECK_INTERVAL_SECONDS = 5.0  # between two checks whether the cluster does its work
LOST_WAKEUP_AFTER = timedelta(seconds=2)  # a row due for so long, with no worker run awake, has lost its wake-up
STALL_TIMEOUT = timedelta(seconds=60)  # due rows without progress for so long are no accident
MIN_CLUSTER_SECONDS = 10.0  # a cluster that ends by itself before that cannot start at all
BROKER_RETRY_SECONDS = 10.0  # before the cluster is started again, which needs the broker


class ClusterCannotStart(Exception):
    """The cluster ended by itself, with an error, within MIN_CLUSTER_SECONDS of its start."""


class Supervisor:
    """Start the cluster, and start it again whenever it ends or does nothing although work is due."""

    def __init__(self) -> None:
        self.stopping = False
        self.cluster: subprocess.Popen[bytes] | None = None
        self._stop_signal = StopSignal()
        self._direct_runs = DirectRuns(self._stop_signal)
        self._next_check = time.monotonic()

    def run(self) -> None:
        """Run clusters one after the other until SIGTERM or SIGINT. Raise ClusterCannotStart."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        metrics = settings.METRICS_DIR / "worker"
        shutil.rmtree(metrics, ignore_errors=True)  # left by the last run; files that cannot be removed do no harm
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)  # each cluster inherits it
        if settings.METRICS_PORT:
            prometheus.serve()
        while not self.stopping:
            why = self._run_cluster()
            if why and not self.stopping:
                log.error("its whole process group is killed, and started again", why=why)
                _query(worker_hosts.record_restart, why)
        self._direct_runs.kill()

    def _stop(self, number: int, frame: Any) -> None:
        """Ask the cluster to stop, by the main loop. A second signal changes nothing."""
        if not self.stopping:
            # A silent database would block this process in a query: then the timer ends the whole group.
            signal.signal(signal.SIGALRM, self._kill)
            signal.setitimer(signal.ITIMER_REAL, KILL_AFTER_SECONDS)
        self.stopping = True

    def _kill(self, number: int, frame: Any) -> None:
        """Kill the cluster and end this process at once."""
        if self.cluster:
            _kill_group(self.cluster)
        self._direct_runs.kill()
        os._exit(1)

    def _run_cluster(self) -> str:
        """Run one cluster until it is stopped or has to be restarted. Return why it has to; "" if it was stopped."""
        # A killed cluster of this host may have left its slot taken, and its broker may have lost wake-ups.
        _query(self._free_slots)
        _query(worker_hosts.record_start)
        wakeups.wake_worker()
        command = [sys.executable, sys.argv[0], "qcluster"]
        inherited = self._stop_signal.inherited()
        cluster = subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent, **inherited)
        self.cluster = cluster
        started = time.monotonic()
        try:
            why = self.watch(cluster)
        finally:
            _kill_group(cluster)
        if why and cluster.returncode > 0 and time.monotonic() - started < MIN_CLUSTER_SECONDS:
            if does_broker_answer():
                raise ClusterCannotStart(f"The cluster cannot start: it ended by itself with {cluster.returncode}.")
            why = "the broker does not answer"
            self._work_without_cluster()
        return why

    def _free_slots(self) -> None:
        """Free the slots of the host's runs that are killed, which are those of the cluster before."""
        wakeups.free_slots_of_this_host(but=self._direct_runs.pids)

    def _work_without_cluster(self) -> None:
        """Replace lost wake-ups for BROKER_RETRY_SECONDS: the rows need the broker less than the cluster does."""
        ends = time.monotonic() + BROKER_RETRY_SECONDS
        while not self.stopping and time.monotonic() < ends:
            time.sleep(POLL_INTERVAL_SECONDS)
            if self._is_check_due():
                self._replace_lost_wakeup()

    def _is_check_due(self) -> bool:
        """Return whether CHECK_INTERVAL_SECONDS are over since this last returned True."""
        if time.monotonic() < self._next_check:
            return False
        self._next_check = time.monotonic() + CHECK_INTERVAL_SECONDS
        return True

    def _replace_lost_wakeup(self) -> None:
        """Send a wake-up for rows that wait, and start a run of our own once wake-ups bring none."""
        is_work_waiting = _query(replace_lost_wakeup)
        if is_work_waiting is not None:
            _query(lambda: self._direct_runs.observe(is_work_waiting=is_work_waiting))

    def watch(self, cluster: "subprocess.Popen[bytes]") -> str:
        """Wait until the cluster is stopped, ends or stalls. Return why it has to be restarted; "" if it was stopped.

        A stalled cluster does nothing although work is due.
        """
        detector = StallDetector()
        while cluster.poll() is None and not self.stopping:
            time.sleep(POLL_INTERVAL_SECONDS)
            if not self._is_check_due():
                continue
            self._replace_lost_wakeup()
            _query(wakeups.repair_schedules)
            stalled = _query(detector.observe)
            if stalled is None:
                detector.reset()
            elif stalled:
                return "work is due, and none was done for a minute"
        if not self.stopping:
            return "the cluster's main process has ended"
        self._drain(cluster)
        return ""

    def _drain(self, cluster: "subprocess.Popen[bytes]") -> None:
        """Ask the cluster to end, and wait up to DRAIN_SECONDS for its steps in progress."""
        self._stop_signal.send()
        cluster.terminate()  # the main process alone: a signal to the whole group hangs it
        ends = time.monotonic() + DRAIN_SECONDS
        while (cluster.poll() is None or self._direct_runs.pids) and time.monotonic() < ends:
            _query(wakeups.free_slots_of_this_host)  # stops worker runs too, also one that has just started
            time.sleep(POLL_INTERVAL_SECONDS)


class StallDetector:
    """Detect that this host's cluster does nothing although work is due.

    The detector measures by the supervisor's own clock, from its first observation. A heartbeat of another host does
    not count, nor does a time in which no worker run could have worked.
    """

    def __init__(self) -> None:
        self._idle_since: float | None = None
        self._heartbeat_at: datetime | None = None

    def observe(self) -> bool:
        """Observe the host once more, as the supervisor does every few seconds. Return whether the cluster is stalled.

        It is stalled if for STALL_TIMEOUT work was due, a slot was free, and no run of this host sent a heartbeat.
        """
        host = Worker.objects.filter(pk=wakeups.host())
        now, heartbeat_at = time.monotonic(), host.values_list("heartbeat_at", flat=True).first()
        # A host is idle, and not stalled, while runs of other hosts hold every slot.
        could_work = claims.is_any_due(clock.now()) and wakeups.has_free_slot()
        if not could_work or heartbeat_at != self._heartbeat_at:
            self.reset()
            self._heartbeat_at = heartbeat_at
            return False
        self._idle_since = now if self._idle_since is None else self._idle_since
        return now - self._idle_since >= STALL_TIMEOUT.total_seconds()

    def reset(self) -> None:
        """Forget the observations so far: while the database does not answer, no run of the host could have worked."""
        self._idle_since = None


def replace_lost_wakeup() -> bool:
    """Send a wake-up if rows have been due for LOST_WAKEUP_AFTER: a killed run sends none for its successor.

    Return whether there are such rows. Without it the schedule would start a run, but only up to a minute and a half
    later.
    """
    lost = clock.now() - LOST_WAKEUP_AFTER
    is_work_waiting = claims.is_any_due(lost) or deliveries.is_any_due(lost)
    if is_work_waiting:
        wakeups.wake_worker(more=True)
    return is_work_waiting


def _query(query: Any, *args: Any) -> Any:
    """Return the query's result, or None if the database fails: the supervisor must outlive the database."""
    try:
        connection.close_if_unusable_or_obsolete()  # a connection that is opened measures the clocks again
        return query(*args)
    except Error:  # a lost connection is an InterfaceError, which is no DatabaseError
        log.exception("the database does not answer the worker's supervisor")
        connection.close()  # the next query opens a new one
        return None


def _kill_group(cluster: "subprocess.Popen[bytes]") -> None:
    """Kill all processes of the cluster, and wait for its main process."""
    with contextlib.suppress(ProcessLookupError):  # all of them had ended
        os.killpg(cluster.pid, signal.SIGKILL)
    cluster.wait()
