"""Tests of pooled connections whose server sends what was not asked for: each answer belongs to its own request."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from generations.outbound import fetch
from generations.outbound.errors import FetchFailed
from generations.outbound.transport import Budget, Pool, exchange
from generations.upstream import outcomes
from tests.support import novita_calls
from tests.support.upstream import ASKED, Upstream, task

SURPLUS = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nWRONG"


class Server:
    """A server that answers each request with its path, between the bytes that a test sets."""

    def __init__(self) -> None:
        self.head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
        self.before = self.behind = b""
        self.is_framed = False
        self.opened: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            self.opened.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as requests:
            while line := requests.readline():
                while requests.readline().strip():
                    pass
                content = line.split()[1]
                head = self.head % len(content) if b"%d" in self.head else self.head
                body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content) if self.is_framed else content
                connection.sendall(self.before + head + body + self.behind)

    def close(self) -> None:
        for connection in [self._listener, *self.opened]:
            connection.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    for connections in pool.idle.values():
        for connection in connections:
            connection.http.close()


def read(server: Server, pool: Pool, path: str) -> bytes:
    with exchange("GET", server.url, {}, Budget(5.0), path=path, pool=pool) as response:
        return b"".join(response.chunks)


def wait_until_it_has_come(pool: Pool) -> None:
    """Wait until the idle connection has something to read."""
    [[connection]] = [connections for connections in pool.idle.values() if connections]
    assert select.select([connection.stream.get_extra_info("socket")], [], [], 5.0)[0]


@pytest.mark.parametrize(
    "behind",
    [
        SURPLUS,
        SURPLUS * 3,
        SURPLUS[:4],
        b"\r\n",
        b"x",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
def test_what_comes_behind_an_answer_closes_the_connection(server: Server, pool: Pool, behind: bytes) -> None:
    server.behind = behind
    assert [read(server, pool, f"/{number}") for number in range(4)] == [b"/0", b"/1", b"/2", b"/3"]
    assert len(server.opened) == 4


@pytest.mark.parametrize("framed", [True, False])
def test_an_answer_alone_keeps_the_connection(server: Server, pool: Pool, framed: bool) -> None:
    if framed:
        server.is_framed, server.head = True, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert [read(server, pool, f"/{number}") for number in range(4)] == [b"/0", b"/1", b"/2", b"/3"]
    assert len(server.opened) == 1


def test_what_comes_behind_a_chunked_answer_closes_the_connection(server: Server, pool: Pool) -> None:
    server.is_framed, server.behind = True, SURPLUS
    server.head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert [read(server, pool, f"/{number}") for number in range(4)] == [b"/0", b"/1", b"/2", b"/3"]
    assert len(server.opened) == 4


@pytest.mark.parametrize("later", [SURPLUS, b"\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n", b""])
def test_what_comes_before_the_next_request_closes_the_connection(server: Server, pool: Pool, later: bytes) -> None:
    for number in range(3):
        assert read(server, pool, f"/{number}") == f"/{number}".encode()
        if later:
            server.opened[-1].sendall(later)
        else:
            server.opened[-1].shutdown(socket.SHUT_WR)
        wait_until_it_has_come(pool)
    assert len(server.opened) == 3


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_a_body_has_none(server: Server, pool: Pool, status: bytes) -> None:
    """What stands behind its head would be the next request's answer, whatever length the head names."""
    server.head = b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n\r\n"
    assert [read(server, pool, f"/{number}") for number in range(3)] == [b""] * 3
    assert len(server.opened) == 3


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints", b"199 Other"])
def test_an_interim_answer_is_not_the_answer(server: Server, pool: Pool, status: bytes) -> None:
    server.before = (b"HTTP/1.1 " + status + b"\r\nLink: </a>\r\nContent-Length: 5\r\n\r\n") * 2
    assert [read(server, pool, f"/{number}") for number in range(3)] == [b"/0", b"/1", b"/2"]
    assert len(server.opened) == 1


def test_a_switch_of_protocols_is_no_answer(server: Server, pool: Pool) -> None:
    server.before = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n"
    with pytest.raises(FetchFailed):
        read(server, pool, "/a")
    assert not any(pool.idle.values())


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_a_connection_that_ends_with_its_answer_is_not_used_again(server: Server, pool: Pool, head: bytes) -> None:
    server.head = head
    assert [read(server, pool, f"/{number}") for number in range(3)] == [b"/0", b"/1", b"/2"]
    assert len(server.opened) == 3


def test_a_length_beside_chunks_closes_the_connection(server: Server, pool: Pool) -> None:
    server.is_framed = True
    server.head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert [read(server, pool, f"/{number}") for number in range(3)] == [b"/0", b"/1", b"/2"]
    assert len(server.opened) == 3


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n",
    ],
)
def test_an_answer_whose_end_is_not_clear_is_refused(server: Server, pool: Pool, head: bytes) -> None:
    server.head = head
    with pytest.raises(FetchFailed, match="not valid HTTP"):
        read(server, pool, "/a")
    assert not any(pool.idle.values())


def test_equal_lengths_are_one_length(server: Server, pool: Pool) -> None:
    server.head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n"
    assert [read(server, pool, f"/{number}") for number in range(2)] == [b"/0", b"/1"]


def test_an_answer_without_a_length_ends_with_its_connection(server: Server, pool: Pool, upstream: Upstream) -> None:
    def until_the_end(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\ncontent")
        handler.close_connection = True

    upstream.on_video = until_the_end
    assert fetch.read(f"{upstream.url}/", limit=100, deadline=5.0) == b"content"


def test_the_order_of_many_polls_at_once_is_not_mixed_up(server: Server, pool: Pool) -> None:
    """Eight threads share the pool, and every third answer has another one behind it."""
    results: dict[str, bytes] = {}

    def poll(thread: int) -> None:
        for number in range(20):
            server.behind = SURPLUS if number % 3 == 0 else b""
            path = f"/{thread}-{number}"
            results[path] = read(server, pool, path)

    threads = [threading.Thread(target=poll, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 160
    assert all(content == path.encode() for path, content in results.items())


def test_polls_get_their_own_answers_from_an_upstream_that_sends_too_many(upstream: Upstream) -> None:
    """Each answer has the end of another task behind it, in the same segment."""

    def answer(handler: Any) -> None:
        own, other = task("TASK_STATUS_PROCESSING", progress=40), task("TASK_STATUS_SUCCEED", url="https://a.com/b")
        parts = []
        for _, _, body in (own, other):
            body = body.replace(ASKED.encode(), upstream.polls[-1].encode())
            parts.append(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        handler.wfile.write(b"".join(parts))

    upstream.on_poll = answer
    for number in range(8):
        assert novita_calls.get_task(f"task-{number}") == outcomes.Rendering(40)
    assert upstream.polls == [f"task-{number}" for number in range(8)]
