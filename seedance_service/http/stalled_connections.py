"""Cut off callers whose body does not arrive: a thread that reads a body ends only when its connection does.

The server has no time limit for bodies, does not name a request's connection, and lets no thread be interrupted. The
kernel says of each connection when bytes last came and went. One on which bytes come again and again, while none go, is
one whose request still arrives. One on which nothing moves may also wait for its answer, so it gets longer than any
request takes. Only the receiving side is shut down: the caller still gets an answer.
"""

import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from seedance_service.http.body_places import places

log = structlog.stdlib.get_logger(__name__)

# Offsets in Linux's struct tcp_info (linux/tcp.h): milliseconds since bytes were last sent and received, and the number
# of bytes received. The kernel only appends to the struct.
LAST_SENT, LAST_RECEIVED, BYTES_RECEIVED, INFO_BYTES = 44, 52, 128, 136


@dataclass(frozen=True)
class Limits:
    """The times and the rate that decide which connections are cut off."""

    check_seconds: float = 2.5  # between two checks
    min_arrivals: int = 6  # checks that found new bytes, 15 s in all: a whole request comes within one or two
    bytes_per_second: float = 64 * 1024  # 5 MB in 80 s; slower bodies would hold the places of large bodies for long
    silent_seconds: float = 90.0  # longer than `Prefer: wait=60`; the shipped proxy waits no longer for an answer
    patience_seconds: float = 10.0  # after which a body that ends too early was slow, and its caller has not left


@dataclass(frozen=True)
class Traffic:
    """The kernel's counters of a connection: seconds since bytes were last sent and received, and bytes received."""

    sent_ago: float
    received_ago: float
    received: int


@dataclass(frozen=True)
class History:
    """The arrivals on a connection since bytes were last sent on it, as the checks counted them."""

    since: float  # the time of the first check, by the monotonic clock
    received_before: int  # bytes, by the first check
    received: int  # bytes, by the last check
    arrivals: int = 0  # checks that found new bytes

    @classmethod
    def begin(cls, traffic: Traffic, now: float) -> "History":
        """Return the history of a connection that no check has seen since bytes were last sent."""
        return cls(now, traffic.received, traffic.received)

    def add(self, traffic: Traffic, now: float) -> "History":
        """Return the history with one more check."""
        if traffic.sent_ago < now - self.since:
            return self.begin(traffic, now)
        return replace(self, received=traffic.received, arrivals=self.arrivals + (traffic.received > self.received))


limits = Limits()


def watch() -> None:
    """Start to cut off slow callers. Call this once in a web process."""
    threading.Thread(target=_watch, name="slow-bodies", daemon=True).start()


def _watch() -> None:
    histories: dict[str, History] = {}
    while True:
        time.sleep(limits.check_seconds)
        if places.oldest_age() < limits.check_seconds:
            histories = {}
            continue
        try:
            histories = _check(histories)
        except OSError:  # the process has no file descriptor left
            log.exception("slow callers could not be cut off")


def _check(histories: dict[str, History]) -> dict[str, History]:
    """Cut off the stalled connections. Return the histories with what this check has seen."""
    checked: dict[str, History] = {}
    cut = 0
    for connection in _accepted_connections():
        with connection, suppress(OSError):  # it may have just ended
            name, traffic, now = str(connection.getpeername()), _traffic(connection), time.monotonic()
            before = histories.get(name) or History.begin(traffic, now)
            checked[name] = before.add(traffic, now)
            if is_stalled(traffic, before, checked[name], now):
                connection.shutdown(socket.SHUT_RD)
                cut += 1
    if cut:
        log.warning("slow callers were cut off", connections=cut)
    return checked


def is_stalled(traffic: Traffic, before: History, history: History, now: float) -> bool:
    """Return whether the connection's request drips in, by its history before and after this check, or not at all."""
    if min(traffic.sent_ago, traffic.received_ago) >= limits.silent_seconds:
        return True
    came_just_now = history.arrivals > before.arrivals  # else it may have come, and wait for its answer
    received = history.received - history.received_before
    is_slow = received < (now - history.since) * limits.bytes_per_second
    return came_just_now and history.arrivals >= limits.min_arrivals and is_slow


def _traffic(connection: socket.socket) -> Traffic:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_BYTES)
    (sent,), (received,) = struct.unpack_from("I", info, LAST_SENT), struct.unpack_from("I", info, LAST_RECEIVED)
    return Traffic(sent / 1000, received / 1000, struct.unpack_from("Q", info, BYTES_RECEIVED)[0])


def _accepted_connections() -> Iterator[socket.socket]:
    """Yield this process's connections to the ports on which it listens, as sockets that the caller closes."""
    sockets = list(_sockets())
    ports = {one.getsockname()[1] for one in sockets if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)}
    for one in sockets:
        if one.getsockname()[1] in ports and not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            yield one
        else:
            one.close()


def _sockets() -> Iterator[socket.socket]:
    """Yield a copy of each TCP socket of this process: the server's own objects are out of reach."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.stat(f"/proc/self/fd/{name}").st_mode):
                copy = socket.socket(fileno=os.dup(int(name)))
            else:
                continue
        except OSError:
            continue  # closed in this moment
        if copy.family in (socket.AF_INET, socket.AF_INET6) and copy.type == socket.SOCK_STREAM:
            yield copy
        else:
            copy.close()
