"""The guarded fetch: what it refuses, and that it connects to what it checked."""

import gzip
import ipaddress
import socket
import threading
import time
from typing import Any

import httpcore
import httpx
import pytest

from generations import fetch
from generations.deadline import Clock, DeadlineBackend
from generations.errors import FetchFailed, FetchRefused, FetchTooLarge
from tests.upstream import Upstream

LIMITS: dict[str, Any] = {"limit": 1_000_000, "deadline": 5.0}

REFUSED_ADDRESSES = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 127.0.0.1 127.255.0.1 169.254.169.254 169.254.170.2
172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.1 192.168.1.1 192.175.48.1
198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b::169.254.169.254
64:ff9b::8.8.8.8 64:ff9b:1::1 100::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 2001::1 2001:db8::1
2002:7f00:1::1 2620:4f:8000::1 3fff::1 4000::1
""".split()
PUBLIC_ADDRESSES = """
1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.255.255 172.32.0.1 192.0.1.1 198.17.255.255 198.20.0.1 223.255.255.255
2606:4700::1111 2001:4860:4860::8888 2a00:1450::1 2003::1
""".split()


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not fetch.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_a_public_address_is_taken(address: str) -> None:
    assert fetch.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "//example.com/a.png",
        "https://",
        "http://example.com/a.png",
        "https://example.com:8080/a.png",
        "https://example.com:22/a.png",
        "https://user@example.com/a.png",
        "https://user:password@example.com/a.png",
        "https://example.com\\@169.254.169.254/",
        "https://exa\tmple.com/",
        "https://example.com/a b",
        "https://example.com/\u0000",
        "https://ex\u00e4mple.com/",
        "https://\u2460\u2461\u2466.0.0.1/",
        "https://127.0.0.1/a.png",
        "https://8.8.8.8/a.png",
        "https://[::1]/a.png",
        "https://[::ffff:127.0.0.1]/a.png",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://intranet/",
        "https://xn--a.example/",
        "https://xn--n3h.com/",
        "https://intranet./",
        "https://example.com*/",
        "https://exam!ple.com/",
        "https://example.com:/",
        "https://example.com:0443/",
        "https://example.com/" + "a" * 9000,
    ],
)
def test_a_url_is_refused_by_its_text_alone(url: str) -> None:
    with pytest.raises(FetchRefused):
        fetch.check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png",
        "HTTPS://Example.COM/a.png",
        "https://example.com:443/a.png",
        "https://cdn.example.co.uk:8443/a.png?X-Amz-Signature=abc%2Fdef&x=1#part",
        "https://xn--exmple-cua.com/a.png",
        "https://1.example.com/",
    ],
)
def test_an_ordinary_url_is_taken(url: str) -> None:
    assert fetch.check_url(url)


def test_a_host_is_refused_if_any_of_its_addresses_is_private(monkeypatch: Any) -> None:
    """The resolver is the outside system here: its answers are what an attacker chooses."""
    answers = {"mixed.example.com": ["93.184.216.34", "10.0.0.1"], "inner.example.com": ["169.254.169.254"]}
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, port, **_: [(0, 0, 0, "", (answer, port)) for answer in answers[host]]
    )
    for host in answers:
        with pytest.raises(FetchRefused, match="not public"):
            fetch.read(f"https://{host}/a.png", **LIMITS)


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: Any) -> None:
    """A name that answers differently the second time is asked only once."""
    asked: list[str] = []
    connected: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(0, 0, 0, "", ("93.184.216.34" if len(asked) == 1 else "127.0.0.1", port))]

    def connect(self: Any, host: str, *args: Any, **kwargs: Any) -> Any:
        connected.append(host)
        raise httpcore.ConnectError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    with pytest.raises(FetchFailed):
        fetch.read("https://rebinding.example.com/a.png", **LIMITS)
    assert (asked, connected) == (["rebinding.example.com"], ["93.184.216.34"])


def test_the_pinned_httpx_still_has_the_place_that_the_guard_is_put_in() -> None:
    transport = httpx.HTTPTransport()
    assert isinstance(transport._pool._network_backend, httpcore.NetworkBackend)
    guarded = fetch._client(Clock(1))._transport
    assert isinstance(guarded, httpx.HTTPTransport)
    assert isinstance(guarded._pool._network_backend, DeadlineBackend)


def test_an_admitted_host_is_read(upstream: Upstream) -> None:
    upstream.on_video = 200, {"Content-Type": "image/png"}, b"picture"
    assert fetch.read(f"{upstream.url}/a.png", **LIMITS) == b"picture"


@pytest.mark.parametrize("entry", ["127.0.0.1", "127.0.0.0/8"])
def test_a_host_or_a_network_may_be_admitted_with_every_port(upstream: Upstream, settings: Any, entry: str) -> None:
    settings.FETCH_ALLOW_HOSTS = [entry]
    upstream.on_video = 200, {}, b"picture"
    assert fetch.read(f"{upstream.url}/a.png", **LIMITS) == b"picture"


def test_another_port_of_an_admitted_host_is_refused(upstream: Upstream, settings: Any) -> None:
    settings.FETCH_ALLOW_HOSTS = ["127.0.0.1:1"]
    with pytest.raises(FetchRefused):
        fetch.read(f"{upstream.url}/a.png", **LIMITS)


def test_a_resolver_that_hangs_meets_the_deadline_too(monkeypatch: Any) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answered.wait(5) and [])
    started = time.monotonic()
    with pytest.raises(FetchFailed):
        fetch.read("https://slow.example.com/a.png", limit=1000, deadline=0.3)
    assert time.monotonic() - started < 3
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


def test_a_good_redirect_is_followed_and_an_endless_one_is_not(upstream: Upstream) -> None:
    final = 200, {}, b"picture"
    upstream.on_video = lambda handler: final if handler.path == "/b.png" else (302, {"Location": "/b.png"}, b"")
    assert fetch.read(f"{upstream.url}/a.png", **LIMITS) == b"picture"
    upstream.on_video = 302, {"Location": "/a.png"}, b""
    with pytest.raises(FetchFailed, match="redirects"):
        fetch.read(f"{upstream.url}/a.png", **LIMITS)


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
    with pytest.raises(FetchFailed, match="RemoteProtocolError"):
        fetch.read(f"{upstream.url}/", **LIMITS)


def test_a_length_beside_chunks_is_not_believed(upstream: Upstream) -> None:
    """Chunks are what counts, RFC 9112, 6.3. A PUT of more bytes than its length says is another request to S3."""

    def both(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n")
        handler.wfile.write(b"7\r\npicture\r\n0\r\n\r\n")

    upstream.on_video = both
    with fetch.open_url(f"{upstream.url}/", **LIMITS) as download:
        assert (download.length, b"".join(download.chunks)) == (None, b"picture")


@pytest.mark.parametrize("encoding", ["", "identity"])
def test_an_encoding_that_is_none_is_read(upstream: Upstream, encoding: str) -> None:
    upstream.on_video = 200, {"Content-Encoding": encoding}, b"picture"
    assert fetch.read(f"{upstream.url}/", **LIMITS) == b"picture"


def test_a_compressed_body_is_refused_before_it_is_inflated(upstream: Upstream) -> None:
    upstream.on_video = 200, {"Content-Encoding": "gzip"}, gzip.compress(b"\0" * 1_000_000)
    with pytest.raises(FetchFailed, match="compressed"):
        fetch.read(f"{upstream.url}/", **LIMITS)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_a_dripping_peer_meets_the_deadline_of_the_whole_exchange(upstream: Upstream, head: bytes) -> None:
    def drip(handler: Any) -> None:
        try:
            handler.wfile.write(head)
            for number in range(1000):
                handler.wfile.write(b"X-Drip: %d\r\n" % number if not head.endswith(b"\r\n\r\n") else b"x")
                time.sleep(0.02)
        except OSError:
            handler.close_connection = True

    upstream.on_video = drip
    started = time.monotonic()
    with pytest.raises(FetchFailed):
        fetch.read(f"{upstream.url}/", limit=1_000_000, deadline=0.5)
    assert time.monotonic() - started < 3


def test_a_failure_does_not_repeat_the_url(upstream: Upstream) -> None:
    upstream.on_video = lambda handler: None
    with pytest.raises(FetchFailed) as caught:
        fetch.read(f"{upstream.url}/?X-Amz-Signature=secret", **LIMITS)
    assert "secret" not in str(caught.value)
