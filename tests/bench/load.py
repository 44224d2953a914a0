"""Send requests over persistent connections by bare sockets, at a tenth of the cost of an HTTP client."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import quantiles

CLOSED = 0  # in the place of a status


@dataclass
class Seen:
    """The answers to one load."""

    seconds: float = 0.0
    took: list[float] = field(default_factory=list)  # seconds of each answer
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Return the answers per second."""
        return len(self.took) / self.seconds

    def percentile(self, percent: int) -> float:
        """Return a percentile of the answers' times, in milliseconds."""
        return quantiles(self.took, n=100, method="inclusive")[percent - 1] * 1000

    def times(self) -> str:
        """Return the 50th, 95th and 99th percentile in milliseconds, as text."""
        return " / ".join(f"{self.percentile(percent):.1f}" for percent in (50, 95, 99))


def together(rounds: Iterable[Seen]) -> Seen:
    """Return the answers of several loads as those of one."""
    whole = Seen()
    for seen in rounds:
        whole.seconds += seen.seconds
        whole.took += seen.took
        whole.statuses += seen.statuses
    return whole


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Return the bytes of an HTTP request; a body is JSON."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(port: int, make: Callable[[], bytes], *, connections: int = 16, seconds: float = 5.0, core: int = 1) -> Seen:
    """Send one request after the other on each connection, from one core, so that the server has the others."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})
    try:
        return asyncio.run(_load(port, make, connections, seconds))
    finally:
        os.sched_setaffinity(0, before)


async def _load(port: int, make: Callable[[], bytes], connections: int, seconds: float) -> Seen:
    seen = Seen()
    began = time.perf_counter()
    ends = began + seconds
    await asyncio.gather(*(_caller(port, make, ends, seen) for _ in range(connections)))
    seen.seconds = time.perf_counter() - began
    return seen


async def _caller(port: int, make: Callable[[], bytes], ends: float, seen: Seen) -> None:
    while time.perf_counter() < ends:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        try:
            while time.perf_counter() < ends:
                await _call(reader, writer, make(), seen)
        except (ConnectionError, asyncio.IncompleteReadError):
            seen.statuses[CLOSED] += 1  # as a server does that refuses a body without reading it
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: bytes, seen: Seen) -> None:
    began = time.perf_counter()
    writer.write(asked)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    status, length = int(head[9:12]), _length(head)
    await reader.readexactly(length)
    seen.took.append(time.perf_counter() - began)
    seen.statuses[status] += 1


def _length(head: bytes) -> int:
    at = head.lower().index(b"content-length:")
    return int(head[at + 15 : head.index(b"\r\n", at)])
