"""The circuit breaker of each account: while an upstream refuses our account or does not answer, its submits pause.

The pause holds for all workers. It is one row for each account, which exists only while submits are paused. Generations
that no other account takes stay queued with their holds. One probe at a time, a submit, finds out whether the upstream
is back.
"""

import random
from datetime import datetime, timedelta

import structlog
from django.db.models import F

from generations import leases
from generations.models import Generation, Pause
from generations.upstream import accounts
from tenants.db import clock

log = structlog.stdlib.get_logger(__name__)

# Between two probes; the time doubles with each. Half of it is random, so that hosts do not probe in step.
MIN_PROBE_SECONDS, MAX_PROBE_SECONDS = 4.0, 60.0
MAX_PAUSE_SECONDS = 300.0  # as long as a Retry-After is obeyed
PROBE_OUT_SECONDS = 15.0  # until the others look again while a probe is under way


def seconds_until_submit(account: str) -> float:
    """Return the seconds until a submit to the account may be tried; 0 if it may be tried now.

    This does not claim the probe, so that the caller can do the work before a submit first.
    """
    pause = Pause.objects.filter(pk=account).first()
    return _seconds_left(pause, clock.now()) if pause else 0.0


def claim_submit(account: str) -> float:
    """Claim the right to send a submit to the account now. Return 0 if the caller has it, else the seconds to wait.

    While submits are paused, one caller at a time gets the right: its submit is the probe.
    """
    pause, now = Pause.objects.filter(pk=account).first(), clock.now()
    if pause is None:
        return 0.0
    if seconds := _seconds_left(pause, now):
        return seconds
    unclaimed = Pause.objects.filter(pk=pause.pk, probe_at=pause.probe_at)
    claimed = unclaimed.update(probe_at=now + leases.PROBE_LEASE, probe_sent_at=now)
    return 0.0 if claimed else MIN_PROBE_SECONDS


def _seconds_left(pause: Pause, now: datetime) -> float:
    """Return the seconds until the next probe, at most MAX_PAUSE_SECONDS; 0 if it is due.

    The maximum protects the other hosts from one whose clock is ahead. A probe under way may end at any moment.
    """
    seconds = (pause.probe_at - now).total_seconds()
    if seconds <= 0:
        return 0.0
    maximum = PROBE_OUT_SECONDS if pause.probe_sent_at else MAX_PAUSE_SECONDS
    return min(seconds, maximum) + random.uniform(0, MIN_PROBE_SECONDS)  # noqa: S311


def pause(account: str, reason: str, *, retry_after: float | None = None) -> None:
    """Pause the submits to an account, or prolong the pause: the upstream, or our account there, has an error.

    `reason` is what the upstream said. `retry_after` are the seconds it asked for, if it did.
    """
    now = clock.now()
    row, is_new = Pause.objects.get_or_create(pk=account, defaults={"since": now, "probe_at": now, "reason": reason})
    seconds = max(retry_after or 0.0, _backoff_seconds(row.probes))
    columns = {"probe_at": now + timedelta(seconds=seconds), "probe_sent_at": None, "refused_at": now}
    Pause.objects.filter(pk=row.pk).update(reason=reason, probes=F("probes") + 1, **columns)
    if is_new:
        log.error("submits are paused", upstream=row.pk, reason=reason)


def release_probe(account: str) -> None:
    """Let another submit be the probe now: the answer to the present one says nothing about our account."""
    row = Pause.objects.filter(pk=account, probe_sent_at__isnull=False)
    row.update(probe_at=clock.now(), probe_sent_at=None)


def resume(account: str) -> Pause | None:
    """End the pause: the upstream took a submit, or refused one for its content, so it works.

    Return the pause that has ended, whose generations the caller releases; None if there was none.
    """
    row = Pause.objects.filter(pk=account).first()
    if row is None or not Pause.objects.filter(pk=row.pk).delete()[0]:
        return None
    log.warning("submits go out again", upstream=account)
    return row


def find_holding() -> dict[str, Pause]:
    """Return the pauses that hold work back, by the name of the account.

    A pause holds work back while generations wait, or the next probe is in the future. Without either, nothing would
    send a probe, so the pause says nothing about the upstream any more.
    """
    now = clock.now()
    return {
        row.pk: row
        for row in Pause.objects.order_by("pk")
        if row.probe_at > now
        or Generation.objects.filter(accounts.waiting_at(row.pk), status=Generation.Status.QUEUED).exists()
    }


def _backoff_seconds(probes: int) -> float:
    """Return the seconds before the next probe, after so many probes."""
    maximum = min(MIN_PROBE_SECONDS * 2.0 ** min(probes, 10), MAX_PROBE_SECONDS)
    return random.uniform(maximum / 2, maximum)  # noqa: S311
