"""Scan an upstream's list of tasks: one host at a time for each account, at most one request a second.

A row for each account holds the lease and the time of the next request. A scan that is cut off proves nothing.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Q

from generations import leases
from generations.models import ListReader
from generations.telemetry import metrics
from generations.upstream.errors import AccountError, UpstreamError
from generations.upstream.protocol import Account, ListedTask, ListPage, Wire
from tenants.db import clock

PACE = timedelta(seconds=1)  # between two requests, as the upstream documents its limit
MAX_AHEAD = timedelta(seconds=2)  # of the next request; a later one was asked for by the upstream
MAX_RETRY_AFTER = timedelta(seconds=300)  # a later time was written by a host whose clock is ahead
LABELS = {True: "complete", False: "broken"}


class LeaseLost(Exception):
    """Another host reads the account's list."""


@dataclass
class Lease:
    """The right of one scan to read the account's list."""

    account: str
    owner: str
    free_at: datetime

    def wait_for_turn(self) -> None:
        """Renew the lease, and wait for the moment of the next request. Raise LeaseLost."""
        now = clock.now()
        moment = max(self.free_at, now)
        row = ListReader.objects.filter(pk=self.account, owner=self.owner)
        if not row.update(free_at=moment + PACE, lease_until=moment + leases.LIST_LEASE):
            raise LeaseLost
        self.free_at = moment + PACE
        time.sleep((moment - now).total_seconds())

    def release(self, retry_after: float = 0.0) -> None:
        """Give the lease back. `retry_after`: the upstream asks for that many seconds without a request."""
        later = clock.now() + min(timedelta(seconds=retry_after), MAX_RETRY_AFTER)
        row = ListReader.objects.filter(pk=self.account, owner=self.owner)
        row.update(owner="", lease_until=clock.now(), free_at=max(self.free_at, later))


@dataclass
class ScanResult:
    """The result of a scan, to which each page adds."""

    began_at: datetime
    pages: int = 0
    seen: int = 0  # tasks, those that were on two pages twice
    total: int = 0  # the largest that a page named
    is_complete: bool = False
    problem: str = ""  # why it is not
    retry_after: float = 0.0
    tasks: list[ListedTask] = field(default_factory=list)  # those that may matter
    ended_at: datetime = field(default_factory=clock.now)


def take(account: str) -> Lease | float:
    """Take the right to read the account's list. Return the seconds to wait if another host has it."""
    now = clock.now()
    row, _ = ListReader.objects.get_or_create(pk=account, defaults={"lease_until": now, "free_at": now})
    free_at = row.free_at if row.free_at <= now + MAX_RETRY_AFTER else now
    if free_at > now + MAX_AHEAD:
        return (free_at - now).total_seconds()
    owner = secrets.token_hex(16)
    far_ahead = Q(lease_until__gt=now + 2 * leases.LIST_LEASE)  # written by a host whose clock is ahead
    free = ListReader.objects.filter(Q(lease_until__lte=now) | far_ahead, pk=account)
    if not free.update(owner=owner, lease_until=now + leases.LIST_LEASE):
        return leases.LIST_LEASE.total_seconds() / 2
    return Lease(account, owner, free_at)


def read(
    lease: Lease,
    wire: Wire,
    account: Account,
    target: str,
    is_relevant: Callable[[ListedTask], bool],
    on_page: Callable[[], object],
) -> ScanResult:
    """Read the list of a model's tasks to its end, and return what was seen. `on_page` is called after each page.

    The scan is complete only if the upstream ended it, and as many tasks were seen as it names.
    """
    result = ScanResult(began_at=clock.now())
    ends = time.monotonic() + leases.SCAN_SECONDS
    try:
        pages = iter(wire.list_tasks(account, target))
        while True:
            lease.wait_for_turn()
            page = next(pages, None)
            if page is None:
                break
            _add(result, page, is_relevant)
            on_page()
            if time.monotonic() > ends:
                result.problem = f"the list was not read to its end within {leases.SCAN_SECONDS:.0f} s"
                break
    except LeaseLost:
        result.problem = "another host reads the list"
    except UpstreamError as error:
        result.problem = str(error)
        result.retry_after = (error.retry_after or 0.0) if isinstance(error, AccountError) else 0.0
    if not result.problem and (not result.pages or result.seen < result.total):
        result.problem = f"the list ended after {result.seen} of {result.total} tasks"
    result.is_complete, result.ended_at = not result.problem, clock.now()
    metrics.UPSTREAM_CALLS.labels("list", LABELS[result.is_complete], account.name).inc()
    return result


def _add(result: ScanResult, page: ListPage, is_relevant: Callable[[ListedTask], bool]) -> None:
    """Count the tasks of a page, and add those that may matter."""
    result.pages += 1
    result.seen += len(page.tasks)
    result.total = max(result.total, page.total)
    result.tasks += [task for task in page.tasks if is_relevant(task)]
