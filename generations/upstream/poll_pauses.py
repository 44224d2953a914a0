"""Polls wait, and go on more slowly, while an upstream refuses them: it asks for fewer, or refuses our account.

One row for each account says so to all hosts. Each process reads it once a second at most, so a poll costs no query.
"""

import random
import time
from datetime import datetime, timedelta

import structlog
from django.db.models import F, Q

from generations.models import PollPause
from generations.upstream.errors import AccountError
from tenants.db import clock

log = structlog.stdlib.get_logger(__name__)

# Between two tries; the time doubles with each refusal. A Retry-After that is longer counts in its place.
MIN_SECONDS, MAX_SECONDS = 4.0, 60.0
MAX_PAUSE_SECONDS = 300.0  # as long as a Retry-After is obeyed; the clock of the host that wrote it may be ahead
MAX_REFUSALS = 4  # each doubles the time between two polls of a task
CALM_SECONDS = 60.0  # without a refusal; then one of them is forgotten
REFRESH_SECONDS = 1.0


class _Known:
    """The rows, as this process last read them, and when polls were last answered."""

    def __init__(self) -> None:
        self.pauses: dict[str, PollPause] = {}
        self.next_refresh = 0.0  # by the monotonic clock, as the next one
        self.answered_at: dict[str, float] = {}


_known = _Known()


def forget() -> None:
    """Forget what this process has read."""
    _known.__init__()  # type: ignore[misc]


def refresh() -> None:
    """Read the pauses of all hosts, unless this process did so just now, and end what has been calm for long."""
    if time.monotonic() < _known.next_refresh:
        return
    _known.next_refresh = time.monotonic() + REFRESH_SECONDS
    pauses = {pause.upstream: pause for pause in PollPause.objects.all()}
    for pause in list(pauses.values()):
        if clock.now() - pause.until > timedelta(seconds=CALM_SECONDS):
            _forget_refusal(pause)
            del pauses[pause.upstream]  # until it is read again
    _known.pauses = pauses


def seconds_left(account: str) -> float:
    """Return the seconds until polls of the account may go on; 0 if they may now."""
    pause = _known.pauses.get(account)
    return min(max((pause.until - clock.now()).total_seconds(), 0.0), MAX_PAUSE_SECONDS) if pause else 0.0


def interval_factor(account: str) -> float:
    """Return by how much the time between two polls of a task is longer than usual."""
    pause = _known.pauses.get(account)
    return 2.0**pause.refusals if pause else 1.0


def record_answer(account: str) -> None:
    """Note that a poll was answered."""
    _known.answered_at[account] = time.monotonic()


def record_refusal(account: str, error: AccountError) -> None:
    """Pause the account's polls.

    A refusal that is no rate limit, while other polls are answered, is about its own task.
    """
    now = clock.now()
    is_answered = time.monotonic() - _known.answered_at.get(account, float("-inf")) < MIN_SECONDS
    known = _known.pauses.get(account)
    if is_answered and not error.is_rate_limit:
        return
    if known and known.until > now + timedelta(seconds=error.retry_after or 0.0):
        return  # polls that were in flight together are refused together: that is one refusal
    _store_refusal(account, now, error)
    _known.next_refresh = 0.0
    refresh()


def _store_refusal(name: str, now: datetime, error: AccountError) -> None:
    """Begin or prolong the pause. Refusals during a pause count once, whichever host they come to."""
    defaults = {"since": now, "until": now, "reason": str(error)}
    row, is_new = PollPause.objects.get_or_create(pk=name, defaults=defaults)
    seconds = max(error.retry_after or 0.0, _backoff_seconds(row.refusals))
    until = now + timedelta(seconds=min(seconds, MAX_PAUSE_SECONDS))
    rows = PollPause.objects.filter(pk=name)
    is_next = rows.filter(until__lte=now).update(until=until, refusals=F("refusals") + 1, reason=str(error))
    if is_next:
        rows.filter(refusals__gt=MAX_REFUSALS).update(refusals=MAX_REFUSALS)
    elif error.retry_after:
        rows.filter(until__lt=until).update(until=until)
    if is_new:
        log.error("polls are paused", upstream=name, reason=str(error))


def _forget_refusal(pause: PollPause) -> None:
    """Slow the account's polls down by one step less. Without a refusal the row goes."""
    row = PollPause.objects.filter(pk=pause.pk, until=pause.until)
    if pause.refusals > 1:
        row.update(refusals=F("refusals") - 1, until=clock.now())
    elif row.delete()[0]:
        log.warning("polls go on as usual", upstream=pause.pk)


def find_active() -> list[PollPause]:
    """Return the pauses that hold polls back now, or did a moment ago."""
    since = clock.now() - timedelta(seconds=CALM_SECONDS)
    return list(PollPause.objects.filter(Q(until__gt=since)).order_by("pk"))


def _backoff_seconds(refusals: int) -> float:
    """Return the seconds of a pause after so many refusals. Half of it is random: hosts do not go on in step."""
    maximum = min(MIN_SECONDS * 2.0**refusals, MAX_SECONDS)
    return random.uniform(maximum / 2, maximum)  # noqa: S311
