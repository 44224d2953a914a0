"""Connections that are kept for the next request: used again while they are good, and never once they are not."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpcore
import pytest

from generations import kept


class Server(ThreadingHTTPServer):
    """Counts the connections that it was asked over."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.opened: list[socket.socket] = []
        self.paths: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.opened.append(request)
        super().process_request(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        content = b"x" * (10_000_000 if "long" in self.path else 3)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        if "last" in self.path:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def lines() -> Iterator[kept.Kept]:
    made = kept.Kept()
    yield made
    made.close()


def ask(lines: kept.Kept, server: Server, path: str = "/a", base: str = "") -> bytes:
    with lines.get(server.url + base, path, {"Host": "h"}, 5.0) as response:
        assert response.status == 200
        return b"".join(response.iter_stream())


def test_one_after_the_other_go_over_one_connection(lines: kept.Kept, server: Server) -> None:
    assert [ask(lines, server) for _ in range(5)] == [b"xxx"] * 5
    assert ask(lines, server, base="/below") == b"xxx"
    assert server.paths[-1] == "/below/a"
    assert len(server.opened) == 2  # one for each base


def test_those_at_once_have_one_each_and_keep_them(lines: kept.Kept, server: Server) -> None:
    with lines.get(server.url, "/a", {"Host": "h"}, 5.0) as first:
        assert ask(lines, server) == b"xxx"
        first.read()
    assert [ask(lines, server) for _ in range(6)] == [b"xxx"] * 6
    assert len(server.opened) == 2


@pytest.mark.parametrize("how", ["the server says so", "the server has gone", "it was idle for long", "half was read"])
def test_one_that_is_no_longer_good_is_not_used(
    lines: kept.Kept, server: Server, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "it was idle for long":
        monkeypatch.setattr(kept, "EXPIRES", 0.0)
    if how == "half was read":
        with lines.get(server.url, "/long", {"Host": "h"}, 5.0) as response:
            next(iter(response.iter_stream()))
    else:
        ask(lines, server, "/last" if how == "the server says so" else "/a")
    if how == "the server has gone":
        server.opened[0].shutdown(socket.SHUT_RDWR)
    assert ask(lines, server) == b"xxx"
    assert len(server.opened) == 2


def test_one_that_failed_amid_an_answer_is_closed(lines: kept.Kept, server: Server) -> None:
    with pytest.raises(RuntimeError), lines.get(server.url, "/a", {"Host": "h"}, 5.0):
        raise RuntimeError
    ask(lines, server)
    assert len(server.opened) == 2


def test_the_deadline_is_for_all_of_it(lines: kept.Kept, server: Server) -> None:
    with pytest.raises(httpcore.TimeoutException), lines.get(server.url, "/long", {"Host": "h"}, 0.0):
        pass


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1", ""])
def test_another_scheme_is_refused(lines: kept.Kept, url: str) -> None:
    with pytest.raises(httpcore.UnsupportedProtocol), lines.get(url, "/a", {"Host": "h"}, 5.0):
        pass
