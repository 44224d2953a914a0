"""The doorbell: it wakes a sweep where none is awake. The only user of django_q.

The row is the truth and a ring only a hint: losing or doubling one costs a wait, never a video. A sweep frees its slot
before its last look at the rows, so a ring cannot fall between the two.
"""

import os
import socket
import threading
import time
from datetime import UTC, datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import Task
from django_q.tasks import async_task

from generations import leases
from generations.models import Slot
from generations.telemetry.failpoints import failpoint

log = structlog.stdlib.get_logger(__name__)

SWEEP = "generations.tasks.sweep"  # an interface: messages in flight hold it as text
QUIET = 0.05  # seconds after a ring in which the others wait
FREE = datetime(1970, 1, 1, tzinfo=UTC)


def ring(*, more: bool = False) -> bool:
    """Enqueue a sweep, unless one is awake or already called. True where one was enqueued. Never raises.

    `more`: unless all that there are slots for are awake, since those that are do not keep up.

    What it is rung for is committed, and its caller must hear so: a broker or a database in trouble costs a wait.
    """
    if not more and _later.coalesce():
        return False
    return _tried(settings.SWEEP_SLOTS if more else 1)


def _tried(wanted: int) -> bool:
    try:
        return _ring(wanted)
    except Exception:
        log.exception("the ring was lost; the schedule rings within the minute")
        return False


class Later:
    """Of many rings at once in one process the first goes out, and one for all the others QUIET later: a thousand
    creates a second are not a thousand looks at who is awake. What is committed before a ring is found by it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._quiet_until, self._promised = 0.0, False

    def coalesce(self) -> bool:
        """Let one ring a moment from now stand for this one too. Return False where the caller has to ring at once."""
        if connection.in_atomic_block:  # its thread would not find what is not committed yet
            return False
        with self._lock:
            if time.monotonic() >= self._quiet_until and not self._promised:
                self._quiet_until = time.monotonic() + QUIET
                return False
            if not self._promised:
                try:
                    threading.Thread(target=self._ring, name="ring", daemon=True).start()
                except RuntimeError:  # the machine has no thread left
                    return False
                self._promised = True
            return True

    def _ring(self) -> None:
        time.sleep(QUIET)
        with self._lock:
            self._promised, self._quiet_until = False, time.monotonic() + QUIET
        _tried(1)
        connection.close()  # this thread's own


_later = Later()


def _ring(wanted: int) -> bool:
    now = timezone.now()
    # A ring is on its way for a few seconds: what says later was written by a host whose clock was ahead.
    rung = Q(wake_up_until__gt=now, wake_up_until__lte=now + leases.WAKE_UP_LEASE)
    if Slot.objects.filter(rung).exists() or Slot.objects.filter(lease_until__gt=now).count() >= wanted:
        return False
    _ensure_slots()
    failpoint("ring_before")
    if not Slot.objects.filter(~rung, number=1).update(wake_up_until=now + leases.WAKE_UP_LEASE):
        return False
    failpoint("ring_claimed")
    async_task(SWEEP)
    return True


def ping() -> None:
    """Raises what the broker's own client raises where it does not answer. Its own `ping` asks nobody for some."""
    get_broker().queue_size()


def has_free_slot() -> bool:
    now, known = timezone.now(), Slot.objects.filter(number__lte=settings.SWEEP_SLOTS)
    return known.filter(lease_until__gt=now).count() < settings.SWEEP_SLOTS


def take_slot() -> Slot | None:
    """A free slot, now this process's for `leases.SLOT_LEASE`; None where every one is taken."""
    _ensure_slots()
    now, owner = timezone.now(), f"{host()}/{os.getpid()}"
    for slot in Slot.objects.filter(number__lte=settings.SWEEP_SLOTS, lease_until__lte=now).order_by("number"):
        taken = Slot.objects.filter(pk=slot.pk, lease_until__lte=now).update(
            owner=owner, lease_until=now + leases.SLOT_LEASE, wake_up_until=FREE
        )
        if taken:
            failpoint("slot_taken")
            return Slot(number=slot.number, owner=owner)
    return None


def renew_slot(slot: Slot) -> bool:
    """False where the slot is no longer this sweep's: it was asked to stop, or was thought dead."""
    mine = Slot.objects.filter(pk=slot.pk, owner=slot.owner)
    return bool(mine.update(lease_until=timezone.now() + leases.SLOT_LEASE))


def free_slot(slot: Slot) -> None:
    Slot.objects.filter(pk=slot.pk, owner=slot.owner).update(owner="", lease_until=FREE)
    failpoint("slot_freed")


def free_slots_of_this_host() -> int:
    """Take every slot from this host's sweeps: the request to stop, and the clean-up after a killed worker."""
    return Slot.objects.filter(owner__startswith=f"{host()}/").update(owner="", lease_until=FREE, wake_up_until=FREE)


def _ensure_slots() -> None:
    wanted = range(1, settings.SWEEP_SLOTS + 1)
    if Slot.objects.filter(number__in=wanted).count() < settings.SWEEP_SLOTS:
        Slot.objects.bulk_create(
            [Slot(number=number, lease_until=FREE, wake_up_until=FREE) for number in wanted], ignore_conflicts=True
        )


def ended_before(moment: datetime) -> Any:
    """Return what django-q2 noted of rings that ended before then."""
    return Task.objects.filter(stopped__lt=moment)


def host() -> str:
    """This machine, as slots and workers name it."""
    return socket.gethostname()
