"""The circuit breaker of each upstream: while an upstream refuses our account or does not answer, submits pause.

The pause holds for all workers. It is one row for each upstream, which exists only while submits are paused.
Generations stay queued with their holds. One probe at a time, a submit, finds out whether the upstream is back.
"""

import random
from datetime import datetime, timedelta

import structlog
from django.utils import timezone

from generations import leases
from generations.models import Pause

log = structlog.stdlib.get_logger(__name__)

# Between two probes; the time doubles with each. Half of it is random, so that hosts do not probe in step.
MIN_PROBE_SECONDS, MAX_PROBE_SECONDS = 4.0, 60.0
MAX_PAUSE_SECONDS = 300.0  # as long as a Retry-After is obeyed


def seconds_until_submit(*, test: bool) -> float:
    """Return the seconds until a submit may be tried; 0 if it may be tried now.

    This does not claim the probe, so that the caller can do the work before a submit first.
    """
    pause = Pause.objects.filter(pk=_name(test)).first()
    return _seconds_left(pause, timezone.now()) if pause else 0.0


def claim_submit(*, test: bool) -> float:
    """Claim the right to send a submit now. Return 0 if the caller has it, otherwise the seconds to wait.

    While submits are paused, one caller at a time gets the right: its submit is the probe.
    """
    pause, now = Pause.objects.filter(pk=_name(test)).first(), timezone.now()
    if pause is None:
        return 0.0
    if seconds := _seconds_left(pause, now):
        return seconds
    claimed = Pause.objects.filter(pk=pause.pk, probe_at=pause.probe_at).update(probe_at=now + leases.PROBE_LEASE)
    return 0.0 if claimed else MIN_PROBE_SECONDS


def _seconds_left(pause: Pause, now: datetime) -> float:
    """Return the seconds until the next probe, at most MAX_PAUSE_SECONDS; 0 if it is due.

    The maximum protects the other hosts from one whose clock is ahead.
    """
    seconds = (pause.probe_at - now).total_seconds()
    if seconds <= 0:
        return 0.0
    return min(seconds, MAX_PAUSE_SECONDS) + random.uniform(0, MIN_PROBE_SECONDS)  # noqa: S311


def pause(reason: str, *, test: bool, retry_after: float | None = None) -> None:
    """Pause submits, or prolong the pause: the upstream, or our account there, has an error.

    `reason` is what the upstream said. `retry_after` are the seconds it asked for, if it did.
    """
    now = timezone.now()
    row, is_new = Pause.objects.get_or_create(
        pk=_name(test), defaults={"since": now, "probe_at": now, "reason": reason}
    )
    seconds = max(retry_after or 0.0, _backoff_seconds(row.probes))
    probe_at = now + timedelta(seconds=seconds)
    Pause.objects.filter(pk=row.pk).update(reason=reason, probes=row.probes + 1, probe_at=probe_at)
    if is_new:
        log.error("submits are paused", upstream=row.pk, reason=reason)


def resume(*, test: bool) -> None:
    """End the pause: the upstream took a submit, or refused one for its content, so it works."""
    deleted, _ = Pause.objects.filter(pk=_name(test)).delete()
    if deleted:
        log.warning("submits go out again", upstream=_name(test))


def _backoff_seconds(probes: int) -> float:
    """Return the seconds before the next probe, after so many probes."""
    maximum = min(MIN_PROBE_SECONDS * 2.0 ** min(probes, 10), MAX_PROBE_SECONDS)
    return random.uniform(maximum / 2, maximum)  # noqa: S311


def _name(test: bool) -> str:
    """Return the upstream's name, the primary key of its row."""
    return "sandbox" if test else "live"
