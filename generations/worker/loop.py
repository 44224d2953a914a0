"""The worker's loop: take a slot, claim due rows, a step for each, again until nothing is live or time is over."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import Any

import structlog
from django.conf import settings
from django.db import connections
from django.utils import timezone

from generations import leases, lifecycle, wakeups
from generations.models import Delivery, Generation, Slot
from generations.ops import deletion
from generations.reports import hourly_statistics, worker_hosts
from generations.telemetry import tracing
from generations.upstream import rate_limit
from generations.webhooks import deliveries, fair_queue, send
from generations.webhooks.fair_queue import Candidate
from generations.worker import claims, steps

log = structlog.stdlib.get_logger(__name__)

LOOK_EVERY = 0.4  # seconds between two looks at the due rows
SHORT = 0.05  # seconds between two looks at the polls that are under way
POLLS_AT_ONCE = 200  # in one claim, where so many are due
POLLS_AHEAD = 8  # for each thread that polls
LIVE_WITHIN = timedelta(minutes=1)  # a row due later than this is left to the schedule's ring

SUBMITS = (Generation.Status.QUEUED, Generation.Status.SUBMITTING)
Work = tuple[Generation, str]  # and the URL of the video, where its copy has begun


class ThreadPool:
    """Threads for one kind of work, and what they are at or have before them: `size` at most."""

    def __init__(self, pool: ThreadPoolExecutor, size: int, work: Callable[[Any], None]) -> None:
        self.pool, self.size, self._work = pool, size, work
        self.at: dict[Future[None], Any] = {}

    def look(self) -> list[Any]:
        """What is under way."""
        self.at = {future: one for future, one in self.at.items() if not future.done()}
        return list(self.at.values())

    @property
    def room(self) -> int:
        return self.size - len(self.at)

    def after(self, count: int) -> set[Future[None]]:
        """The one with which so many of them are done, or about as many: the first to come is the first to be begun."""
        return set(islice(self.at, count - 1, count))

    def begin(self, claimed: Sequence[Any]) -> int:
        self.at |= {self.pool.submit(self._work, one): one for one in claimed}
        return len(claimed)

    def give_up_waiting(self) -> list[Any]:
        """What no thread has begun, which now none will."""
        return [one for future, one in self.at.items() if future.cancel()]


class PollBatch:
    """What becomes of what many polls saw: those that render on are put off by one write, and copies go to the threads
    that are for long work."""

    def __init__(self) -> None:
        self.copies: deque[tuple[Generation, str]] = deque()
        self._rendering: deque[lifecycle.Progress] = deque()

    def look(self, claimed: Generation) -> None:
        if claimed.due_at and claimed.due_at - timezone.now() < leases.POLL_LEASE / 2:
            return  # it waited for a thread for half of its lease, and a poll takes a third: it falls due again
        _guarded(claimed, lambda: steps.poll(claimed, self._reschedule, self._copy))

    def write(self) -> None:
        """What was seen since the last time. What can not be written keeps its lease, and is polled again after it."""
        seen = [self._rendering.popleft() for _ in range(len(self._rendering))]
        lifecycle.reschedule_many(seen)

    def give_back(self, unseen: Sequence[Generation]) -> None:
        """What nobody will look at, or copy, here: it is due at once, for another sweep."""
        while self.copies:
            lifecycle.reschedule(self.copies.popleft()[0], 0)
        for generation in unseen:
            self._reschedule(generation, 0, progress_percent=generation.progress_percent)

    def _reschedule(self, generation: Generation, seconds: float, *, progress_percent: int, **_: Any) -> None:
        due_at = timezone.now() + timedelta(seconds=seconds)
        self._rendering.append(lifecycle.Progress(generation.pk, generation.fencing_token, due_at, progress_percent))

    def _copy(self, generation: Generation, video_url: str) -> None:
        self.copies.append((generation, video_url))


def run() -> int:
    """Sweep once. Returns the number of steps and deliveries; 0 also where every slot is taken."""
    slot = wakeups.take_slot()
    if slot is None:
        return 0
    seen = PollBatch()
    # Leaving them waits for what is under way, while a successor sweeps already.
    with (
        _crew("step", settings.SWEEP_THREADS, settings.SWEEP_THREADS, _do) as stepping,
        _crew("poll", settings.POLL_THREADS, POLLS_AHEAD * settings.POLL_THREADS, seen.look) as polling,
        _crew("delivery", settings.DELIVERY_THREADS, settings.DELIVERY_THREADS, _deliver) as telling,
    ):
        stepping.pool.submit(_tidy)
        try:
            taken, asked_to_stop = _sweep(slot, stepping, polling, telling, seen)
        finally:
            try:
                seen.give_back(polling.give_up_waiting())
                seen.write()
            finally:
                wakeups.free_slot(slot)
                tracing.flush()
        if not asked_to_stop and _anything_live():
            wakeups.ring()
    seen.give_back([])
    seen.write()
    return taken


def _sweep(
    slot: Slot, stepping: ThreadPool, polling: ThreadPool, telling: ThreadPool, seen: PollBatch
) -> tuple[int, bool]:
    ends, taken, next_beat = time.monotonic() + leases.RUN_SECONDS, 0, float("-inf")
    while True:
        if not wakeups.renew_slot(slot):
            return taken, True
        seen.write()
        begun, stepping_full = _begin_steps(stepping, seen)
        polled, polling_full = _begin_polls(polling)
        taken += begun + polled
        taken += telling.begin(fair_queue.claim([candidate for candidate, _ in telling.look()]))
        if time.monotonic() >= next_beat:
            worker_hosts.record_heartbeat()
            next_beat = time.monotonic() + worker_hosts.HEARTBEAT_INTERVAL_SECONDS
        if time.monotonic() >= ends or not (stepping.at or polling.at or telling.at or _anything_live()):
            return taken, False
        # A thread that comes free is waited for where more rows want one. A receiver that has answered may be sent its
        # next; one that is failing waits for the next look, or thousands that fail at once would keep us looking.
        awaited = {future for future, (candidate, _) in telling.at.items() if not candidate.is_failing}
        awaited |= set(stepping.at) if stepping_full else set()
        _rest(awaited, polling, seen, hurry=polling_full)


def _begin_steps(stepping: ThreadPool, seen: PollBatch) -> tuple[int, bool]:
    """Copies first: they are paid for. Neither they nor submits may hold all threads. Whether more want one."""
    busy = Counter(claimed.tenant_id for claimed, _ in stepping.look() if claimed.status in SUBMITS)
    share = max(settings.SWEEP_THREADS * 3 // 4, 1)
    copies = max(min(stepping.room, share - (len(stepping.at) - busy.total())), 0)
    handed = [seen.copies.popleft() for _ in range(min(copies, len(seen.copies)))]
    work: list[Work] = [*handed, *((one, "") for one in claims.others(copies - len(handed)))]
    begun = stepping.begin(work)
    submits, upstream = max(min(stepping.room, share - busy.total()), 0), rate_limit.room()
    claimed = claims.submits(min(submits, upstream) if upstream else submits, busy, live=bool(upstream))
    begun += stepping.begin([(one, "") for one in claimed])
    full = bool(seen.copies) or begun == copies + submits or stepping.room == 0
    return begun, full and bool(stepping.at)


def _begin_polls(polling: ThreadPool) -> tuple[int, bool]:
    polling.look()
    if polling.room < _batch(polling):  # a few at a time would be a claim each
        return 0, True
    wanted = min(polling.room, POLLS_AT_ONCE)
    claimed = claims.polls(wanted)
    return polling.begin(claimed), len(claimed) == wanted


def _batch(polling: ThreadPool) -> int:
    return min(polling.size // 2, POLLS_AT_ONCE)


def _rest(until: set[Future[None]], polling: ThreadPool, seen: PollBatch, *, hurry: bool) -> None:
    """Until the next look, or until one of those is done, or polls want more rows or have a copy."""
    ends, had_copies = time.monotonic() + LOOK_EVERY, bool(seen.copies)  # those that there was no thread for
    while (left := ends - time.monotonic()) > 0:
        if hurry and polling.room >= _batch(polling):
            return
        awaited = until | polling.after(_batch(polling) - polling.room) if hurry else until
        if awaited:
            done, _ = wait(awaited, timeout=min(left, SHORT), return_when="FIRST_COMPLETED")
            if done & until:
                return
        else:
            time.sleep(min(left, SHORT))
        polling.look()
        if seen.copies and not had_copies:
            return


def _do(work: "Work") -> None:
    claimed, video_url = work
    _guarded(claimed, lambda: steps.copy_from(claimed, video_url) if video_url else steps.advance(claimed))


def _guarded(generation: Generation, step: Callable[[], None]) -> None:
    try:
        step()
    except Exception:
        log.exception("a step failed", generation=str(generation.pk), status=str(generation.status))
        _recover(steps.recover, generation)
    finally:
        connections["default"].close_if_unusable_or_obsolete()  # a cut one would fail each step of this thread


def _deliver(claimed: tuple[Candidate, Delivery]) -> None:
    _, delivery = claimed
    try:
        send.attempt(delivery)
    except Exception:
        log.exception("a delivery failed", delivery=str(delivery.pk), tenant=delivery.tenant_id)
        _recover(send.record_internal_error, delivery)
    finally:
        connections["default"].close_if_unusable_or_obsolete()


def _tidy() -> None:
    """Once a sweep: what was deleted and is still in the bucket, deliveries whose endpoint is gone, and the sums."""
    try:
        deliveries.fail_strays()
        deletion.retry_purges()
        hourly_statistics.store_past_hours()
        hourly_statistics.update_storage_use()
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
    return claims.is_any_due(soon) or deliveries.is_any_due(soon)


@contextmanager
def _crew(name: str, threads: int, size: int, work: Callable[[Any], None]) -> Iterator[ThreadPool]:
    """Threads that keep their database connection while the sweep lasts, and leave none behind."""
    opened = []

    def open_connection() -> None:
        connection = connections["default"]
        connection.inc_thread_sharing()  # so that it can be closed from here
        opened.append(connection)

    with ThreadPoolExecutor(threads, name, initializer=open_connection) as pool:
        yield ThreadPool(pool, size, work)
    for connection in opened:
        connection.close()
