"""The one HTTP transport: every exchange has one deadline, from the look-up of the host to the last byte.

An HTTP client's timeouts limit each read, so a peer that sends a byte at a time outlives them. Here the deadline and a
limit of bytes are set on the stream that the protocol reads. No proxy of the environment is used, no redirect is
followed, and nothing is sent twice.
"""

import math
import os
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import certifi
import httpcore
import httpx

from generations.outbound.errors import FetchFailed

MAX_IDLE_SECONDS = 5.0  # a connection that was unused for longer may have been closed by the peer
MAX_WRITE_BYTES = 64 * 1024  # at a time: the socket's timeout restarts with every part that it can send
PORTS = {"http": 80, "https": 443}
USER_AGENT = ("User-Agent", "seedance-service")
# These are raised before the first byte of a request is sent, never later: by our own checks, or by the connect.
UNSENT_ERRORS = (
    httpx.InvalidURL,
    httpcore.UnsupportedProtocol,
    httpcore.LocalProtocolError,
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
)
FOREIGN_ERRORS = (
    *UNSENT_ERRORS,
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.ConnectionNotAvailable,
)
Resolve = Callable[[str, int, float], str]  # from host, port and timeout in seconds to the address to connect to


@dataclass
class Response:
    """The head of an answer, and its body while it arrives."""

    status: int
    headers: httpx.Headers
    chunks: Iterator[bytes]  # of the body, as it comes; may raise FetchFailed
    is_discarded: bool = False

    def discard(self) -> None:
        """Let no later exchange use this answer's connection: what came on it is not to be trusted."""
        self.is_discarded = True


class Budget:
    """The seconds and the bytes of the answer that an exchange may still take.

    `silence` is the number of seconds that may pass without a byte.
    """

    def __init__(self, seconds: float, *, silence: float = math.inf, max_bytes: float = math.inf) -> None:
        self._ends_at, self._silence, self._bytes_left = time.monotonic() + seconds, silence, max_bytes

    def seconds_left(self) -> float:
        """Return the timeout of the next step. Raise httpcore's ReadTimeout if the deadline has passed."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the deadline for the whole exchange has passed")
        return min(left, self._silence)

    def bytes_left(self, requested: int) -> int:
        """Return `requested`, cut to the bytes that may still come. Raise httpcore's ReadError if none may."""
        if self._bytes_left <= 0:
            raise httpcore.ReadError("as many bytes have come as the whole exchange may have")
        return int(min(requested, self._bytes_left))

    def spend_bytes(self, count: int) -> None:
        """Subtract bytes that have come."""
        self._bytes_left -= count


class DeadlineBackend(httpcore.NetworkBackend):
    """A network backend that connects to the address that `resolve` returns, within the budget of the exchange."""

    budget: Budget  # of the exchange in progress

    def __init__(self, resolve: Resolve) -> None:
        self._resolve, self._plain = resolve, httpcore.SyncBackend()

    def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        """Resolve the host, connect, and return the stream."""
        address = self._resolve(host, port, self.budget.seconds_left())
        return DeadlineStream(self._plain.connect_tcp(address, port, self.budget.seconds_left()), self)


