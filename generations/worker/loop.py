"""A worker run: take a slot, then claim due rows and hand them to threads until nothing is live or time is over."""

import time
from collections import Counter
from concurrent.futures import Future, wait
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings

from generations import leases, wakeups
from generations.models import Generation, Slot
from generations.reports import worker_hosts
from generations.telemetry import tracing
from generations.upstream import accounts, poll_pauses, rate_limit
from generations.webhooks import deliveries, fair_queue
from generations.worker import claims, pool_work, stopping
from generations.worker.poll_batch import PollBatch
from generations.worker.pool_work import Step
from generations.worker.thread_pool import ThreadPool, open_pool
from tenants.db import clock

ITERATION_SECONDS = 0.4  # between two reads of the due rows
MAX_WAIT_SECONDS = 0.05  # between two looks at the polls in progress
MAX_POLLS_CLAIMED = 200  # at once
POLLS_PER_THREAD = 8  # in progress or waiting for a thread
LIVE_WITHIN = timedelta(minutes=1)  # a row due later than this is left to the schedule's next wake-up

SUBMITS = (Generation.Status.QUEUED, Generation.Status.SUBMITTING)


class Pools(NamedTuple):
    """The thread pools of a run: `steps` takes submits, copies and rows in doubt."""

    steps: ThreadPool
    polls: ThreadPool
    deliveries: ThreadPool


def run() -> int:
    """Do one worker run. Return the number of steps and deliveries started; 0 if every slot is taken."""
    slot = wakeups.take_slot()
    if slot is None:
        return 0
    batch = PollBatch()
    step_threads, poll_threads = settings.SWEEP_THREADS, settings.POLL_THREADS
    delivery_threads = settings.DELIVERY_THREADS
    # The work in progress is waited for in the pools, while a later run already works.
    with (
        open_pool("step", step_threads, step_threads, pool_work.take_step) as step_pool,
        open_pool("poll", poll_threads, POLLS_PER_THREAD * poll_threads, batch.poll) as poll_pool,
        open_pool("delivery", delivery_threads, delivery_threads, pool_work.deliver) as delivery_pool,
    ):
        step_pool.executor.submit(pool_work.tidy)
        try:
            count, must_stop = _iterate(slot, Pools(step_pool, poll_pool, delivery_pool), batch)
        finally:
            try:
                batch.release(poll_pool.cancel_waiting())
                batch.write()
            finally:
                wakeups.free_slot(slot)
                tracing.flush()
        if not must_stop and _is_anything_live():
            wakeups.wake_worker()
        stopping.finish(step_pool, poll_pool, delivery_pool, batch)
    batch.release([])
    batch.write()
    return count


def _iterate(slot: Slot, pools: Pools, batch: PollBatch) -> tuple[int, bool]:
    """Claim due rows and start their work, again and again.

    Return the number of items started, and whether the run was asked to stop.
    """
    ends, count, next_heartbeat = time.monotonic() + leases.RUN_SECONDS, 0, float("-inf")
    while True:
        if not wakeups.renew_slot(slot):
            return count, True
        batch.write()
        steps, want_steps = _start_steps(pools.steps, batch)
        polls, want_polls = _start_polls(pools.polls)
        count += steps + polls
        in_progress = [candidate for candidate, _ in pools.deliveries.drop_finished()]
        count += pools.deliveries.start(fair_queue.claim(in_progress))
        if time.monotonic() >= next_heartbeat:
            worker_hosts.record_heartbeat()
            next_heartbeat = time.monotonic() + worker_hosts.HEARTBEAT_INTERVAL_SECONDS
        is_busy = any(pool.pending for pool in pools)
        if time.monotonic() >= ends or not (is_busy or _is_anything_live()):
            return count, False
        # A free thread ends the wait if more rows need one. A receiver that has answered may get its next delivery. A
        # failing one waits for the next iteration, or thousands that fail at once would keep us reading.
        awaited = {future for future, (candidate, _) in pools.deliveries.pending.items() if not candidate.is_failing}
        awaited |= set(pools.steps.pending) if want_steps else set()
        _wait(awaited, pools.polls, batch, want_polls=want_polls)


