"""The worker's loop: take a slot, claim due rows, a step for each, again until nothing is live or time is over."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connections
from django.utils import timezone

from generations import deliver, deliveries, heartbeat, lifecycle, queue, removal, steps, tally, tracing, turns
from generations.models import Delivery, Generation, Slot
from generations.turns import Turn

log = structlog.stdlib.get_logger(__name__)

AWAKE_FOR = 50.0  # seconds; the schedule rings each minute
LOOK_EVERY = 0.5  # seconds between two looks at the due rows
LIVE_WITHIN = timedelta(minutes=1)  # a row due later than this is left to the schedule's ring


class Crew:
    """Threads for one kind of work, and what they are at."""

    def __init__(self, pool: ThreadPoolExecutor, size: int, work: Callable[[Any], None]) -> None:
        self.pool, self._size, self._work = pool, size, work
        self.at: dict[Future[None], Any] = {}

    def look(self) -> list[Any]:
        """What is under way."""
        self.at = {future: one for future, one in self.at.items() if not future.done()}
        return list(self.at.values())

    @property
    def room(self) -> int:
        return self._size - len(self.at)

    def begin(self, claimed: Sequence[Any]) -> int:
        self.at |= {self.pool.submit(self._work, one): one for one in claimed}
        return len(claimed)


def run() -> int:
    """Sweep once. Returns the number of steps and deliveries; 0 also where every slot is taken."""
    slot = queue.take_slot()
    if slot is None:
        return 0
    # Leaving them waits for what is under way, while a successor sweeps already.
    with (
        _crew("step", settings.SWEEP_THREADS, _step) as stepping,
        _crew("delivery", settings.DELIVERY_THREADS, _deliver) as telling,
    ):
        stepping.pool.submit(_tidy)
        try:
            taken, asked_to_stop = _sweep(slot, stepping, telling)
        finally:
            queue.free_slot(slot)
            tracing.flush()
        if not asked_to_stop and _anything_live():
            queue.ring()
    return taken


def _sweep(slot: Slot, stepping: Crew, telling: Crew) -> tuple[int, bool]:
    ends, taken, next_beat = time.monotonic() + AWAKE_FOR, 0, float("-inf")
    while True:
        if not queue.renew_slot(slot):
            return taken, True
        stepping.look()
        room = stepping.room
        claimed = lifecycle.claim_due(room) if room else []
        taken += stepping.begin(claimed)
        taken += telling.begin(turns.claim([turn for turn, _ in telling.look()]))
        if time.monotonic() >= next_beat:
            heartbeat.beat()
            next_beat = time.monotonic() + heartbeat.BEAT_EVERY
        if time.monotonic() >= ends or not (stepping.at or telling.at or _anything_live()):
            return taken, False
        # A thread that comes free is waited for where more rows want one. A receiver that has answered may be sent its
        # next; one that is failing waits for the next look, or thousands that fail at once would keep us looking.
        awaited = {future for future, (turn, _) in telling.at.items() if not turn.failing}
        _rest(awaited | (set(stepping.at) if len(claimed) == room else set()))


def _rest(until: set[Future[None]]) -> None:
    """Until the next look: half a second, or until one of those is done."""
    if until:
        wait(until, timeout=LOOK_EVERY, return_when="FIRST_COMPLETED")
    else:
        time.sleep(LOOK_EVERY)


def _step(generation: Generation) -> None:
    try:
        steps.advance(generation)
    except Exception:
        log.exception("a step failed", generation=str(generation.pk), status=str(generation.status))
        _recover(steps.recover, generation)
    finally:
        connections["default"].close_if_unusable_or_obsolete()  # a cut one would fail each step of this thread


def _deliver(claimed: tuple[Turn, Delivery]) -> None:
    _, delivery = claimed
    try:
        deliver.attempt(delivery)
    except Exception:
        log.exception("a delivery failed", delivery=str(delivery.pk), tenant=delivery.tenant_id)
        _recover(deliver.recover, delivery)
    finally:
        connections["default"].close_if_unusable_or_obsolete()


def _tidy() -> None:
    """Once a sweep: what was deleted and is still in the bucket, deliveries whose endpoint is gone, and the sums."""
    try:
        deliveries.end_strays()
        removal.purge_left()
        tally.close_hours()
        tally.measure_storage()
    except Exception:
        log.exception("what is over could not be removed, or counted; the next sweep tries again")
    finally:
        connections["default"].close_if_unusable_or_obsolete()


def _recover(recover: Callable[[Any], None], row: Generation | Delivery) -> None:
    try:
        recover(row)
    except Exception:  # the database itself: the row keeps its lease, and falls due again with it
        log.exception("its failure could not be recorded", **{type(row).__name__.lower(): str(row.pk)})


def _anything_live() -> bool:
    soon = timezone.now() + LIVE_WITHIN
    return any(due is not None and due < soon for due in (lifecycle.next_due(), deliveries.next_due()))


@contextmanager
def _crew(name: str, size: int, work: Callable[[Any], None]) -> Iterator[Crew]:
    """Threads that keep their database connection while the sweep lasts, and leave none behind."""
    opened = []

    def open_connection() -> None:
        connection = connections["default"]
        connection.inc_thread_sharing()  # so that it can be closed from here
        opened.append(connection)

    with ThreadPoolExecutor(size, name, initializer=open_connection) as pool:
        yield Crew(pool, size, work)
    for connection in opened:
        connection.close()
