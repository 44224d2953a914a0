"""Tests that URLs of a caller or of the upstream reach no private host. Listeners count the connects."""

import ipaddress
import secrets
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from generations.models import Generation
from generations.outbound import addresses, fetch
from generations.outbound.errors import FetchFailed, FetchRefused
from generations.upstream import outcomes
from tests.faults.copies import Status, assert_nothing_is_served, at_the_upstream, take_step, until_done
from tests.support import novita_calls
from tests.support.factories import Caller, make_generation
from tests.support.images import image_bytes, mp4
from tests.support.upstream import Upstream, task

pytestmark = [pytest.mark.one_database, pytest.mark.abuse]

LIMITS: dict[str, Any] = {"limit": 1_000_000, "deadline": 3.0}
# Forms of this machine's address; {} stands for the port.
INSIDE = """
http://127.0.0.1:{}/ https://127.0.0.1:{}/ http://localhost:{}/ https://LOCALHOST.:{}/ http://127.1:{}/ http://0:{}/
http://0.0.0.0:{}/ http://2130706433:{}/ http://0x7f000001:{}/ http://0177.0.0.1:{}/ http://127.0.0.1.:{}/
http://127.0.0.2:{}/ http://[::1]:{}/ https://[::1]:{}/ http://[::]:{}/ http://[::ffff:127.0.0.1]:{}/
http://[::ffff:7f00:1]:{}/ http://[::127.0.0.1]:{}/ http://[64:ff9b::127.0.0.1]:{}/ http://[::1%25lo]:{}/
http://[::1%lo]:{}/ http://[fe80::1%25lo]:{}/ https://example.com@127.0.0.1:{}/ https://a:b@127.0.0.1:{}/
http://127.0.0.1:{}\\@example.com/ http://example.com:80\\@127.0.0.1:{}/ http://127.0.0.1:{}#@example.com/
http://127.0.0.1:{}/%0d%0aX:%20y http://127.0.0.1%0d%0a:{}/ http://127.0.0.1%00.example.com:{}/ http://127。0。0。1:{}/
HTTP://LocalTest.Me.localhost:{}/ gopher://127.0.0.1:{}/ ftp://127.0.0.1:{}/ //127.0.0.1:{}/ http:127.0.0.1:{}/
""".split()
BROKEN_IN_TWO = [
    "http://127.0.0.1:{}/\r\nX: y",
    "http://127.0.0.1\r\n:{}/",
    "http://127.0.0.1:{}/a b",
    "http://127.0.0.1:{}/\t",
]


class Listener:
    """A port that accepts and counts every connect."""

    def __init__(self, address: str, port: int = 0) -> None:
        self.address = address
        self._socket = socket.create_server((address, port), backlog=100)
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]

    def connects(self) -> int:
        """Return the number of connects since the last call."""
        count = 0
        try:
            while True:
                self._socket.accept()[0].close()
                count += 1
        except BlockingIOError:
            return count

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def inside() -> Iterator[Listener]:
    """Yield a listener of this machine, to which nothing may connect."""
    listener = Listener("127.0.0.1")
    yield listener
    listener.close()


def test_the_listener_counts(inside: Listener) -> None:
    assert inside.connects() == 0
    for _ in range(2):
        socket.create_connection((inside.address, inside.port)).close()
    assert inside.connects() == 2


@pytest.mark.parametrize("by", ["itself", "a redirect"])
@pytest.mark.usefixtures("bucket")
def test_a_callers_url_connects_to_nothing_inside(alice: Caller, upstream: Upstream, inside: Listener, by: str) -> None:
    for text in [*INSIDE, *BROKEN_IN_TWO]:
        url = text.format(inside.port)
        if by == "a redirect":
            url, upstream.on_video = f"{upstream.url}/a.jpg", (302, {"Location": header(url)}, image_bytes())
        g = take_step(make_generation(alice, image=None, image_url=url))
        refused = (Status.FAILED, "image_url_refused")
        # A header that ends within the URL redirects to the rest, which is no URL or nothing; an invalid header is a
        # failure that is tried again.
        others = [(Status.FAILED, "image_unreachable"), (Status.QUEUED, "")] if by == "a redirect" else []
        assert (g.status, g.error_code) in [refused, *others], text
        assert str(inside.port) not in g.error_message
    assert inside.connects() == 0
    assert upstream.submits == []


@pytest.mark.parametrize("by", ["itself", "a redirect"])
@pytest.mark.usefixtures("bucket")
def test_the_upstreams_video_url_connects_to_nothing_inside(
    alice: Caller, upstream: Upstream, inside: Listener, by: str
) -> None:
    g = at_the_upstream(alice)
    for text in [*INSIDE[by == "itself" :: 2], *BROKEN_IN_TWO]:
        url = text.format(inside.port)
        if by == "a redirect":
            url, upstream.on_video = f"{upstream.url}/v.mp4", (307, {"Location": header(url)}, mp4())
        upstream.on_poll = task("TASK_STATUS_SUCCEED", url=url)
        g = take_step(g)
        assert g.status == Status.COPYING, text
    assert inside.connects() == 0
    assert_nothing_is_served(alice, g)
    upstream.video(mp4())
    assert until_done(g).status == Status.SUCCEEDED


