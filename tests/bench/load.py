"""Load over persistent connections by bare sockets: it measures the server, at a tenth of a client's cost."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import quantiles

CLOSED = 0  # in the place of a status


@dataclass
class Seen:
    """What a load saw."""

    seconds: float = 0.0
    took: list[float] = field(default_factory=list)  # seconds of each answer
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.took) / self.seconds

    def percentile(self, percent: int) -> float:
        """Milliseconds."""
        return quantiles(self.took, n=100, method="inclusive")[percent - 1] * 1000

    def times(self) -> str:
        return " / ".join(f"{self.percentile(percent):.1f}" for percent in (50, 95, 99))


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(port: int, make: Callable[[], bytes], *, connections: int = 16, seconds: float = 5.0, core: int = 1) -> Seen:
    """One request after the other on each connection. Runs on that core alone, so that the server has the other."""
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
