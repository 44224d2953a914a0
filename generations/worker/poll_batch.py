"""The results of polls that run in parallel, collected so that many are written by one statement."""

import random
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from generations import leases, lifecycle
from generations.models import Generation
from generations.upstream import poll_pauses
from generations.worker import backoff
from generations.worker.poll import poll
from generations.worker.pool_work import Step, guard
from tenants.db import clock


class PollBatch:
    """Collect the results of polls that run in parallel.

    Generations that are still rendering are rescheduled by one UPDATE in each iteration of the loop. Generations whose
    copy has started lie in `copies`, for as many threads as are free for them (`max_copies`). All others fall due at
    once: they wait in the database, where tenants take turns, and any worker run may take them.
    """

    def __init__(self) -> None:
        self.copies: deque[Step] = deque()
        self.max_copies = 0
        self._progresses: deque[lifecycle.Progress] = deque()

    def poll(self, generation: Generation) -> None:
        """Poll the generation, unless it has waited for a thread for half of its lease: then it falls due again.

        A poll takes up to a third of the lease.
        """
        if generation.due_at and generation.due_at - clock.now() < leases.POLL_LEASE / 2:
            return
        guard(generation, lambda: self._poll(generation))

    def _poll(self, generation: Generation) -> None:
        """Poll the generation, or put the poll off while the polls of its account are paused."""
        if seconds := poll_pauses.seconds_left(generation.account_name):
            # What waited is not polled all at once when the pause ends.
            spread = backoff.poll_interval(backoff.task_age(generation), generation.account_name)
            seconds += random.uniform(0, spread)  # noqa: S311
            lifecycle.reschedule(generation, seconds, is_outage=True)
        else:
            poll(generation, self._reschedule, self._start_copy)

    def write(self) -> None:
        """Store the progress collected since the last call. What cannot be stored is polled again after its lease."""
        progresses = [self._progresses.popleft() for _ in range(len(self._progresses))]
        lifecycle.reschedule_many(progresses)

    def release(self, generations: Sequence[Generation]) -> None:
        """Make the generations, and those that wait for a copy, due at once for another worker run."""
        while self.copies:
            lifecycle.reschedule(self.copies.popleft()[0], 0)
        for generation in generations:
            self._reschedule(generation, 0, progress_percent=generation.progress_percent)

    def _reschedule(self, generation: Generation, seconds: float, *, progress_percent: int, **_: Any) -> None:
        """Collect the progress of a generation that is due for a poll in `seconds`."""
        due_at = clock.now() + timedelta(seconds=seconds)
        self._progresses.append(lifecycle.Progress(generation.pk, generation.fencing_token, due_at, progress_percent))

    def _start_copy(self, generation: Generation, video_url: str) -> None:
        """Hand a generation whose copy has started to a free thread, or let it wait in the database."""
        if len(self.copies) < self.max_copies:
            self.copies.append((generation, video_url))
        else:
            lifecycle.reschedule(generation, 0)
