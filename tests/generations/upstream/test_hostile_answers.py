"""Hostile answers, to the guarded fetch and in the upstream's place, cost little time and memory."""

import functools
import gzip
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from generations import leases
from generations.outbound import fetch
from generations.outbound.errors import FetchFailed, FetchTooLarge
from generations.upstream import outcomes
from generations.upstream.ark.wire import WIRE as ARK
from generations.upstream.errors import UpstreamError
from generations.upstream.protocol import Account
from tests.support import novita_calls
from tests.support.upstream import Upstream

pytestmark = pytest.mark.abuse

DEADLINE = 0.2  # seconds for each exchange here
MAX_SECONDS = 60.0  # a slow machine has time: without a limit an exchange would take minutes, or for ever
MAX_BYTES = 20_000_000  # of memory


@functools.cache
def bomb() -> bytes:
    """Return 64 MB of zeros, compressed to 300 kB."""
    return gzip.compress(bytes(64_000_000), 1)


def read(server: Upstream) -> Any:
    """Fetch an image or a video, and return the error."""
    with pytest.raises((FetchFailed, FetchTooLarge)) as caught:
        fetch.read(f"{server.url}/a.png", limit=1_000_000, deadline=DEADLINE)
    return caught.value


def poll(server: Upstream) -> Any:
    """Poll a task, and return the error."""
    server.on_poll = server.on_video
    with pytest.raises(UpstreamError) as caught:
        novita_calls.get_task("upstream-1")
    return caught.value


def submit(server: Upstream) -> Any:
    """Submit once. An answer that cannot be understood leaves the submit in doubt."""
    server.on_submit = server.on_video
    outcome = novita_calls.submit("/v3/async/seedance-v1-lite-i2v", {"seed": 7})
    assert isinstance(outcome, outcomes.InDoubt)
    assert len(server.submits) == 1
    return outcome


def poll_ark(server: Upstream) -> Any:
    """Poll a task of the model maker, and return the error."""
    server.on_poll = server.on_video
    with pytest.raises(UpstreamError) as caught:
        ARK.get(ark_account(server), "cgt-20261129101500-ab1cd")
    return caught.value


def list_ark(server: Upstream) -> Any:
    """Read the model maker's list of tasks, and return the error."""
    server.on_list = server.on_video
    with pytest.raises(UpstreamError) as caught:
        list(ARK.list_tasks(ark_account(server), "a-model"))
    return caught.value


def submit_ark(server: Upstream) -> Any:
    """Submit to the model maker once. An answer that cannot be understood leaves the submit in doubt."""
    server.on_submit = server.on_video
    outcome = ARK.submit(ark_account(server), "a-model", b"{}")
    assert isinstance(outcome, outcomes.InDoubt)
    assert len(server.submits) == 1
    return outcome


def ark_account(server: Upstream) -> Account:
    """Return an account of the model maker's wire, at the scripted upstream."""
    return Account("ark", "ark", f"{server.url}/api/v3", "a-key")


@pytest.fixture(autouse=True)
def _short_deadlines(monkeypatch: Any) -> None:
    monkeypatch.setattr(leases, "SUBMIT_CALL_SECONDS", DEADLINE)
    monkeypatch.setattr(leases, "POLL_CALL_SECONDS", DEADLINE)


@contextmanager
def bounded() -> Iterator[None]:
    """Check that the block takes little time and memory."""
    tracemalloc.start()
    started = time.monotonic()
    try:
        yield
        assert time.monotonic() - started < MAX_SECONDS
        assert tracemalloc.get_traced_memory()[1] < MAX_BYTES
    finally:
        tracemalloc.stop()


def writer(head: bytes, repeated: bytes = b"", pause: float = 0.0) -> Callable[[Any], None]:
    """Return an answer that writes its head, then `repeated` for ever, until the client closes the connection."""

    def write(handler: Any) -> None:
        handler.close_connection = True
        try:
            handler.wfile.write(head)
            while repeated:
                handler.wfile.write(repeated)
                time.sleep(pause)
        except OSError:
            return

    return write


OK = b"HTTP/1.1 200 OK\r\n"
HOSTILE = {
    "a header of 2 MB": writer(OK + b"X-Large: " + b"x" * 2_000_000 + b"\r\n\r\n"),
    "an endless header": writer(OK + b"X-Large: ", b"x" * 65_536),
    "endless headers": writer(OK, b"X-Another: 1\r\n" * 1000),
    "dripped headers": writer(OK, b"X-Drip: 1\r\n", 0.02),
    "a dripped status line": writer(b"HTTP/1.1 200 ", b"O", 0.02),
    "a dripped body": writer(OK + b"Content-Length: 100000\r\n\r\n", b" ", 0.02),
    "a dripped chunk": writer(OK + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n", b" ", 0.02),
    "endless interim answers": writer(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
    "dripped interim answers": writer(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
    "two lengths": writer(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
    "a negative length": writer(OK + b"Content-Length: -1\r\n\r\n{}"),
    "a length of 5000 digits": writer(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}"),
    "a wrong chunk": writer(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "an endless chunk extension": writer(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 65_536),
    "endless trailers": writer(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Another: 1\r\n" * 1000),
    "another transfer encoding": writer(OK + b"Transfer-Encoding: gzip\r\n\r\n" + gzip.compress(b"{}")),
    "a line break in a header": writer(OK + b"Location: a\rb\r\nX\0: 1\r\n\r\n{}"),
    "a NUL in the status line": writer(b"HTTP/1.1 200 \0\r\n\r\n{}"),
    "another protocol": writer(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "HTTP/2": writer(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "binary": writer(bytes(range(256)) * 100),
    "nothing": writer(b""),
}


EXCHANGES = [read, poll, submit, poll_ark, list_ark, submit_ark]


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_answer_costs_neither_time_nor_memory(upstream: Upstream, exchange: Any, answer: Any) -> None:
    upstream.on_video = answer
    with bounded():
        exchange(upstream)


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("encoding", ["gzip", "identity, gzip"])
def test_a_bomb_is_not_inflated(upstream: Upstream, exchange: Any, encoding: str) -> None:
    head = OK + f"Content-Encoding: {encoding}\r\nContent-Length: {len(bomb())}\r\n\r\n".encode()
    upstream.on_video = writer(head + bomb())
    with bounded():
        exchange(upstream)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_an_endless_body_is_not_read_to_its_end(upstream: Upstream, exchange: Any) -> None:
    upstream.on_video = writer(OK + b"\r\n", b" " * 1_000_000)
    with bounded():
        exchange(upstream)
