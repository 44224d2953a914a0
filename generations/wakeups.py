"""Wake-ups of the worker, and the slots that limit how many worker runs are awake. The user of django_q.

A wake-up is a message in the queue, and only a hint: the rows are the truth. A lost or doubled wake-up costs a wait,
never a video. A run frees its slot before its last read of the due rows, so no wake-up falls between the two.
"""

import atexit
import os
import socket
import threading
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import Q
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import Schedule, Task
from django_q.tasks import async_task

from generations import leases
from generations.models import Slot
from generations.telemetry.failpoints import failpoint
from tenants.db import clock

log = structlog.stdlib.get_logger(__name__)

SWEEP = "generations.tasks.sweep"  # an interface: messages in flight hold it as text
QUIET_SECONDS = 0.05  # after a wake-up; further ones in this process are delayed and sent as one
MAX_SCHEDULE_INTERVAL = timedelta(hours=2)  # more than the hour of `prune`
LAST_SEND_SECONDS = 2.0  # for a wake-up on its way to the broker when its process ends
FREE = datetime(1970, 1, 1, tzinfo=UTC)  # the end of a lease that nothing holds


def wake_worker(*, more: bool = False) -> bool:
    """Enqueue a worker run, unless one is awake or on its way. Return whether one was enqueued.

    With `more`, enqueue one unless every slot is taken: the runs that are awake do not keep up.

    This never raises, and never waits for a broker outside of the database. The caller has committed its work and must
    report that, so an error of the broker or of the database only costs a wait.
    """
    if not more and _coalescer.coalesce():
        return False
    return _try_enqueue(settings.SWEEP_SLOTS if more else 1)


def _try_enqueue(max_awake: int) -> bool:
    """Enqueue a run as `_enqueue` does. Log an error, and return False then."""
    try:
        return _enqueue(max_awake)
    except Exception:
        log.exception("the ring was lost; the schedule rings within the minute")
        return False


class Coalescer:
    """Send the first of many wake-ups in one process at once, and one more for all others QUIET_SECONDS later.

    So a thousand creates a second are not a thousand reads of the slots. The later wake-up finds all rows that were
    committed before it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._quiet_until, self._is_scheduled = 0.0, False

    def coalesce(self) -> bool:
        """Cover this wake-up by one that is sent a moment later. Return False if the caller has to send one now."""
        if connection.in_atomic_block:  # the later thread would not find what is not yet committed
            return False
        with self._lock:
            if time.monotonic() >= self._quiet_until and not self._is_scheduled:
                self._quiet_until = time.monotonic() + QUIET_SECONDS
                return False
            if not self._is_scheduled:
                try:
                    threading.Thread(target=self._send_later, name="wake-up", daemon=True).start()
                except RuntimeError:  # the machine has no thread left
                    return False
                self._is_scheduled = True
            return True

    def _send_later(self) -> None:
        """Send the delayed wake-up, in a thread with a connection of its own."""
        time.sleep(QUIET_SECONDS)
        with self._lock:
            self._is_scheduled, self._quiet_until = False, time.monotonic() + QUIET_SECONDS
        _try_enqueue(1)
        connection.close()


class Sender:
    """Send wake-ups to a broker in a thread, so that no request waits for a broker that is slow, silent or away.

    One is sent at a time. All that are asked for during that are sent as one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_asked = False

    def ask(self) -> None:
        """Send a wake-up soon. Raise RuntimeError if the machine has no thread left."""
        with self._lock:
            self._is_asked = True
            if self._thread is None or not self._thread.is_alive():  # a forked process has not the thread
                self._thread = threading.Thread(target=self._send, name="broker", daemon=True)
                self._thread.start()

    def finish(self) -> None:
        """Wait up to LAST_SEND_SECONDS for what was asked for."""
        if thread := self._thread:
            thread.join(LAST_SEND_SECONDS)

    def _send(self) -> None:
        """Send wake-ups until no other was asked for. This needs no database connection."""
        while True:
            with self._lock:
                if not self._is_asked:
                    self._thread = None
                    return
                self._is_asked = False
            try:
                async_task(SWEEP)
            except Exception:  # each broker has its own client with its own errors
                log.exception("the ring was lost; the schedule rings within the minute")


_coalescer = Coalescer()
_sender = Sender()
atexit.register(_sender.finish)  # a command ends as soon as its work is done