def _start_steps(pool: ThreadPool, batch: PollBatch) -> tuple[int, bool]:
    """Start copies first, since they are paid for, then submits. Neither may hold all threads.

    Return the number started, and whether more rows need a thread.
    """
    in_progress = [generation for generation, _ in pool.drop_finished()]
    submitting = Counter(generation.tenant_id for generation in in_progress if generation.status in SUBMITS)
    copying = Counter(generation.tenant_id for generation in in_progress if generation.status not in SUBMITS)
    share = max(settings.SWEEP_THREADS * 3 // 4, 1)
    max_copies = max(min(pool.free, share - copying.total()), 0)
    steps: list[Step] = [batch.copies.popleft() for _ in range(min(max_copies, len(batch.copies)))]
    copying.update(generation.tenant_id for generation, _ in steps)
    # A search for a lost answer may take minutes: it may not hold all threads either.
    searching = sum(generation.status == Generation.Status.IN_DOUBT for generation in in_progress)
    max_others = min(max_copies - len(steps), max(share // 4, 1) - searching)
    steps += ((generation, "") for generation in claims.claim_others(max_others))
    steps += ((generation, "") for generation in claims.claim_copies(max_copies - len(steps), copying))
    # While copies wait in the database, those that polls find go there too, and take their turn.
    batch.max_copies = max_copies - len(steps)
    count = pool.start(steps)
    max_submits = max(min(pool.free, share - submitting.total()), 0)
    capacity = rate_limit.estimate_capacities()
    limit = min(max_submits, sum(capacity.values())) if any(capacity.values()) else max_submits
    submits = claims.claim_submits(limit, submitting, accounts.models_of_full(capacity))
    count += pool.start([(generation, "") for generation in submits])
    is_full = batch.max_copies <= 0 or count == max_copies + max_submits or pool.free == 0
    return count, is_full and bool(pool.pending)


def _start_polls(pool: ThreadPool) -> tuple[int, bool]:
    """Start the polls that are due. Return the number started, and whether more rows may be due."""
    pool.drop_finished()
    if pool.free < _min_claim(pool):
        return 0, True
    limit = min(pool.free, MAX_POLLS_CLAIMED)
    generations = claims.claim_polls(limit)
    if generations:
        poll_pauses.refresh()
    return pool.start(generations), len(generations) == limit


def _min_claim(pool: ThreadPool) -> int:
    """Return how many polls are claimed at least: with fewer, each poll would cost nearly a claim of its own."""
    return min(pool.size // 2, MAX_POLLS_CLAIMED)


def _wait(awaited: set[Future[None]], polls: ThreadPool, batch: PollBatch, *, want_polls: bool) -> None:
    """Wait for the next iteration, until ITERATION_SECONDS are over.

    The wait ends earlier when one of the awaited futures is done, or a poll has found a video. If more rows are due for
    a poll (`want_polls`), the wait also ends when the pool has space for another claim.
    """
    ends = time.monotonic() + ITERATION_SECONDS
    had_copies = bool(batch.copies)  # copies for which there was no thread
    while (left := ends - time.monotonic()) > 0:
        if want_polls and polls.free >= _min_claim(polls):
            return
        futures = awaited | polls.nth_pending(_min_claim(polls) - polls.free) if want_polls else awaited
        if futures:
            done, _ = wait(futures, timeout=min(left, MAX_WAIT_SECONDS), return_when="FIRST_COMPLETED")
            if done & awaited:
                return
        else:
            time.sleep(min(left, MAX_WAIT_SECONDS))
        polls.drop_finished()
        if batch.copies and not had_copies:
            return


def _is_anything_live() -> bool:
    """Return whether a generation or a delivery is due within LIVE_WITHIN."""
    soon = clock.now() + LIVE_WITHIN
    return claims.is_any_due(soon) or deliveries.is_any_due(soon)
