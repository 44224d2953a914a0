"""Whether work is done on a host: its sweeps beat while they turn, its supervisor counts what it started again."""

from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from generations import lifecycle, queue
from generations.models import Worker

BEAT_EVERY = 5.0  # seconds
STALLED = timedelta(seconds=60)  # a due row without progress for so long is no accident


def beat() -> None:
    """A sweep of this host has looked at the due rows, and taken what it had threads for."""
    _note(beat_at=timezone.now())


def started() -> None:
    """The supervisor has started a cluster."""
    _note(started_at=timezone.now())


def restarted(why: str) -> None:
    """The supervisor is about to start its cluster again: `why` is on the panel, and the count a metric."""
    _note(restarts=F("restarts") + 1, restarted_at=timezone.now(), restart_reason=why)


def stands_still() -> bool:
    """Work is due and none is done here, although there would be a slot for it.

    A host whose every slot is held by the sweeps of others is idle, and not stuck.
    """
    overdue = timezone.now() - STALLED
    due = lifecycle.next_due()
    if due is None or due > overdue or not queue.has_free_slot():
        return False
    beat_at = Worker.objects.filter(pk=queue.host()).values_list("beat_at", flat=True).first()
    return beat_at is None or beat_at < overdue


def _note(**columns: object) -> None:
    if not Worker.objects.filter(pk=queue.host()).update(**columns):
        Worker.objects.get_or_create(pk=queue.host())
        Worker.objects.filter(pk=queue.host()).update(**columns)
