"""The rows of worker hosts: the last heartbeat of a host's worker runs, and the restarts by the host's supervisor."""

from datetime import datetime, timedelta

from django.db.models import F, Max, QuerySet

from generations import wakeups
from generations.models import Worker
from tenants.db import clock

HEARTBEAT_INTERVAL_SECONDS = 5.0
# A host without a heartbeat for so long does no work. An idle host is woken each minute: 90 s at most between two.
SILENT_AFTER = timedelta(minutes=3)


def record_heartbeat() -> None:
    """Store that a worker run of this host has read the due rows and claimed what its threads can take."""
    _update_this_host(heartbeat_at=clock.now())


def latest_heartbeat_age() -> timedelta | None:
    """Return the time since the last heartbeat of any host. Return None if there was no heartbeat yet."""
    last = Worker.objects.aggregate(last=Max("heartbeat_at"))["last"]
    return clock.now() - last if last else None


def record_start() -> None:
    """Store that this host's supervisor has started its cluster."""
    _update_this_host(started_at=clock.now())


def record_restart(reason: str) -> None:
    """Store that this host's supervisor restarts its cluster. The panel shows `reason`; the count is a metric."""
    _update_this_host(restarts=F("restarts") + 1, restarted_at=clock.now(), restart_reason=reason)


def silent_since(moment: datetime) -> QuerySet[Worker]:
    """Return the hosts without a heartbeat, a start or a restart since `moment`."""
    silent = Worker.objects.exclude(heartbeat_at__gte=moment).exclude(started_at__gte=moment)
    return silent.exclude(restarted_at__gte=moment)


def _update_this_host(**columns: object) -> None:
    """Update the row of this host, and create the row first if there is none."""
    if not Worker.objects.filter(pk=wakeups.host()).update(**columns):
        Worker.objects.get_or_create(pk=wakeups.host())
        Worker.objects.filter(pk=wakeups.host()).update(**columns)
