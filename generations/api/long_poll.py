"""`Prefer: wait=30`: an answer that comes when the generation ends, or when that time is over.

Who waits keeps a thread of the server and no database connection; one thread of the process looks for all of them, by
one query at a time, while there are any. Their places are few: every other request needs a thread too.
"""

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Mapping
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error, connection
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from generations.models import Generation
from generations.telemetry import metrics
from tenants.db.operations import release_connection

log = structlog.stdlib.get_logger(__name__)

LONGEST = 60.0  # seconds; proxies and load balancers cut a silent connection at about that
LOOK_EVERY = 0.25  # seconds
AFTER_TROUBLE = 1.0  # seconds to the next look, where the database did not answer

PARAMETER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description=(
        f"`wait=N` (RFC 7240): the answer comes when the generation ends, or after N seconds, {LONGEST:.0f} at most. "
        "It then has `Preference-Applied`. Where too many wait already, it comes at once."
    ),
)

# Commas within quotes part nothing, and a quote that is not closed reaches to the end.
PREFERENCE = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.?)*+(?:"|\Z))++')
SECONDS = re.compile(r'("?)([0-9]+)\1')


def wanted(request: Request) -> float | None:
    """Seconds that the caller would wait. RFC 7240: the first `wait` counts, and a malformed one is ignored."""
    for preference in PREFERENCE.findall(request.META.get("HTTP_PREFER", "")):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            seconds = SECONDS.fullmatch(value.strip())
            return min(float(seconds[2]), LONGEST) if seconds else None
    return None


def headers(seconds: float) -> dict[str, str]:
    """Of an answer that waited."""
    return {"Preference-Applied": f"wait={seconds:.0f}"}


class Watch:
    """Those who wait in this process, and the thread that looks for them."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """In a process that was forked: its parent's threads, and what they had locked, are not its own."""
        self._lock = threading.Lock()
        self._waiting: dict[threading.Event, UUID] = {}
        self._thread: threading.Thread | None = None
        self._is_stopped = False

    def join(self, generation_id: UUID) -> threading.Event | None:
        """What is set when that generation has ended; None where every place is taken."""
        with self._lock:
            if self._is_stopped or len(self._waiting) >= settings.WAITERS or not self._ensure_watcher():
                return None
            ended = threading.Event()
            self._waiting[ended] = generation_id
            metrics.WAITERS.set(len(self._waiting))
            return ended

    def leave(self, ended: threading.Event) -> None:
        with self._lock:
            del self._waiting[ended]
            metrics.WAITERS.set(len(self._waiting))

    def stop(self) -> None:
        """Nobody waits any longer, from now on."""
        with self._lock:
            self._is_stopped = True
            for ended in self._waiting:
                ended.set()

    def _ensure_watcher(self) -> bool:
        """Start the thread that looks for all, unless it runs. Return False where none can be. Call under the lock."""
        if self._thread and self._thread.is_alive():
            return True
        self._thread = threading.Thread(target=self._look_for_all, name="waiting", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the machine has no thread left
            log.exception("nobody can wait")
            return False
        return True

    def _look_for_all(self) -> None:
        try:
            while waiting := self._those_who_wait():
                time.sleep(_look(waiting))
        finally:
            connection.close()

    def _those_who_wait(self) -> dict[threading.Event, UUID]:
        """Where there are none this thread is over, and who comes next starts another."""
        with self._lock:
            if not self._waiting:
                self._thread = None
            return dict(self._waiting)


def _look(waiting: Mapping[threading.Event, UUID]) -> float:
    """Wakes those whose generation has ended. Returns the seconds to the next look."""
    ended = Generation.objects.filter(pk__in=set(waiting.values()), finished_at__isnull=False)
    try:
        over = set(ended.values_list("pk", flat=True))
    except Error as error:
        log.warning("the database does not tell what has ended", error=type(error).__name__)
        connection.close()
        return AFTER_TROUBLE
    for one, generation_id in waiting.items():
        if generation_id in over:
            one.set()
    return LOOK_EVERY


_watch = Watch()
os.register_at_fork(after_in_child=_watch.begin_anew)


def until_ended(generation_id: UUID, seconds: float) -> bool:
    """Wait until it has ended, or the time is over. False, at once, where every place of this process is taken."""
    ended = _watch.join(generation_id) if seconds > 0 else None
    if ended is None:
        return False
    try:
        release_connection()
        ended.wait(min(seconds, LONGEST))
    finally:
        _watch.leave(ended)
    return True


def end_with_the_process() -> None:
    """Called once in the main thread of a web process: the server ends it only when every request was answered, so a
    SIGTERM must end all waiting. The server sets the signal's handler itself, later; the wakeup descriptor stays."""
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_hear, args=(heard, told), name="signals", daemon=True).start()


def _hear(heard: socket.socket, told: socket.socket) -> None:
    """Each byte is a signal's number. `told` is kept open."""
    while heard.recv(1)[0] not in (signal.SIGTERM, signal.SIGINT):
        pass
    _watch.stop()
