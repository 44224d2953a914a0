"""The options and the deadline of one pruning run, and its result for each kind of data."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet, Sum

from generations.bucket import undeleted
from generations.bucket.objects import Undeleted
from tenants.db import clock

BEFORE_ALL_DATA = datetime(2000, 1, 1, tzinfo=UTC)
CONTINUES = "continues in the next run"


@dataclass
class PruneResult:
    """The number and bytes of one kind of data that a run deleted, or that a dry run would delete."""

    what: str  # the kind's name in pruning.KINDS
    count: int = 0
    bytes: int = 0
    note: str = ""
    failed: int = 0  # items that were not deleted, though it was their time

    def add_failures(self, failures: Sequence[Undeleted]) -> None:
        """Record objects that S3 refused to delete. The rest of the run goes on."""
        undeleted.record(failures)
        self.failed += len(failures)
        if self.failed:
            self.note = f"{self.failed} could not be deleted"

    def add(self, sizes: Iterable[int]) -> None:
        """Count deleted items by their sizes in bytes."""
        for size in sizes:
            self.count += 1
            self.bytes += size


class PruneRun:
    """A pruning run. A `dry` run counts what would be deleted, and changes nothing.

    A run with `seconds` stops after about so many, and the next run continues. With 0 the run has no time limit.
    """

    batch_size = 500  # rows and objects in one write

    def __init__(self, *, dry: bool = False, seconds: float = 0.0) -> None:
        self.dry, self.now = dry, clock.now()
        self._deadline = time.monotonic() + seconds if seconds else float("inf")

    def is_over(self) -> bool:
        """Return whether the run has reached its time limit."""
        return time.monotonic() > self._deadline

    def cutoff(self, days: int) -> datetime:
        """Return the time before which data is older than `days`. With 0 days, no data is older."""
        return self.now - timedelta(days=days) if days else BEFORE_ALL_DATA

    def take_batches(self, rows: QuerySet[Any], result: PruneResult, order: str, size: str = "") -> Iterator[list[Any]]:
        """Yield lists of up to `batch_size` rows by the column `order`, until none is left or the run is over.

        The caller removes each list. Each row comes once: what the caller leaves, for example because another
        transaction has locked it, stays for the next run. A dry run yields nothing: it adds the rows' number, and the
        sum of the column `size`, to the result.
        """
        if self.dry:
            result.count += rows.count()
            result.bytes += rows.aggregate(bytes=Sum(size, default=0))["bytes"] if size else 0
            return
        rest = rows = rows.order_by(order, "pk")
        while batch := list(rest[: self.batch_size]):
            yield batch
            if self.is_over():
                result.note = CONTINUES
                return
            last = getattr(batch[-1], order)
            rest = rows.filter(Q(**{f"{order}__gt": last}) | Q(**{order: last}, pk__gt=batch[-1].pk))
            rest = rest.filter(**{f"{order}__gte": last})  # a plain condition, by which an index is entered

    def delete(self, rows: QuerySet[Any], result: PruneResult) -> None:
        """Delete all the rows in one statement. A dry run counts them."""
        result.count = rows.count() if self.dry else rows.delete()[0]
