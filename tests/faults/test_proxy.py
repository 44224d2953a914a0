"""The fault proxy itself: each fault as a client sees it. The proxy leaves no thread behind."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.faults import proxy
from tests.faults.proxy import Proxy

BODY = bytes(range(256)) * 40


class Target:
    """A server that answers with the request's body and Host header. `seen` has the bodies that arrived whole."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

            def do_PUT(self) -> None:
                body = self.chunks() if self.headers["Transfer-Encoding"] else self.whole()
                seen.append(body)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Heard-Host", self.headers["Host"])
                self.end_headers()
                self.wfile.write(body)

            def do_HEAD(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "12345")
                self.end_headers()

            def whole(self) -> bytes:
                return self.rfile.read(int(self.headers["Content-Length"]))

            def chunks(self) -> bytes:
                body = b""
                while length := int(self.rfile.readline(), 16):
                    body += self.rfile.read(length)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, *args: Any) -> None:
                """Print nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *args: Any) -> None:
                """Print nothing: clients that break off are part of the tests."""

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def between(target: Target) -> Iterator[Proxy]:
    before = threading.active_count()
    made = Proxy("127.0.0.1", target.server.server_address[1])
    yield made
    made.stop()
    assert threading.active_count() <= before + 1  # the thread of the target, for an open connection


@pytest.fixture
def http(between: Proxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=between.url, timeout=5, trust_env=False) as client:
        yield client


def once(between: Proxy, fault: Any) -> None:
    left = [fault]
    between.choose = lambda request: left.pop() if left else None


def test_requests_pass_unchanged_over_one_connection(http: httpx.Client, target: Target) -> None:
    for _ in range(3):
        answer = http.put("/x", content=BODY, headers={"Host": "signed.example:1"})
        assert (answer.content, answer.headers["Heard-Host"]) == (BODY, "signed.example:1")
    assert http.put("/x", content=iter([BODY, BODY])).content == BODY * 2
    assert http.get("/x").content == b"abcde"
    assert http.head("/x").headers["Content-Length"] == "12345"
    assert http.put("/x", content=b"").content == b""


def test_a_client_that_expects_100_continue_gets_it(between: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", between.port), timeout=5) as client:
        client.sendall(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"abc")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_body_larger_than_all_buffers_passes(http: httpx.Client, target: Target) -> None:
    content = BODY * 1000
    assert http.put("/x", content=content).content == content


@pytest.mark.parametrize(
    ("fault", "arrives"),
    [
        (proxy.Reset(), False),
        (proxy.ResetInBody(0), False),
        (proxy.ResetInBody(5000), False),
        (proxy.LoseAnswer(), True),
        (proxy.ResetAnswer(100), True),
    ],
)
def test_a_reset_is_one_before_or_after_it_was_done(
    http: httpx.Client, between: Proxy, target: Target, fault: Any, arrives: bool
) -> None:
    once(between, fault)
    with pytest.raises(httpx.TransportError):
        http.put("/x", content=BODY)
    assert target.seen == ([BODY] if arrives else [])
    assert between.counts == {type(fault).__name__: 1}
    assert http.put("/x", content=BODY).content == BODY


@pytest.mark.parametrize(("kind", "arrives"), [(proxy.Answer, False), (proxy.AnswerAfter, True)])
def test_another_answer_is_heard(http: httpx.Client, between: Proxy, target: Target, kind: Any, arrives: bool) -> None:
    once(between, kind(503, b"slow down", {"Retry-After": "7"}))
    answer = http.put("/x", content=BODY)
    assert (answer.status_code, answer.content, answer.headers["Retry-After"]) == (503, b"slow down", "7")
    assert target.seen == ([BODY] if arrives else [])
    assert http.put("/x", content=BODY).content == BODY


def test_an_answer_that_is_cut_ends_cleanly_and_too_early(http: httpx.Client, between: Proxy) -> None:
    once(between, proxy.CutAnswer(100))
    with (
        pytest.raises(httpx.RemoteProtocolError, match="received 100 bytes, expected 10240"),
        http.stream("PUT", "/x", content=BODY) as answer,
    ):
        answer.read()
    once(between, proxy.CutAnswer(4))
    with pytest.raises(httpx.RemoteProtocolError, match="chunked"):
        http.get("/x")


def test_one_bit_is_flipped(http: httpx.Client, between: Proxy) -> None:
    once(between, proxy.FlipBit())
    content = http.put("/x", content=BODY).content
    assert [i for i in range(len(BODY)) if content[i] != BODY[i]] == [len(BODY) // 2]


def test_one_bit_of_a_request_is_flipped(http: httpx.Client, between: Proxy, target: Target) -> None:
    once(between, proxy.FlipBit(asked=True))
    http.put("/x", content=BODY)
    [seen] = target.seen
    assert [i for i in range(len(BODY)) if seen[i] != BODY[i]] == [len(BODY) // 2]


def test_a_request_may_arrive_long_after_its_client_gave_up(http: httpx.Client, between: Proxy, target: Target) -> None:
    once(between, late := proxy.Late())
    with pytest.raises(httpx.TransportError):
        http.put("/x", content=b"late")
    http.put("/x", content=b"early")
    late.release.set()
    assert late.done.wait(5)
    assert target.seen == [b"early", b"late"]


def test_slowness_and_delays_meet_the_clients_timeout(http: httpx.Client, between: Proxy, target: Target) -> None:
    once(between, proxy.Delay(30))
    with pytest.raises(httpx.ReadTimeout):
        http.put("/x", content=BODY, timeout=0.05)
    assert target.seen == []
    once(between, proxy.Delay(30, done=True))
    with pytest.raises(httpx.ReadTimeout):
        http.put("/x", content=BODY, timeout=0.1)
    assert target.seen == [BODY]
    once(between, proxy.Slow(100_000))
    answer = http.put("/x", content=BODY)
    assert answer.content == BODY
    assert answer.elapsed.total_seconds() > 0.09
    assert between.counts == {"Delay": 2, "Slow": 1}


def test_while_it_is_down_connections_are_refused_and_open_ones_break(http: httpx.Client, between: Proxy) -> None:
    assert http.put("/x", content=BODY).content == BODY
    between.down()
    for _ in range(2):
        with pytest.raises(httpx.ConnectError, match="refused"):
            http.put("/x", content=BODY)
    between.up()
    assert http.put("/x", content=BODY).content == BODY


def test_a_target_that_is_down_is_a_reset(http: httpx.Client, between: Proxy) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        between.target = silent.getsockname()
        with pytest.raises(httpx.TransportError):
            http.put("/x", content=BODY)


def test_stopping_the_proxy_ends_requests_in_progress(between: Proxy) -> None:
    between.choose = lambda request: proxy.Delay(30)
    errors: list[Exception] = []

    def ask() -> None:
        try:
            httpx.put(f"{between.url}/x", content=BODY, timeout=20, trust_env=False)
        except httpx.HTTPError as error:
            errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while not between.counts["Delay"]:
        asking.join(0.01)
    between.stop()
    asking.join(5)
    assert len(errors) == 1
