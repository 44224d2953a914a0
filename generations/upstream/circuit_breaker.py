"""Whether submits go out: while an upstream refuses our account or does not answer, they pause for all workers at once.

One row an upstream, there only while it is paused. Jobs stay queued with their holds; one probe at a time finds out
whether it is back.
"""

import random
from datetime import datetime, timedelta

import structlog
from django.utils import timezone

from generations import leases
from generations.models import Pause

log = structlog.stdlib.get_logger(__name__)

FIRST, LONGEST = 4.0, 60.0  # seconds between probes, doubling; half of it is drawn, so that hosts do not knock together
MOST = 300.0  # seconds; as long as a Retry-After is obeyed


def paused_for(*, test: bool) -> float:
    """Seconds until a submit may be tried; 0 where it may be now. It takes no probe: there is work to do before it."""
    pause = Pause.objects.filter(pk=_name(test)).first()
    return _left(pause, timezone.now()) if pause else 0.0


def wait(*, test: bool) -> float:
    """As `paused_for`, for who sends at once: a paused upstream lets one probe through, and this may be it."""
    pause, now = Pause.objects.filter(pk=_name(test)).first(), timezone.now()
    if pause is None:
        return 0.0
    if seconds := _left(pause, now):
        return seconds
    mine = Pause.objects.filter(pk=pause.pk, probe_at=pause.probe_at).update(probe_at=now + leases.PROBE_LEASE)
    return 0.0 if mine else FIRST


def _left(pause: Pause, now: datetime) -> float:
    """No pause is longer than MOST: a host whose clock is ahead must not make the others wait for it."""
    seconds = (pause.probe_at - now).total_seconds()
    return min(seconds, MOST) + random.uniform(0, FIRST) if seconds > 0 else 0.0  # noqa: S311


def pause(reason: str, *, test: bool, retry_after: float | None = None) -> None:
    """The upstream, or our account there, is in trouble: `reason` is what it said."""
    now = timezone.now()
    row, first = Pause.objects.get_or_create(pk=_name(test), defaults={"since": now, "probe_at": now, "reason": reason})
    seconds = max(retry_after or 0.0, _backoff(row.probes))
    probe_at = now + timedelta(seconds=seconds)
    Pause.objects.filter(pk=row.pk).update(reason=reason, probes=row.probes + 1, probe_at=probe_at)
    if first:
        log.error("submits are paused", upstream=row.pk, reason=reason)


def resume(*, test: bool) -> None:
    """It took a submit, or refused one for its content: it is well."""
    gone, _ = Pause.objects.filter(pk=_name(test)).delete()
    if gone:
        log.warning("submits go out again", upstream=_name(test))


def _backoff(probes: int) -> float:
    longest = min(FIRST * 2.0 ** min(probes, 10), LONGEST)
    return random.uniform(longest / 2, longest)  # noqa: S311


def _name(test: bool) -> str:
    return "sandbox" if test else "live"
