"""Whether work is done on a host: its sweeps beat while they turn, its supervisor counts what it started again."""

from datetime import datetime, timedelta

from django.db.models import F, Max, QuerySet
from django.utils import timezone

from generations import wakeups
from generations.models import Worker

BEAT_EVERY = 5.0  # seconds
SILENT = timedelta(minutes=3)  # an idle worker is rung for each minute, and beats at least every 90 s


def beat() -> None:
    """A sweep of this host has looked at the due rows, and taken what it had threads for."""
    _note(beat_at=timezone.now())


def youngest_age() -> timedelta | None:
    """Since any worker last looked; None where none ever did."""
    last = Worker.objects.aggregate(last=Max("beat_at"))["last"]
    return timezone.now() - last if last else None


def started() -> None:
    """The supervisor has started a cluster."""
    _note(started_at=timezone.now())


def restarted(why: str) -> None:
    """The supervisor is about to start its cluster again: `why` is on the panel, and the count a metric."""
    _note(restarts=F("restarts") + 1, restarted_at=timezone.now(), restart_reason=why)


def silent_since(moment: datetime) -> QuerySet[Worker]:
    """Return the hosts that have shown no sign since then."""
    silent = Worker.objects.exclude(beat_at__gte=moment).exclude(started_at__gte=moment)
    return silent.exclude(restarted_at__gte=moment)


def _note(**columns: object) -> None:
    if not Worker.objects.filter(pk=wakeups.host()).update(**columns):
        Worker.objects.get_or_create(pk=wakeups.host())
        Worker.objects.filter(pk=wakeups.host()).update(**columns)
