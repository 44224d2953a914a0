"""Tests of the HTTP transport: reuse of connections, the deadline of an exchange, and translated errors."""

import inspect
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from generations.outbound import failures, transport
from generations.outbound.errors import FetchFailed
from generations.outbound.transport import Budget, Pool, exchange

HTTPCORE_ERRORS = [
    value for value in vars(httpcore).values() if inspect.isclass(value) and issubclass(value, BaseException)
]


class Server(ThreadingHTTPServer):
    """A server that records its connections and requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.opened: list[socket.socket] = []
        self.paths: list[str] = []
        self.headers: Any = None
        self.may_finish = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.opened.append(request)
        super().process_request(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """A handler whose path says how to answer: long, stuck after three bytes, or last of the connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.server.headers = self.headers
        content = b"x" * (10_000_000 if "long" in self.path else 3)
        self.send_response(200)
        self.send_header("Content-Length", "100" if "stuck" in self.path else str(len(content)))
        if "last" in self.path:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
        if "stuck" in self.path:
            self.server.may_finish.wait(10)

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    for connections in pool.idle.values():
        for connection in connections:
            connection.http.close()


def get(server: Server, pool: Pool | None, path: str = "/a", below: str = "", seconds: float = 5.0) -> Any:
    return exchange("GET", server.url + below, {}, Budget(seconds), path=path, pool=pool)


def read(server: Server, pool: Pool | None, path: str = "/a", below: str = "") -> bytes:
    with get(server, pool, path, below) as response:
        assert response.status == 200
        return b"".join(response.chunks)


def test_exchanges_one_after_the_other_use_one_connection(pool: Pool, server: Server) -> None:
    assert [read(server, pool) for _ in range(5)] == [b"xxx"] * 5
    assert len(server.opened) == 1


def test_without_a_pool_each_exchange_has_a_connection_of_its_own(server: Server) -> None:
    assert [read(server, None) for _ in range(3)] == [b"xxx"] * 3
    assert len(server.opened) == 3


@pytest.mark.parametrize(
    ("below", "path", "target"),
    [
        ("", "/a?b=c", "/a?b=c"),
        ("/below", "/a", "/below/a"),
        ("/below/", "/a", "/below/a"),
        ("/below/?b=c", "", "/below/?b=c"),
        ("", "", "/"),
    ],
)
def test_a_path_is_added_to_the_path_of_the_url(server: Server, below: str, path: str, target: str) -> None:
    assert read(server, None, path, below) == b"xxx"
    assert server.paths == [target]
    assert server.headers["Host"] == server.url.removeprefix("http://")
    assert server.headers["User-Agent"] == "seedance-service"


def test_exchanges_at_once_have_a_connection_each_and_the_pool_gets_both_back(pool: Pool, server: Server) -> None:
    with get(server, pool) as first:
        assert read(server, pool) == b"xxx"
        assert b"".join(first.chunks) == b"xxx"
    assert [read(server, pool) for _ in range(6)] == [b"xxx"] * 6
    assert len(server.opened) == 2


