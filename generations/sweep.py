"""The worker's loop: take a slot, claim due rows, a step for each, again until nothing is live or time is over."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import connections
from django.utils import timezone

from generations import heartbeat, lifecycle, queue, steps
from generations.models import Generation, Slot

log = logging.getLogger(__name__)

AWAKE_FOR = 50.0  # seconds; the schedule rings each minute
LOOK_EVERY = 0.5  # seconds between two looks at the due rows
LIVE_WITHIN = timedelta(minutes=1)  # a row due later than this is left to the schedule's ring


def run() -> int:
    """Sweep once. Returns the number of steps taken; 0 also where every slot is taken."""
    slot = queue.take_slot()
    if slot is None:
        return 0
    with _pool() as pool:  # leaving it waits for the steps under way, while a successor sweeps already
        try:
            taken, asked_to_stop = _sweep(slot, pool)
        finally:
            queue.free_slot(slot)
        if not asked_to_stop and _anything_live():
            queue.ring()
    return taken


def _sweep(slot: Slot, pool: ThreadPoolExecutor) -> tuple[int, bool]:
    ends, taken, next_beat = time.monotonic() + AWAKE_FOR, 0, float("-inf")
    running: set[Future[None]] = set()
    while True:
        if not queue.renew_slot(slot):
            return taken, True
        running = {future for future in running if not future.done()}
        room = settings.SWEEP_THREADS - len(running)
        claimed = lifecycle.claim_due(room) if room else []
        running |= {pool.submit(_step, generation) for generation in claimed}
        taken += len(claimed)
        if time.monotonic() >= next_beat:
            heartbeat.beat()
            next_beat = time.monotonic() + heartbeat.BEAT_EVERY
        if time.monotonic() >= ends or not (running or _anything_live()):
            return taken, False
        _rest(running, full=len(claimed) == room)


def _rest(running: set[Future[None]], *, full: bool) -> None:
    """Until the next look: half a second, or less where more rows wait for a thread that comes free."""
    if full and running:
        wait(running, timeout=LOOK_EVERY, return_when="FIRST_COMPLETED")
    else:
        time.sleep(LOOK_EVERY)


def _step(generation: Generation) -> None:
    try:
        steps.advance(generation)
    except Exception:
        log.exception("a step failed; generation=%s status=%s", generation.pk, generation.status)
        _recover(generation)
    finally:
        connections["default"].close_if_unusable_or_obsolete()  # a cut one would fail each step of this thread


def _recover(generation: Generation) -> None:
    try:
        steps.recover(generation)
    except Exception:  # the database itself: the row keeps its lease, and falls due again with it
        log.exception("a step's failure could not be recorded; generation=%s", generation.pk)


def _anything_live() -> bool:
    due = lifecycle.next_due()
    return due is not None and due < timezone.now() + LIVE_WITHIN


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that keep their database connection while the sweep lasts, and leave none behind."""
    opened = []

    def open_connection() -> None:
        connection = connections["default"]
        connection.inc_thread_sharing()  # so that it can be closed from here
        opened.append(connection)

    with ThreadPoolExecutor(settings.SWEEP_THREADS, "step", initializer=open_connection) as pool:
        yield pool
    for connection in opened:
        connection.close()
