"""Whether work is done on a host: its sweeps beat while they turn, its supervisor counts what it started again."""

import time
from datetime import datetime, timedelta

from django.db.models import F, Max, QuerySet
from django.utils import timezone

from generations import wakeups
from generations.models import Worker
from generations.worker import claims

BEAT_EVERY = 5.0  # seconds
SILENT = timedelta(minutes=3)  # an idle worker is rung for each minute, and beats at least every 90 s
STALLED = timedelta(seconds=60)  # a due row without progress for so long is no accident


def beat() -> None:
    """A sweep of this host has looked at the due rows, and taken what it had threads for."""
    _note(heartbeat_at=timezone.now())


def youngest_age() -> timedelta | None:
    """Since any worker last looked; None where none ever did."""
    last = Worker.objects.aggregate(last=Max("heartbeat_at"))["last"]
    return timezone.now() - last if last else None


def started() -> None:
    """The supervisor has started a cluster."""
    _note(started_at=timezone.now())


def restarted(why: str) -> None:
    """The supervisor is about to start its cluster again: `why` is on the panel, and the count a metric."""
    _note(restarts=F("restarts") + 1, restarted_at=timezone.now(), restart_reason=why)


def silent_since(moment: datetime) -> QuerySet[Worker]:
    """Return the hosts that have shown no sign since then."""
    silent = Worker.objects.exclude(heartbeat_at__gte=moment).exclude(started_at__gte=moment)
    return silent.exclude(restarted_at__gte=moment)


class Watch:
    """What a supervisor has seen of its host since it began to look, by its own clock: no step of another one, and no
    minute in which nobody could have worked, counts against the cluster."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._beat_at: datetime | None = None

    def observe(self) -> bool:
        """Look once more, as the supervisor does every few seconds.

        Return True where, for STALLED on end, work was due, a slot free, and no sweep of this host beat.
        """
        host = Worker.objects.filter(pk=wakeups.host())
        now, heartbeat_at = time.monotonic(), host.values_list("heartbeat_at", flat=True).first()
        # A host whose every slot is held by the sweeps of others is idle, and not stuck.
        could_work = claims.is_any_due(timezone.now()) and wakeups.has_free_slot()
        if not could_work or heartbeat_at != self._beat_at:
            self.forget()
            self._beat_at = heartbeat_at
            return False
        self._since = now if self._since is None else self._since
        return now - self._since >= STALLED.total_seconds()

    def forget(self) -> None:
        """What was seen counts no longer: the database did not answer, to nobody."""
        self._since = None


def _note(**columns: object) -> None:
    if not Worker.objects.filter(pk=wakeups.host()).update(**columns):
        Worker.objects.get_or_create(pk=wakeups.host())
        Worker.objects.filter(pk=wakeups.host()).update(**columns)