def _enqueue(max_awake: int) -> bool:
    """Enqueue a worker run, unless `max_awake` are awake or one is on its way. Return whether one was enqueued."""
    now = clock.now()
    # A wake-up is on its way for some seconds. A later time was written by a host whose clock is ahead.
    on_its_way = Q(wake_up_until__gt=now, wake_up_until__lte=now + leases.WAKE_UP_LEASE)
    if Slot.objects.filter(on_its_way).exists() or Slot.objects.filter(lease_until__gt=now).count() >= max_awake:
        return False
    _ensure_slots()
    failpoint("ring_before")
    if not Slot.objects.filter(~on_its_way, number=1).update(wake_up_until=now + leases.WAKE_UP_LEASE):
        return False
    failpoint("ring_claimed")
    if Conf.ORM:  # the database, which has just answered
        async_task(SWEEP)
    else:
        _sender.ask()
    return True


def check_broker() -> None:
    """Ask the broker for something. Raise the error of its client if it does not answer.

    django-q2's own `ping` does not contact every kind of broker.
    """
    get_broker().queue_size()


def has_free_slot() -> bool:
    """Return whether one more worker run could take a slot."""
    now, slots = clock.now(), Slot.objects.filter(number__lte=settings.SWEEP_SLOTS)
    return slots.filter(lease_until__gt=now).count() < settings.SWEEP_SLOTS


def take_slot() -> Slot | None:
    """Take a free slot for `leases.SLOT_LEASE`. Return None if every slot is taken."""
    _ensure_slots()
    now, owner = clock.now(), _owner(os.getpid())
    for slot in Slot.objects.filter(number__lte=settings.SWEEP_SLOTS, lease_until__lte=now).order_by("number"):
        taken = Slot.objects.filter(pk=slot.pk, lease_until__lte=now).update(
            owner=owner, lease_until=now + leases.SLOT_LEASE, wake_up_until=FREE
        )
        if taken:
            failpoint("slot_taken")
            return Slot(number=slot.number, owner=owner)
    return None


def renew_slot(slot: Slot) -> bool:
    """Extend the lease of the slot. Return False if the run has lost the slot: it must stop, or seemed dead."""
    own = Slot.objects.filter(pk=slot.pk, owner=slot.owner)
    return bool(own.update(lease_until=clock.now() + leases.SLOT_LEASE))


def free_slot(slot: Slot) -> None:
    """Free the slot, if the run still has it."""
    Slot.objects.filter(pk=slot.pk, owner=slot.owner).update(owner="", lease_until=FREE)
    failpoint("slot_freed")


def free_slots_of_this_host(*, but: Collection[int] = ()) -> int:
    """Free every slot of this host's runs: to stop them, or to clean up after a killed worker. Return the number.

    `but`: the ids of the processes whose runs go on.
    """
    slots = Slot.objects.filter(owner__startswith=f"{host()}/").exclude(owner__in=[_owner(pid) for pid in but])
    return slots.update(owner="", lease_until=FREE, wake_up_until=FREE)


def is_run_awake(*, but: Collection[int] = ()) -> bool:
    """Return whether any host's run has a slot, other than those of this host's processes `but`."""
    awake = Slot.objects.filter(lease_until__gt=clock.now())
    return awake.exclude(owner__in=[_owner(pid) for pid in but]).exists()


def _owner(pid: int) -> str:
    return f"{host()}/{pid}"


def _ensure_slots() -> None:
    """Create the rows of SWEEP_SLOTS slots that are not there yet."""
    numbers = range(1, settings.SWEEP_SLOTS + 1)
    if Slot.objects.filter(number__in=numbers).count() < settings.SWEEP_SLOTS:
        Slot.objects.bulk_create(
            [Slot(number=number, lease_until=FREE, wake_up_until=FREE) for number in numbers], ignore_conflicts=True
        )


def repair_schedules() -> int:
    """Make schedules due that a host whose clock was ahead has put off by days. Return how many."""
    latest = clock.now() + MAX_SCHEDULE_INTERVAL
    return int(Schedule.objects.filter(next_run__gt=latest).update(next_run=clock.now()))


def ended_before(moment: datetime) -> Any:
    """Return django-q2's records of wake-ups whose runs ended before that time."""
    return Task.objects.filter(stopped__lt=moment)


def host() -> str:
    """Return the name of this machine, as slots and worker hosts have it."""
    return socket.gethostname()