class DeadlineStream(httpcore.NetworkStream):
    """A network stream whose reads and writes take from the backend's budget."""

    def __init__(self, stream: httpcore.NetworkStream, backend: DeadlineBackend) -> None:
        self._stream, self._backend = stream, backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        budget = self._backend.budget
        received = self._stream.read(budget.bytes_left(max_bytes), budget.seconds_left())
        budget.spend_bytes(len(received))
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        for start in range(0, len(view), MAX_WRITE_BYTES):
            self._stream.write(bytes(view[start : start + MAX_WRITE_BYTES]), self._backend.budget.seconds_left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._backend.budget.seconds_left())
        return DeadlineStream(stream, self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Connection:
    """A connection to the origin of a URL, for one exchange at a time."""

    def __init__(self, url: str, resolve: Resolve) -> None:
        """Raise httpx's InvalidURL, or httpcore's UnsupportedProtocol if the URL is neither http nor https."""
        self._url, self._backend = httpx.URL(url), DeadlineBackend(resolve)
        scheme = self._url.scheme
        if scheme not in PORTS:
            raise httpcore.UnsupportedProtocol(f"{scheme!r} is neither http nor https")
        origin = httpcore.Origin(self._url.raw_scheme, self._url.raw_host, self._url.port or PORTS[scheme])
        self.http = httpcore.HTTPConnection(origin, _tls(), MAX_IDLE_SECONDS, network_backend=self._backend)

    def send(
        self, budget: Budget, method: str, path: str, headers: Mapping[str, str], content: bytes | Iterable[bytes]
    ) -> httpcore.Response:
        """Send one request and return the head of the answer. `path`, with its query, follows the URL's own path."""
        self._backend.budget = budget
        url = self._url
        target = url.raw_path.rstrip(b"/") + path.encode("ascii") if path else url.raw_path
        where = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target)
        head: list[tuple[str | bytes, str | bytes]] = [("Host", url.netloc), USER_AGENT, *headers.items()]
        return self.http.handle_request(httpcore.Request(method, where, headers=head, content=content))


class Pool:
    """Idle connections by URL, for later exchanges: as many as there were exchanges at once.

    httpcore's own pool, with one connection for each thread, takes a sixth more CPU for a poll, for its bookkeeping.
    """

    def __init__(self) -> None:
        # By process id too: a socket must not be shared across a fork. The longest idle connection comes first.
        self.idle: defaultdict[tuple[int, str], deque[Connection]] = defaultdict(deque)

    def take(self, url: str) -> Connection | None:
        """Remove and return the connection that was idle for longest, so that none expires; None if there is none."""
        idle = self.idle[os.getpid(), url]
        while True:
            try:
                connection = idle.popleft()
            except IndexError:
                return None
            if not connection.http.has_expired():
                return connection
            connection.http.close()

    def give_back(self, url: str, connection: Connection) -> None:
        """Add a connection whose exchange is over."""
        self.idle[os.getpid(), url].append(connection)


@contextmanager
def exchange(
    method: str,
    url: str,
    headers: Mapping[str, str],
    budget: Budget,
    *,
    path: str = "",
    content: bytes | Iterable[bytes] = b"",
    resolve: Resolve = lambda host, *_: host,
    pool: Pool | None = None,
) -> Iterator[Response]:
    """Send one request and yield its answer, whose body has to be read inside the `with` block.

    With a `pool`, the connection comes from there, and goes back if it can be used again. Without a pool it is new, and
    closed at the end.
    `headers` state the length of the content. Raise FetchFailed, and what `resolve` raises.
    """
    try:
        connection = (pool and pool.take(url)) or Connection(url, resolve)
        response = connection.send(budget, method, path, headers, content)
    except FOREIGN_ERRORS as error:
        raise _translate(error) from error
    answer = Response(response.status, httpx.Headers(response.headers), _read_chunks(response))
    try:
        yield answer
    finally:
        response.close()
        if pool and not answer.is_discarded and connection.http.is_available():
            pool.give_back(url, connection)
        else:
            connection.http.close()


def _read_chunks(response: httpcore.Response) -> Iterator[bytes]:
    """Yield the body's chunks. Raise FetchFailed."""
    try:
        yield from response.iter_stream()
    except FOREIGN_ERRORS as error:
        raise _translate(error) from error


def _translate(error: Exception) -> FetchFailed:
    """Return our error for one of FOREIGN_ERRORS, which no other code knows."""
    # The error's text may hold the URL, and the URL a signature: only the name of its class is used.
    return FetchFailed(type(error).__name__, is_unsent=isinstance(error, UNSENT_ERRORS))


@cache
def _tls() -> ssl.SSLContext:
    """Return the TLS context of all connections. It is created once: loading the certificates takes 20 ms."""
    return ssl.create_default_context(cafile=certifi.where())
