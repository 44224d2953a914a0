"""Counts which tenants and keys were refused creates, by limit and hour.

A refusal only adds to a number in memory. A thread writes all numbers of its process by one statement, the first at
once and later ones every INTERVAL_SECONDS, so that a flood of refusals is no flood of writes. A crash, or a database
that takes no writes, loses the last seconds of this statistic, and nothing else.
"""

import os
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from multiprocessing.util import Finalize
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Max, QuerySet, Sum

from tenants.db import clock
from tenants.db.engine import engine
from tenants.models import ApiKey, RefusalCount, Tenant

log = structlog.stdlib.get_logger(__name__)

INTERVAL_SECONDS = 5.0  # between two writes of one process
LAST_WRITE_SECONDS = 2.0  # for what is not yet written when a process ends
MAX_ROWS_PER_WRITE = 1000
RETENTION = timedelta(days=35)  # the panel shows 30 days at most

COLUMNS = ("tenant_id", "api_key_id", "limit_name", "hour", "refused")
TYPES = ("bigint", "bigint", "text", "timestamptz", "bigint")
ADD = f"""
WITH added ({", ".join(COLUMNS)}) AS ({{rows}})
INSERT INTO tenants_refusalcount ({", ".join(COLUMNS)}) SELECT * FROM added WHERE true
ON CONFLICT (tenant_id, api_key_id, limit_name, hour)
DO UPDATE SET refused = tenants_refusalcount.refused + excluded.refused
"""  # noqa: S608

Place = tuple[int, int, str, datetime]  # COLUMNS without the number


class RefusalCounter:
    """The refusals of this process that are not written yet, and the thread that writes them."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start without refusals and thread, also after a fork: the parent's stay with the parent."""
        self._lock = threading.Lock()
        self._counts = Counter[Place]()
        self._thread: threading.Thread | None = None
        self._is_ending = threading.Event()
        self._finalizer: Finalize | None = None

    def count(self, key: ApiKey, limit_name: str) -> None:
        """Count a refusal. This never raises, and waits for no database.

        Only in a caller's transaction it is written at once, as a part of that: the thread would not see the
        transaction's rows.
        """
        place = key.tenant_id, key.pk, limit_name, _start_of_hour(clock.now())
        if connection.in_atomic_block:
            _try_write({place: 1})
            return
        with self._lock:
            self._counts[place] += 1
            self._ensure_thread()

    def finish(self) -> None:
        """Write what is not written yet, and wait up to LAST_WRITE_SECONDS for that."""
        self._is_ending.set()
        if thread := self._thread:
            thread.join(LAST_WRITE_SECONDS)

    def _ensure_thread(self) -> None:
        """Start the thread, unless it runs. The caller holds the lock."""
        if self._thread:
            return
        # Not `atexit`: the server's processes are children of multiprocessing, which end without it, and which forget
        # what was registered before they were forked.
        self._finalizer = self._finalizer or Finalize(None, self.finish, exitpriority=0)
        thread = threading.Thread(target=self._write_until_empty, name="refusals", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the machine has no thread left: the next refusal tries again
            return
        self._thread = thread

    def _write_until_empty(self) -> None:
        """Write what was counted, and then what was counted in the meantime, until there is nothing to write."""
        while counts := self._take_or_retire():
            _try_write(counts)
            connection.close()
            self._is_ending.wait(INTERVAL_SECONDS)

    def _take_or_retire(self) -> Counter[Place]:
        """Take what was counted. If that is nothing, give up the thread: the next refusal starts another."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            if not counts:
                self._thread = None
            return counts


_counter = RefusalCounter()
os.register_at_fork(after_in_child=_counter.reset)
count = _counter.count
finish = _counter.finish


def read(since: datetime, *holder: str, tenant: Tenant | None = None) -> QuerySet[Any, Any]:
    """Return the refusals since the hour of `since` by limit and the columns `holder`, the most frequent first.

    Each row has `refused_sum`, and `last`, the latest hour. With a tenant, only that tenant's are read.
    """
    counts = RefusalCount.objects.filter(hour__gte=_start_of_hour(since), **({"tenant": tenant} if tenant else {}))
    sums: QuerySet[Any, Any] = counts.order_by().values(*holder, "limit_name")
    sums = sums.annotate(refused_sum=Sum("refused"), last=Max("hour"))
    return sums.order_by("-refused_sum", *holder, "limit_name")


def old(now: datetime) -> QuerySet[RefusalCount]:
    """Return the counts that are older than RETENTION."""
    return RefusalCount.objects.filter(hour__lt=now - RETENTION)


def _start_of_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _try_write(counts: Mapping[Place, int]) -> None:
    """Add the counts to the stored ones. Log an error: the refusals themselves are answered."""
    try:
        _write(counts)
    except Exception:
        log.exception("refusals could not be counted", count=sum(counts.values()))


def _write(counts: Mapping[Place, int]) -> None:
    """Add the counts to the stored ones, in one order: so processes that write at once do not deadlock."""
    rows = [(*place, number) for place, number in sorted(counts.items())]
    for start in range(0, len(rows), MAX_ROWS_PER_WRITE):
        sql, values = engine.table_of_rows(TYPES, rows[start : start + MAX_ROWS_PER_WRITE])
        with transaction.atomic():
            engine.run(ADD.format(rows=sql), values)
