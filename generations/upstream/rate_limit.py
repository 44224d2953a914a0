"""Our rate limit at each account, over all hosts: so many submits a minute, and so many unfinished tasks at once.

The settings have the numbers: UPSTREAM_RPM and UPSTREAM_CONCURRENCY for Novita, ARK_RPM and ARK_CONCURRENCY for the
maker. The sandbox has no limit.
"""

from datetime import datetime, timedelta

from generations.models import Generation, Pace
from generations.upstream import accounts
from generations.upstream.protocol import Account
from tenants.db import clock

MAX_AHEAD = timedelta(seconds=1)  # a reserved moment is so near: about two iterations of a worker run
FULL_RETRY_SECONDS = 2.0  # when the account has its most unfinished tasks
UNFINISHED = [Generation.Status.SUBMITTING, Generation.Status.RUNNING]
UNLIMITED = 1_000_000  # submits, more than a worker could start


class RateLimited(Exception):
    """The upstream takes no submit now. It may take one in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def estimate_capacities() -> dict[str, int]:
    """Return how many submits are worth starting now, by the names of the live accounts that the settings have."""
    live = {account.name: account for account in accounts.load() if accounts.is_live(account.name)}
    return {name: estimate_capacity(account) for name, account in live.items() if account.is_configured}


def estimate_capacity(account: Account) -> int:
    """Return how many submits to the account are worth starting now. This is an estimate: `reserve` decides."""
    capacity = UNLIMITED
    if account.submits_per_minute:
        now = clock.now()
        row = Pace.objects.filter(pk=account.name).first()
        capacity = (now + MAX_AHEAD - (_next_moment(account, row, now) if row else now)) // _interval(account) + 1
    if account.max_unfinished and capacity:
        capacity = min(capacity, account.max_unfinished - _count_unfinished(account))
    return max(capacity, 0)


def reserve(account: Account) -> float:
    """Reserve a moment for a submit to the account. Return the seconds to wait for it, at most MAX_AHEAD.

    Raise RateLimited. The caller must run this in the transaction that starts the submit, whose row then counts as
    unfinished. RateLimited must roll that transaction back.
    """
    if not (account.submits_per_minute or account.max_unfinished):
        return 0.0
    now = clock.now()
    Pace.objects.get_or_create(pk=account.name, defaults={"free_at": now})
    row = Pace.objects.select_for_update().get(pk=account.name)  # one after the other, on all hosts
    if account.max_unfinished and _count_unfinished(account) >= account.max_unfinished:
        raise RateLimited(FULL_RETRY_SECONDS)
    if not account.submits_per_minute:
        return 0.0
    now = clock.now()
    moment = _next_moment(account, row, now)
    if moment > now + MAX_AHEAD:
        raise RateLimited((moment - now).total_seconds())
    Pace.objects.filter(pk=account.name).update(free_at=moment + _interval(account))
    return (moment - now).total_seconds()


def _next_moment(account: Account, row: Pace, now: datetime) -> datetime:
    """Return the next free moment. A moment too far ahead was written by a host whose clock is ahead: ignore it."""
    if row.free_at > now + MAX_AHEAD + _interval(account):
        return now
    return max(row.free_at, now)


def _interval(account: Account) -> timedelta:
    """Return the time between two submits."""
    return timedelta(minutes=1) / account.submits_per_minute


def _count_unfinished(account: Account) -> int:
    """Count the generations that the upstream works on at the account."""
    return Generation.objects.filter(Generation.at_account(account.name), status__in=UNFINISHED).count()
