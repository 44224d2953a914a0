"""Send requests over persistent connections by bare sockets, at a tenth of the cost of an HTTP client."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import quantiles

CLOSED = 0  # in the place of a status
REFUSALS = (408, 429, 503)


@dataclass
class Seen:
    """The answers to one load."""

    seconds: float = 0.0
    took: list[float] = field(default_factory=list)  # seconds of each answer
    statuses: Counter[int] = field(default_factory=Counter)
    silent_refusals: int = 0  # that do not say when to come again

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
        whole.silent_refusals += seen.silent_refusals
    return whole


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Return the bytes of an HTTP request; a body is JSON."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Pace:
    """How a slow caller sends a body: some bytes at a time, after the head at once."""

    step: int  # bytes
    pause: float  # seconds between two steps
    until: int | None = None  # bytes of the body after which the caller sends no more


@dataclass(frozen=True)
class Group:
    """Callers of one kind. Each sends one request after the other on a connection of its own."""

    make: Callable[[], bytes]
    connections: int
    pace: Pace | None = None
    obeys_retry_after: bool = False  # else a refused caller comes again at once


def run(port: int, make: Callable[[], bytes], *, connections: int = 16, seconds: float = 5.0, core: int = 1) -> Seen:
    """Send one request after the other on each connection, from one core, so that the server has the others."""
    [seen] = run_groups(port, [Group(make, connections)], seconds=seconds, core=core)
    return seen


def run_groups(port: int, groups: Sequence[Group], *, seconds: float, core: int = 1) -> list[Seen]:
    """Let all groups call at the same time, and return what each has seen.

    The first group's callers wait for their last answers. Then the others are cut off, whatever they wait for.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})
    try:
        return asyncio.run(_load(port, groups, seconds))
    finally:
        os.sched_setaffinity(0, before)


async def _load(port: int, groups: Sequence[Group], seconds: float) -> list[Seen]:
    began = time.perf_counter()
    ends = began + seconds
    seen = [Seen() for _ in groups]
    calling = [
        [asyncio.create_task(_caller(port, group, ends, seen[number])) for _ in range(group.connections)]
        for number, group in enumerate(groups)
    ]
    first, *others = calling
    await asyncio.gather(*first)
    for one in seen:
        one.seconds = time.perf_counter() - began
    rest = [task for tasks in others for task in tasks]
    for task in rest:
        task.cancel()
    for result in await asyncio.gather(*rest, return_exceptions=True):
        if isinstance(result, Exception):  # a cancellation is none
            raise result
    return seen


async def _caller(port: int, group: Group, ends: float, seen: Seen) -> None:
    while time.perf_counter() < ends:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        try:
            is_open, retry_after = True, 0.0
            while is_open and time.perf_counter() < ends:
                is_open, retry_after = await _call(reader, writer, group, seen)
            if group.obeys_retry_after:
                await asyncio.sleep(min(retry_after, max(0.0, ends - time.perf_counter())))
        except (ConnectionError, asyncio.IncompleteReadError):
            seen.statuses[CLOSED] += 1  # as a server does that refuses a body without reading it
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _call(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, group: Group, seen: Seen
) -> tuple[bool, float]:
    """Send a request. Return whether the connection stays open, and the seconds of `Retry-After` in a refusal."""
    began = time.perf_counter()
    sending = await _send(writer, group.make(), group.pace)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status, length = int(head[9:12]), int(_header(head, b"content-length"))
    await reader.readexactly(length)
    if sending:
        sending.cancel()
    seen.took.append(time.perf_counter() - began)
    seen.statuses[status] += 1
    retry_after = _header(head, b"retry-after")
    if status in REFUSALS and not retry_after:
        seen.silent_refusals += 1
    return _header(head, b"connection") != b"close", float(retry_after or 0) if status in REFUSALS else 0.0


async def _send(writer: asyncio.StreamWriter, asked: bytes, pace: Pace | None) -> asyncio.Task[None] | None:
    """Send a request at once, or begin to send its body at a pace: an answer may come before the end."""
    if pace:
        return asyncio.create_task(_send_slowly(writer, asked, pace))
    writer.write(asked)
    await writer.drain()
    return None


async def _send_slowly(writer: asyncio.StreamWriter, asked: bytes, pace: Pace) -> None:
    begin = asked.index(b"\r\n\r\n") + 4
    writer.write(asked[:begin])
    with suppress(ConnectionError):  # the caller's read says so too
        for at in range(begin, len(asked) if pace.until is None else begin + pace.until, pace.step):
            writer.write(asked[at : at + pace.step])
            await writer.drain()
            await asyncio.sleep(pace.pause)


def _header(head: bytes, name: bytes) -> bytes:
    """Return the value of a header in lower case, or nothing."""
    _, found, rest = head.partition(b"\r\n" + name + b": ")
    return rest[: rest.index(b"\r\n")] if found else b""
