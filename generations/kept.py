"""Connections that are kept for the next request to the same place, without a pool's bookkeeping, which takes as long
as a small request itself.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import httpcore

from generations.deadline import DeadlineBackend, ThreadClock, tls

EXPIRES = 5.0  # seconds that one is kept unused
PORTS = {"http": 80, "https": 443}


class Place(NamedTuple):
    origin: httpcore.Origin
    path: str  # before that of each request
    idle: deque[httpcore.HTTPConnection]  # the longest idle first


class Kept:
    """Of one process: a socket must not be shared across a fork. As many as there are threads that ask at once."""

    def __init__(self) -> None:
        self._clock = ThreadClock()
        self._places: dict[str, Place] = {}  # by their base URLs

    @contextmanager
    def get(
        self, base_url: str, target: str, headers: Mapping[str, str], deadline: float
    ) -> Iterator[httpcore.Response]:
        """The answer, whose body is to be read within. `deadline`: seconds for all of it. Raises httpcore's errors."""
        self._clock.restart(deadline)
        origin, path, idle = self._place(base_url)
        asked = f"{path}{target}".encode("ascii")
        url = httpcore.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=asked)
        request = httpcore.Request(b"GET", url, headers=list(headers.items()))
        line = _alive(idle) or self._opened(origin)
        try:
            response = line.handle_request(request)
            try:
                yield response
            finally:
                response.close()
        except BaseException:
            line.close()
            raise
        if line.is_idle():
            idle.append(line)
        else:
            line.close()

    def close(self) -> None:
        for place in self._places.values():
            while place.idle:
                place.idle.popleft().close()

    def _opened(self, origin: httpcore.Origin) -> httpcore.HTTPConnection:
        backend = DeadlineBackend(self._clock)
        return httpcore.HTTPConnection(origin, tls(), keepalive_expiry=EXPIRES, network_backend=backend)

    def _place(self, base_url: str) -> Place:
        known = self._places.get(base_url)
        if known is None:
            parts = urlsplit(base_url)
            if parts.scheme not in PORTS:
                raise httpcore.UnsupportedProtocol(f"{parts.scheme!r} is neither http nor https")
            host, port = (parts.hostname or "").encode("ascii"), parts.port or PORTS[parts.scheme]
            made = Place(httpcore.Origin(parts.scheme.encode(), host, port), parts.path, deque())
            known = self._places.setdefault(base_url, made)
        return known


def _alive(idle: deque[httpcore.HTTPConnection]) -> httpcore.HTTPConnection | None:
    """Who was idle for longest, so that none is idle for long."""
    while True:
        try:
            line = idle.popleft()
        except IndexError:
            return None
        if not line.has_expired():
            return line
        line.close()
