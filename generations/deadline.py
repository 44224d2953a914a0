"""One deadline for a whole exchange: httpx's timeouts bound each read, so a dripping peer outlives them."""

import math
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import certifi
import httpcore

OPTIONS = Iterable[Any] | None


@cache
def tls() -> ssl.SSLContext:
    """Made once: loading the certificates costs 20 ms."""
    return ssl.create_default_context(cafile=certifi.where())


class Clock:
    """What is left of `seconds` from now, and of `most` bytes that may come."""

    def __init__(self, seconds: float, most: float = math.inf) -> None:
        self._ends, self._most = time.monotonic() + seconds, most

    def room(self, wanted: int) -> int:
        """`wanted` cut to the bytes that are left. Raises httpcore's ReadError where none is."""
        if self._most <= 0:
            raise httpcore.ReadError("as much has come as the whole exchange may have")
        return int(min(wanted, self._most))

    def count(self, received: int) -> None:
        self._most -= received

    def left(self, timeout: float | None) -> float:
        """`timeout` cut to what is left. Raises httpcore's ReadTimeout where nothing is."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the deadline for the whole exchange has passed")
        return left if timeout is None else min(timeout, left)


class ThreadClock(Clock, threading.local):
    """A clock for kept connections, which serve one exchange after another: each thread has its own reading."""

    def __init__(self) -> None:
        super().__init__(0)

    def restart(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds


class DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, clock: Clock) -> None:
        self._stream, self._clock = stream, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        received = self._stream.read(self._clock.room(max_bytes), self._clock.left(timeout))
        self._clock.count(len(received))
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In pieces, because the socket's timeout starts anew with every part that it can send.
        view = memoryview(buffer)
        for start in range(0, len(view), 65536):
            self._stream.write(bytes(view[start : start + 65536]), self._clock.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._clock.left(timeout))
        return DeadlineStream(stream, self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class DeadlineBackend(httpcore.NetworkBackend):
    """Connects to what `resolve` names for a host, and puts every stream under the clock."""

    def __init__(self, clock: Clock, resolve: Callable[[str, int], str] = lambda host, _: host) -> None:
        self._clock, self._resolve, self._plain = clock, resolve, httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: OPTIONS = None,
    ) -> httpcore.NetworkStream:
        address = self._resolve(host, port)
        stream = self._plain.connect_tcp(address, port, self._clock.left(timeout), local_address, socket_options)
        return DeadlineStream(stream, self._clock)
