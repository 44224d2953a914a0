"""The end of a worker run: it waits for its work in progress, and a stop gives back what would be cut off."""

import time
from concurrent.futures import wait
from typing import Any

from generations import lifecycle
from generations.webhooks import deliveries
from generations.worker.poll_batch import PollBatch
from generations.worker.processes import is_stopping
from generations.worker.thread_pool import ThreadPool

STOP_CHECK_SECONDS = 0.25  # between two looks whether the supervisor stops
GRACE_SECONDS = 4.0  # after a stop, for work in progress; the supervisor kills the process after DRAIN_SECONDS


def finish(steps: ThreadPool, polls: ThreadPool, delivery_pool: ThreadPool, batch: PollBatch) -> None:
    """Wait for the work in progress.

    In a stop, make rows that no thread has begun due at once, and after GRACE_SECONDS those in progress too. Another
    worker can go on with them, and what this one still writes of them is refused. Otherwise they would wait for the
    ends of their leases.
    """
    pools, ends = (steps, polls, delivery_pool), None
    while pending := {future for pool in pools for future in pool.pending if not future.done()}:
        if ends is None and is_stopping():
            ends = time.monotonic() + GRACE_SECONDS
            _give_back(*(pool.cancel_waiting() for pool in pools))
        elif ends is not None and time.monotonic() >= ends:
            batch.release([])
            batch.write()
            _give_back(*(pool.drop_finished() for pool in pools))
            return
        else:
            wait(pending, timeout=STOP_CHECK_SECONDS, return_when="FIRST_COMPLETED")


def _give_back(steps: list[Any], polls: list[Any], delivered: list[Any]) -> None:
    """Make the rows of these items due now."""
    lifecycle.give_back([generation for generation, _ in steps] + polls)
    deliveries.give_back([delivery for _, delivery in delivered])
