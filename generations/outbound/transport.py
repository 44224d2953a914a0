"""The one HTTP transport: every exchange has one deadline, from the look-up of the host to the last byte.

An HTTP client's timeouts limit each read, so a peer that sends a byte at a time outlives them. Here the deadline and a
limit of bytes are set on the stream that the protocol reads. No proxy of the environment is used, no redirect is
followed, and nothing is sent twice.
"""

import math
import os
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from generations.outbound import connecting, failures
from generations.outbound.errors import FetchFailed
from generations.outbound.failures import FOREIGN_ERRORS, AnswerTooLong
from generations.outbound.look_ups import Resolver

MAX_IDLE_SECONDS = 5.0  # a connection that was unused for longer may have been closed by the peer
MAX_WRITE_BYTES = 64 * 1024  # at a time: the socket's timeout restarts with every part that it can send
PORTS = {"http": 80, "https": 443}
USER_AGENT = ("User-Agent", "seedance-service")

# For hosts of the settings. Those of callers and of answers have a pool of their own, which names that never resolve
# may fill.
_resolver = Resolver("upstream-resolver", 16)


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

    `silence` is the number of seconds that may pass without a byte. `read_bytes` are asked for at once: where much
    comes, fewer reads take less processor time.
    """

    def __init__(
        self, seconds: float, *, silence: float = math.inf, max_bytes: float = math.inf, read_bytes: int = 0
    ) -> None:
        self._ends_at, self._silence, self._bytes_left = time.monotonic() + seconds, silence, max_bytes
        self._read_bytes = read_bytes

    def seconds_left(self) -> float:
        """Return the timeout of the next step. Raise httpcore's ReadTimeout if the deadline has passed."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the deadline for the whole exchange has passed")
        return min(left, self._silence)

    def bytes_left(self, requested: int) -> int:
        """Return `requested`, or `read_bytes` if they are more, cut to the bytes that may still come.

        Raise AnswerTooLong if none may.
        """
        if self._bytes_left <= 0:
            raise AnswerTooLong
        return int(min(max(requested, self._read_bytes), self._bytes_left))

    def spend_bytes(self, count: int) -> None:
        """Subtract bytes that have come."""
        self._bytes_left -= count


class DeadlineStream(httpcore.NetworkStream):
    """A network stream whose reads and writes take from the budget of the exchange in progress."""

    budget: Budget

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream, self.has_ended = stream, False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        received = self._stream.read(self.budget.bytes_left(max_bytes), self.budget.seconds_left())
        self.budget.spend_bytes(len(received))
        self.has_ended = not received
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        for start in range(0, len(view), MAX_WRITE_BYTES):
            self._stream.write(bytes(view[start : start + MAX_WRITE_BYTES]), self.budget.seconds_left())

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Protocol(httpcore.HTTP11Connection):
    """httpcore's HTTP on one connection, which also says whether more has come than the answer."""

    def has_surplus(self) -> bool:
        return self._h11_state.trailing_data != (b"", False)


class Connection:
    """A connection to the origin of a URL, for one exchange at a time."""

    def __init__(self, url: str, budget: Budget, resolve: connecting.Resolve) -> None:
        """Connect. Raise one of FOREIGN_ERRORS, or what `resolve` raises."""
        self._url = httpx.URL(url)
        scheme = self._url.scheme
        if scheme not in PORTS:
            raise httpcore.UnsupportedProtocol(f"{scheme!r} is neither http nor https")
        origin = httpcore.Origin(self._url.raw_scheme, self._url.raw_host, self._url.port or PORTS[scheme])
        self.stream = DeadlineStream(connecting.connect(origin, resolve, budget.seconds_left))
        self.http = Protocol(origin, self.stream, MAX_IDLE_SECONDS)

    def send(
        self, budget: Budget, method: str, path: str, headers: Mapping[str, str], content: bytes | Iterable[bytes]
    ) -> httpcore.Response:
        """Send one request and return the head of the answer. `path`, with its query, follows the URL's own path."""
        self.stream.budget = budget
        url = self._url
        target = url.raw_path.rstrip(b"/") + path.encode("ascii") if path else url.raw_path
        where = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target)
        head: list[tuple[str | bytes, str | bytes]] = [("Host", url.netloc), USER_AGENT, *headers.items()]
        return self.http.handle_request(httpcore.Request(method, where, headers=head, content=content))

    def is_reusable(self, response: Response) -> bool:
        """Return whether another request may follow the answer: all of it was read, and nothing came behind it."""
        # With both headers, another reader may see another end of the answer: RFC 9112, 6.3.
        is_ambiguous = "Transfer-Encoding" in response.headers and "Content-Length" in response.headers
        is_trusted = not (response.is_discarded or is_ambiguous)
        return is_trusted and self.http.is_available() and not self.http.has_surplus()


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
            if not connection.http.has_expired():  # or readable: what comes unasked answers nothing, and closes it
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
    resolve: connecting.Resolve = _resolver.look_up,
    pool: Pool | None = None,
) -> Iterator[Response]:
    """Send one request and yield its answer, whose body has to be read inside the `with` block.

    With a `pool`, the connection comes from there, and goes back if it can be used again. Without a pool it is new, and
    closed at the end.
    `headers` state the length of the content. Raise FetchFailed, and what `resolve` raises.
    """
    try:
        connection = (pool and pool.take(url)) or Connection(url, budget, resolve)
    except FOREIGN_ERRORS as error:
        raise failures.translate(error, is_unsent=True) from error
    try:
        response = connection.send(budget, method, path, headers, content)
    except FOREIGN_ERRORS as error:
        raise _translate(error, connection) from error
    answer = Response(response.status, httpx.Headers(response.headers), _read_chunks(response, connection))
    try:
        yield answer
    finally:
        response.close()
        if pool and connection.is_reusable(answer):
            pool.give_back(url, connection)
        else:
            connection.http.close()


def _read_chunks(response: httpcore.Response, connection: Connection) -> Iterator[bytes]:
    """Yield the body's chunks. Raise FetchFailed."""
    try:
        yield from response.iter_stream()
    except FOREIGN_ERRORS as error:
        raise _translate(error, connection) from error


def _translate(error: Exception, connection: Connection) -> FetchFailed:
    """Return our error for one that an exchange on this connection raised."""
    # Our own checks raise a LocalProtocolError before the first byte; any other may follow the whole request.
    is_unsent = isinstance(error, httpcore.LocalProtocolError)
    return failures.translate(error, is_unsent=is_unsent, has_ended=connection.stream.has_ended)
