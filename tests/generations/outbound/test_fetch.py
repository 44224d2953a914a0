"""Tests of the guarded fetch: it refuses private hosts, and connects to the address that it checked."""

import socket
import threading
import time
from typing import Any

import httpcore
import pytest

from generations.outbound import fetch
from generations.outbound.errors import FetchFailed, FetchNotServed, FetchRefused, FetchTooLarge
from tests.support.patience import PATIENCE
from tests.support.upstream import Upstream

LIMITS: dict[str, Any] = {"limit": 1_000_000, "deadline": 5.0}


def test_a_host_is_refused_if_any_of_its_addresses_is_private(monkeypatch: Any) -> None:
    """The resolver is the outside system here: an attacker chooses its answers."""
    answers = {"mixed.example.com": ["93.184.216.34", "10.0.0.1"], "inner.example.com": ["169.254.169.254"]}
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, port, **_: [(0, 0, 0, "", (answer, port)) for answer in answers[host]]
    )
    for host in answers:
        with pytest.raises(FetchRefused, match="not public"):
            fetch.read(f"https://{host}/a.png", **LIMITS)


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: Any) -> None:
    """A name whose second look-up has another answer is looked up only once."""
    looked_up: list[str] = []
    connected: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        looked_up.append(host)
        return [(0, 0, 0, "", ("93.184.216.34" if len(looked_up) == 1 else "127.0.0.1", port))]

    def connect(self: Any, host: str, *args: Any, **kwargs: Any) -> Any:
        connected.append(host)
        raise httpcore.ConnectError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    with pytest.raises(FetchFailed):
        fetch.read("https://rebinding.example.com/a.png", **LIMITS)
    assert (looked_up, connected) == (["rebinding.example.com"], ["93.184.216.34"])


def test_an_admitted_host_is_read(upstream: Upstream) -> None:
    upstream.on_video = 200, {"Content-Type": "image/png"}, b"content"
    assert fetch.read(f"{upstream.url}/a.png", **LIMITS) == b"content"


@pytest.mark.parametrize("entry", ["127.0.0.1", "127.0.0.0/8"])
def test_a_host_or_a_network_may_be_admitted_with_every_port(upstream: Upstream, settings: Any, entry: str) -> None:
    settings.FETCH_ALLOW_HOSTS = [entry]
    upstream.on_video = 200, {}, b"content"
    assert fetch.read(f"{upstream.url}/a.png", **LIMITS) == b"content"


def test_another_port_of_an_admitted_host_is_refused(upstream: Upstream, settings: Any) -> None:
    settings.FETCH_ALLOW_HOSTS = ["127.0.0.1:1"]
    with pytest.raises(FetchRefused):
        fetch.read(f"{upstream.url}/a.png", **LIMITS)


def test_the_deadline_ends_a_look_up_that_hangs(monkeypatch: Any) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answered.wait(2 * PATIENCE) and [])
    started = time.monotonic()
    with pytest.raises(FetchFailed, match="look-up"):
        fetch.read("https://slow.example.com/a.png", limit=1000, deadline=0.3)
    assert time.monotonic() - started < PATIENCE
    answered.set()


@pytest.mark.parametrize(
    "target",
    [
        "https://xn--a.example/",
        "http://169.254.169.254/latest",
        "http://127.0.0.1:1/",
        "https://localhost/",
        "file:///etc/passwd",
        "http:127.0.0.1:1/",
        "https:",
    ],
)
def test_a_redirect_is_checked_like_the_url_itself(upstream: Upstream, target: str) -> None:
    upstream.on_video = 302, {"Location": target}, b""
    with pytest.raises(FetchRefused):
        fetch.read(f"{upstream.url}/a.png", **LIMITS)


def test_redirects_are_followed_up_to_the_usual_number(upstream: Upstream) -> None:
    def count_down(handler: Any) -> Any:
        left = int(handler.path.strip("/"))
        return (302, {"Location": f"/{left - 1}"}, b"") if left else (200, {}, b"content")

    upstream.on_video = count_down
    assert fetch.read(f"{upstream.url}/20", **LIMITS) == b"content"
    with pytest.raises(FetchNotServed, match="more than 20 redirects"):
        fetch.read(f"{upstream.url}/21", **LIMITS)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/b.png", "/b.png"),
        ("b.png", "/folder/b.png"),
        ("../b.png", "/b.png"),
        ("./", "/folder/"),
        ("?size=2", "/folder/a.png?size=2"),
        ("/b.png#part", "/b.png"),
        ("  /b.png ", "/b.png"),
        ("//HOST/b.png", "/b.png"),
        ("HTTP://HOST/b.png", "/b.png"),
        ("http://HOST", "/"),
        ("http://HOST?b", "/?b"),
        ("/a|b.png", "/a%7Cb.png"),
        ("/a b.png", "/a%20b.png"),
        ("/a%20b.png", "/a%20b.png"),
        ('/{a}^`"<b>.png', "/%7Ba%7D%5E%60%22%3Cb%3E.png"),
        ("/[a].png?x[]=1|2", "/[a].png?x[]=1%7C2"),
        ("/\u00e9.png", "/%E9.png"),
        ("/\u00c3\u00a9.png?\u00c3\u00a9", "/%C3%A9.png?%C3%A9"),
        ("\\\\HOST\\c\\b.png", "/c/b.png"),
        ("/b.png?a\\b", "/b.png?a%5Cb"),
    ],
)
def test_a_location_is_read_as_browsers_read_it(upstream: Upstream, status: int, location: str, path: str) -> None:
    asked: list[str] = []

    def answer(handler: Any) -> Any:
        asked.append(handler.path)
        where = location.replace("HOST", upstream.host)
        return (200, {}, b"content") if len(asked) > 1 else (status, {"Location": where}, b"")

    upstream.on_video = answer
    assert fetch.read(f"{upstream.url}/folder/a.png", **LIMITS) == b"content"
    assert asked == ["/folder/a.png", path]


