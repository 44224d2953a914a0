"""Long polling: with `Prefer: wait=30` the answer comes when the generation ends, or after this time.

A waiting request keeps a thread of the server and no database connection. One thread of the process polls for all of
them, with one query. Places to wait are limited (WAITERS), since all other requests need threads too.
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

MAX_WAIT_SECONDS = 60.0  # proxies and load balancers cut a silent connection at about that
POLL_INTERVAL_SECONDS = 0.25
ERROR_INTERVAL_SECONDS = 1.0  # after a query that the database did not answer

PARAMETER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description=(
        "`wait=N` (RFC 7240): the answer comes when the generation ends, or after N seconds, "
        f"{MAX_WAIT_SECONDS:.0f} at most, and has `Preference-Applied`. `wait` alone waits as long as possible. "
        "If too many requests wait already, the answer comes at once."
    ),
)

# A comma within quotes is no separator, and a quote that is not closed reaches to the end.
PREFERENCE = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.?)*+(?:"|\Z))++')
SECONDS = re.compile(r'("?)([0-9]+)\1')


def preferred_seconds(request: Request) -> float | None:
    """Return the seconds that the caller is willing to wait, or None.

    By RFC 7240 the first `wait` counts, and a malformed value is ignored. A `wait` without a value waits as long as
    possible; an empty value is none.
    """
    for preference in PREFERENCE.findall(request.META.get("HTTP_PREFER", "")):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            if value.strip() in ("", '""'):
                return MAX_WAIT_SECONDS
            seconds = SECONDS.fullmatch(value.strip())
            return min(float(seconds[2]), MAX_WAIT_SECONDS) if seconds else None
    return None


def headers(seconds: float) -> dict[str, str]:
    """Return the headers of an answer that waited."""
    return {"Preference-Applied": f"wait={seconds:.0f}"}


class Watcher:
    """The requests that wait in this process, and the thread that polls for them."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start without requests and thread, also after a fork: the parent's threads and locks stay with the parent."""
        self._lock = threading.Lock()
        self._waiting: dict[threading.Event, UUID] = {}
        self._thread: threading.Thread | None = None
        self._is_stopped = False

    def join(self, generation_id: UUID) -> threading.Event | None:
        """Return the event that is set when the generation ends, or None if no place to wait is free."""
        with self._lock:
            if self._is_stopped or len(self._waiting) >= settings.WAITERS or not self._ensure_thread():
                return None
            ended = threading.Event()
            self._waiting[ended] = generation_id
            metrics.WAITERS.set(len(self._waiting))
            return ended

    def leave(self, ended: threading.Event) -> None:
        """Give the place to wait back."""
        with self._lock:
            del self._waiting[ended]
            metrics.WAITERS.set(len(self._waiting))

    def stop(self) -> None:
        """End all waiting, and allow none from now on."""
        with self._lock:
            self._is_stopped = True
            for ended in self._waiting:
                ended.set()

    def _ensure_thread(self) -> bool:
        """Start the polling thread, unless it runs. Return False if no thread can start. The caller holds the lock."""
        if self._thread and self._thread.is_alive():
            return True
        self._thread = threading.Thread(target=self._poll_until_empty, name="waiting", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the machine has no thread left
            log.exception("nobody can wait")
            return False
        return True

    def _poll_until_empty(self) -> None:
        """Poll while any request waits."""
        try:
            while waiting := self._retire_if_idle():
                time.sleep(_wake_ended(waiting))
        finally:
            connection.close()

    def _retire_if_idle(self) -> dict[threading.Event, UUID]:
        """Return the waiting requests. If there are none, give up the thread: the next request starts another."""
        with self._lock:
            if not self._waiting:
                self._thread = None
            return dict(self._waiting)


def _wake_ended(waiting: Mapping[threading.Event, UUID]) -> float:
    """Wake the requests whose generation has ended. Return the seconds until the next poll."""
    ended = Generation.objects.filter(pk__in=set(waiting.values()), finished_at__isnull=False)
    try:
        ended_ids = set(ended.values_list("pk", flat=True))
    except Error as error:
        log.warning("the database does not tell what has ended", error=type(error).__name__)
        connection.close()
        return ERROR_INTERVAL_SECONDS
    for event, generation_id in waiting.items():
        if generation_id in ended_ids:
            event.set()
    return POLL_INTERVAL_SECONDS


_watcher = Watcher()
os.register_at_fork(after_in_child=_watcher.reset)


def wait_until_finished(generation_id: UUID, seconds: float) -> bool:
    """Wait until the generation has ended, or the time is over. Return False at once if no place to wait is free."""
    ended = _watcher.join(generation_id) if seconds > 0 else None
    if ended is None:
        return False
    try:
        release_connection()
        ended.wait(min(seconds, MAX_WAIT_SECONDS))
    finally:
        _watcher.leave(ended)
    return True


def stop_on_signal() -> None:
    """End all waiting at SIGTERM or SIGINT: the server ends the process only when every request is answered.

    Call this once, in the main thread of a web process. The server sets the signals' handlers itself, later; the wakeup
    descriptor stays.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_await_signal, args=(reader, writer), name="signals", daemon=True).start()


def _await_signal(reader: socket.socket, writer: socket.socket) -> None:
    """Stop the watcher at the first signal to end. Each byte is a signal's number; the argument keeps `writer` open."""
    while reader.recv(1)[0] not in (signal.SIGTERM, signal.SIGINT):
        pass
    _watcher.stop()