def header(url: str) -> str:
    """Return the URL as text that the handler can send. A line break in the URL begins another header."""
    return url.encode().decode("latin-1")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"])
def test_no_proxy_of_the_environment_is_used(upstream: Upstream, inside: Listener, monkeypatch: Any, name: str) -> None:
    """A proxy would connect to any host that it is asked for, and so bypass every check."""
    monkeypatch.setenv(name, f"http://127.0.0.1:{inside.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    upstream.video(mp4())
    assert fetch.read(f"{upstream.url}/a.png", **LIMITS) == mp4()
    assert isinstance(novita_calls.submit("/v3/async/x", {}), outcomes.Created)
    assert isinstance(novita_calls.get_task("x"), outcomes.Rendered)
    assert inside.connects() == 0


def test_another_service_that_an_answer_names_is_not_used(upstream: Upstream, inside: Listener) -> None:
    upstream.on_video = 200, {"Alt-Svc": f'h2="127.0.0.1:{inside.port}"', "Refresh": f"0; {inside.port}"}, b"x"
    for _ in range(2):
        assert fetch.read(f"{upstream.url}/a.png", **LIMITS) == b"x"
    assert inside.connects() == 0


# -- names, for which an attacker chooses the answers


@pytest.fixture
def private() -> Iterator[Listener]:
    """Yield a listener on a private address."""
    listener = Listener(f"127.77.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}", 8443)
    yield listener
    listener.close()


@pytest.fixture
def public(monkeypatch: Any) -> Iterator[Listener]:
    """Yield a listener on a loopback network that the guard takes for the Internet here."""
    loopback, ours = ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv4Network("127.78.0.0/16")
    others = [network for network in addresses.DENIED_V4 if network != loopback]
    monkeypatch.setattr(addresses, "DENIED_V4", [*others, *loopback.address_exclude(ours)])
    listener = Listener(f"127.78.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}", 8443)
    yield listener
    listener.close()


@pytest.fixture
def dns(monkeypatch: Any) -> dict[str, list[list[str]]]:
    """Return the answers by name: one for each look-up, the last one repeatedly. Addresses resolve as usual."""
    zone: dict[str, list[list[str]]] = {}
    look_up = socket.getaddrinfo

    def resolve(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        if host not in zone:
            return look_up(host, port, *args, **options)
        answers = zone[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return zone


URL = "https://a.example.com:8443/a.png"


def test_a_public_name_is_connected_to(public: Listener, dns: Any) -> None:
    dns["a.example.com"] = [[public.address]]
    with pytest.raises(FetchFailed):  # the listener speaks no TLS
        fetch.read(URL, limit=1000, deadline=0.1)
    assert public.connects() == 1


def test_a_name_that_turns_private_is_connected_to_at_the_checked_address(
    public: Listener, private: Listener, dns: Any
) -> None:
    """With a time to live of 0 each look-up has another answer. A connect makes one look-up and checks its answer."""
    dns["a.example.com"] = [[public.address], [private.address]]
    with pytest.raises(FetchFailed):
        fetch.read(URL, limit=1000, deadline=0.1)
    assert (public.connects(), private.connects()) == (1, 0)
    for _ in range(3):
        with pytest.raises(FetchRefused):
            fetch.read(URL, **LIMITS)
    assert (public.connects(), private.connects()) == (0, 0)


@pytest.mark.parametrize(
    "more", ["{}", "::ffff:{}", "64:ff9b::{}", "fe80::1%lo", "::1", "::", "10.0.0.1", "169.254.169.254"]
)
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_one_private_address_among_the_answers_refuses_them_all(
    public: Listener, private: Listener, dns: Any, more: str, first: bool
) -> None:
    answers = [more.format(private.address), public.address]
    dns["a.example.com"] = [answers if first else answers[::-1]]
    with pytest.raises(FetchRefused, match="not public"):
        fetch.read(URL, **LIMITS)
    assert (public.connects(), private.connects()) == (0, 0)


@pytest.mark.usefixtures("bucket")
def test_a_name_that_was_public_at_admission_is_checked_again_at_the_fetch(
    alice: Caller, upstream: Upstream, private: Listener, dns: Any
) -> None:
    answer = alice.http.post("/v1/generations", {"image": URL, "resolution": "480p"}, format="json")
    assert answer.status_code == 202
    dns["a.example.com"] = [[private.address]]
    g = take_step(Generation.objects.get(pk=answer.json()["id"]))
    assert (g.status, g.error_code) == (Status.FAILED, "image_url_refused")
    assert private.address not in g.error_message
    assert (private.connects(), upstream.submits) == (0, [])


def test_a_redirect_to_a_name_is_looked_up_and_checked(upstream: Upstream, private: Listener, dns: Any) -> None:
    dns["a.example.com"] = [[private.address]]
    upstream.on_video = 302, {"Location": URL}, b""
    with pytest.raises(FetchRefused, match="not public"):
        fetch.read(f"{upstream.url}/a.png", **LIMITS)
    assert private.connects() == 0
