"""Worker runs that the supervisor starts itself while the broker is away, since the rows are the truth."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import structlog
from django.db import connection

from generations import wakeups
from generations.worker.processes import StopSignal, die_with_parent

log = structlog.stdlib.get_logger(__name__)

MAX_UNANSWERED_SECONDS = 8.0  # in which rows wait and no wake-up brings a run, before the broker is asked
START_SECONDS = 20.0  # in which a run that was started takes its slot
BROKER_SECONDS = 2.0  # in which a broker that works answers
MAX_RUNS = 9  # at once: one works, the others finish long steps, as in the cluster


class DirectRuns:
    """Start a worker run in a process of its own once wake-ups bring none and the broker does not answer.

    Where the broker answers, the cluster is at fault, and the supervisor restarts it. As soon as a wake-up brings a run
    again, no more are started here.
    """

    def __init__(self, stop: StopSignal) -> None:
        self._stop = stop
        self._runs: list[subprocess.Popen[bytes]] = []
        self._unanswered_since: float | None = None
        self._started_at = float("-inf")

    @property
    def pids(self) -> list[int]:
        """Return the ids of the processes that have not ended."""
        self._runs = [run for run in self._runs if run.poll() is None]
        return [run.pid for run in self._runs]

    def observe(self, *, is_work_waiting: bool) -> None:
        """Observe the host once more, as the supervisor does every few seconds, and start a run if none comes."""
        pids, now = self.pids, time.monotonic()
        is_starting = bool(pids) and now - self._started_at < START_SECONDS
        if wakeups.is_run_awake(but=pids):
            self._unanswered_since = None
        elif not is_starting and is_work_waiting and wakeups.has_free_slot() and len(self._runs) < MAX_RUNS:
            self._unanswered_since = self._unanswered_since or now
            is_late = now - self._unanswered_since >= MAX_UNANSWERED_SECONDS
            if is_late and not does_broker_answer():
                self._start()

    def _start(self) -> None:
        """Start a run."""
        log.warning("the broker does not answer; the supervisor starts a worker run itself")
        command = [sys.executable, sys.argv[0], "worker", "--once"]
        inherited, self._started_at = self._stop.inherited(), time.monotonic()
        self._runs.append(subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent, **inherited))

    def kill(self) -> None:
        """Kill the processes that have not ended."""
        for run in self._runs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()


def does_broker_answer() -> bool:
    """Return whether the broker answers within BROKER_SECONDS, however long its client would wait."""
    answers = threading.Event()

    def ask() -> None:
        try:
            wakeups.check_broker()
        except Exception:  # each broker has its own client with its own errors
            log.exception("the broker does not answer")
        else:
            answers.set()
        finally:
            connection.close()  # this thread's own
            done.set()

    done = threading.Event()
    threading.Thread(target=ask, name="broker-check", daemon=True).start()
    done.wait(BROKER_SECONDS)
    return answers.is_set()