@pytest.mark.parametrize("location", ["", " ", "http://[::1", "http://a:b/"])
def test_a_redirect_to_no_url_fails_for_good(upstream: Upstream, location: str) -> None:
    upstream.on_video = 302, {"Location": location}, b""
    with pytest.raises(FetchNotServed, match="redirects"):
        fetch.read(f"{upstream.url}/a.png", **LIMITS)


def test_a_redirect_without_a_location_fails_for_good(upstream: Upstream) -> None:
    upstream.on_video = 302, {}, b""
    with pytest.raises(FetchNotServed, match="HTTP 302"):
        fetch.read(f"{upstream.url}/a.png", **LIMITS)


def test_two_locations_are_no_target_unless_they_are_the_same(upstream: Upstream) -> None:
    def answer(handler: Any) -> None:
        second = b"/b" if "same" in handler.path else b"/c"
        if handler.path == "/b":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncontent")
        else:
            handler.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: /b\r\nLocation: %s\r\n\r\n" % second)
            handler.close_connection = True

    upstream.on_video = answer
    assert fetch.read(f"{upstream.url}/same", **LIMITS) == b"content"
    with pytest.raises(FetchNotServed, match="one clear target"):
        fetch.read(f"{upstream.url}/different", **LIMITS)


def test_a_server_may_say_when_to_come_back(upstream: Upstream) -> None:
    for status, given, wait in [(503, "20", 20.0), (429, "0", 0.0), (500, "x", None), (502, "", None)]:
        upstream.on_video = status, {"Retry-After": given}, b""
        with pytest.raises(FetchFailed, match=f"HTTP {status}") as caught:
            fetch.read(f"{upstream.url}/a.png", **LIMITS)
        assert (caught.value.retry_after, isinstance(caught.value, FetchNotServed)) == (wait, False)


@pytest.mark.parametrize("status", [404, 403, 500, 206, 204])
def test_anything_but_200_is_no_body(upstream: Upstream, status: int) -> None:
    upstream.on_video = status, {}, b""
    with pytest.raises(FetchFailed, match=str(status)):
        fetch.read(f"{upstream.url}/a.png", **LIMITS)


def test_a_body_of_the_limit_is_read_and_a_byte_more_is_not(upstream: Upstream) -> None:
    upstream.on_video = 200, {}, b"x" * 1000
    assert len(fetch.read(f"{upstream.url}/", limit=1000, deadline=5)) == 1000
    with pytest.raises(FetchTooLarge):
        fetch.read(f"{upstream.url}/", limit=999, deadline=5)


def endless(handler: Any) -> None:
    """Answer with a body that never ends."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        handler.close_connection = True


def test_an_endless_body_ends_at_the_limit(upstream: Upstream) -> None:
    upstream.on_video = endless
    with pytest.raises(FetchTooLarge):
        fetch.read(f"{upstream.url}/", **LIMITS)


def test_a_body_that_ends_before_its_length_is_a_failure(upstream: Upstream) -> None:
    def cut(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
        handler.close_connection = True

    upstream.on_video = cut
    with pytest.raises(FetchFailed, match="closed the connection before"):
        fetch.read(f"{upstream.url}/", **LIMITS)


def test_a_length_beside_chunks_is_ignored(upstream: Upstream) -> None:
    """RFC 9112, 6.3 says that chunks count. With a PUT of more bytes than its length, S3 would read another request."""

    def both(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n")
        handler.wfile.write(b"7\r\ncontent\r\n0\r\n\r\n")

    upstream.on_video = both
    with fetch.open_url(f"{upstream.url}/", **LIMITS) as download:
        assert (download.length, b"".join(download.chunks)) == (None, b"content")


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_the_deadline_of_the_whole_exchange_ends_a_peer_that_sends_slowly(upstream: Upstream, head: bytes) -> None:
    def drip(handler: Any) -> None:
        try:
            handler.wfile.write(head)
            for number in range(1000):
                handler.wfile.write(b"X-Drip: %d\r\n" % number if not head.endswith(b"\r\n\r\n") else b"x")
                time.sleep(0.1)
        except OSError:
            handler.close_connection = True

    upstream.on_video = drip
    started = time.monotonic()
    with pytest.raises(FetchFailed):
        fetch.read(f"{upstream.url}/", limit=1_000_000, deadline=0.5)
    assert time.monotonic() - started < PATIENCE


def test_a_failure_does_not_repeat_the_url(upstream: Upstream) -> None:
    upstream.on_video = lambda handler: None
    with pytest.raises(FetchFailed) as caught:
        fetch.read(f"{upstream.url}/?X-Amz-Signature=secret", **LIMITS)
    assert "secret" not in str(caught.value)