@pytest.mark.parametrize(
    "how",
    [
        "the server says so",
        "the server closed it",
        "it was idle for long",
        "half was read",
        "the reader failed",
        "discarded",
    ],
)
def test_a_connection_that_cannot_be_used_again_is_not_used(
    pool: Pool, server: Server, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    match how:
        case "half was read":
            with get(server, pool, "/long") as response:
                next(response.chunks)
        case "the reader failed":
            with pytest.raises(RuntimeError), get(server, pool):
                raise RuntimeError
        case "discarded":
            with get(server, pool) as response:
                assert list(response.chunks) == [b"xxx"]
                response.discard()
        case _:
            if how == "it was idle for long":
                monkeypatch.setattr(transport, "MAX_IDLE_SECONDS", 0.0)
            read(server, pool, "/last" if how == "the server says so" else "/a")
    if how == "the server closed it":
        server.opened[0].shutdown(socket.SHUT_RDWR)
    assert read(server, pool) == b"xxx"
    assert len(server.opened) == 2


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of a process with threads
def test_a_forked_process_does_not_use_the_connections_of_its_parent(pool: Pool, server: Server) -> None:
    read(server, pool)
    child = os.fork()
    if not child:
        try:
            read(server, pool)
            os._exit(len(pool.idle))
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert len(server.opened) == 2
    read(server, pool)
    assert len(server.opened) == 2


def test_the_deadline_is_for_the_whole_exchange(pool: Pool, server: Server) -> None:
    with pytest.raises(FetchFailed, match="in time") as caught, get(server, pool, seconds=0.0):
        pass
    assert caught.value.is_unsent


@pytest.mark.parametrize("budget", [{"seconds": 0.2}, {"seconds": 60.0, "silence": 0.2}])
def test_the_deadline_and_the_maximum_silence_hold_for_the_body_too(server: Server, budget: Any) -> None:
    with exchange("GET", server.url, {}, Budget(**budget), path="/stuck") as response:
        assert next(response.chunks) == b"xxx"
        with pytest.raises(FetchFailed, match="whole answer in time"):
            next(response.chunks)
    server.may_finish.set()


def test_the_bytes_of_an_answer_are_bounded(server: Server) -> None:
    budget = Budget(5.0, max_bytes=1000)
    with (
        exchange("GET", server.url, {}, budget, path="/long") as response,
        pytest.raises(FetchFailed, match="more than an answer may have"),
    ):
        list(response.chunks)


# -- errors of the libraries -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1", ""])
def test_another_scheme_is_refused_and_certainly_not_sent(url: str) -> None:
    assert_fails(url, "the URL is neither http nor https")


@pytest.mark.parametrize("url", ["http://127.0.0.1:port", "http://[::1", "http://a\nb", "http://" + "a" * 70_000])
def test_an_invalid_url_is_certainly_not_sent(url: str) -> None:
    assert_fails(url, "the URL is invalid")


@pytest.mark.parametrize("error", HTTPCORE_ERRORS)
def test_each_error_of_httpcore_becomes_ours(error: type[Exception]) -> None:
    """Errors that httpcore defines later are covered too. Before a connection is open, nothing has been sent."""

    def resolve(host: str, port: int, timeout: float) -> list[str]:
        raise error("https://secret")

    assert_fails("http://a", failures.SENTENCES.get(error, failures.OTHER), resolve=resolve)


# After an error of writing, httpcore reads: the server may have answered before it read the whole request.
@pytest.mark.parametrize("error", [error for error in HTTPCORE_ERRORS if error is not httpcore.WriteError])
def test_only_our_own_check_of_a_request_precedes_its_first_byte(server: Server, error: type[Exception]) -> None:
    def body() -> Iterator[bytes]:
        yield b"x"
        raise error("https://secret")

    is_unsent = error is httpcore.LocalProtocolError
    headers = {"Content-Length": "5"}
    with pytest.raises(FetchFailed) as caught, exchange("POST", server.url, headers, Budget(5.0), content=body()):
        pass
    assert (str(caught.value), caught.value.is_unsent) == (failures.SENTENCES.get(error, failures.OTHER), is_unsent)


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        (9, "the server's TLS certificate is not valid yet"),
        (10, "the server's TLS certificate has expired"),
        (62, "the server's TLS certificate is for another host"),
        (18, "the server's TLS certificate is not trusted"),
        (20, "the server's TLS certificate is not trusted"),
        (None, "no TLS connection to the server came about"),
    ],
)
def test_a_failure_of_tls_is_described(cause: int | None, sentence: str) -> None:
    error, broken = httpcore.ConnectError("https://secret"), ssl.SSLError(1, "https://secret")
    if cause is not None:
        broken = ssl.SSLCertVerificationError(1, "https://secret")
        broken.verify_code = cause
    error.__cause__ = broken
    assert str(failures.translate(error, is_unsent=True)) == sentence


def test_only_urls_of_httpx_can_raise_an_error_of_httpx() -> None:
    """The client, transports and responses of httpx, which raise other errors, are not used."""
    code = [file.read_text() for file in Path(transport.__file__).parent.glob("*.py")]
    used = {name for text in code for name in re.findall(r"\bhttpx\.(\w+)", text)}
    assert used == {"Headers", "InvalidURL", "URL"}
    assert not issubclass(httpx.InvalidURL, httpx.HTTPError)


def assert_fails(url: str, sentence: str, **options: Any) -> None:
    with pytest.raises(FetchFailed) as caught, exchange("GET", url, {}, Budget(5.0), **options):
        pass
    assert (str(caught.value), caught.value.is_unsent) == (sentence, True)
