"""Tests that every address of a host is tried in turn, of both families, within the deadline of the exchange."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from generations.outbound import connecting, fetch
from generations.outbound.errors import FetchFailed
from generations.outbound.look_ups import Resolver
from generations.upstream import outcomes
from tests.support import novita_calls
from tests.support.receiver import run_receiver
from tests.support.upstream import Upstream

NAME = "several.example.com"
REFUSING = "127.9.9.9"  # nothing listens there


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the addresses of NAME, for a test to fill."""
    answers: list[str] = []
    look_up = socket.getaddrinfo

    def resolve(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        found = [(0, 0, 0, "", (address, port)) for address in answers]
        return found if host == NAME else look_up(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return answers


@pytest.fixture
def named(upstream: Upstream, answers: list[str], settings: Any) -> str:
    """Return the upstream's URL with NAME, which is admitted."""
    url = upstream.url.replace("127.0.0.1", NAME)
    settings.FETCH_ALLOW_HOSTS = [NAME]
    settings.NOVITA_BASE_URL = url
    upstream.on_video = 200, {}, b"content"
    return url


@pytest.fixture
def silent(upstream: Upstream) -> Iterator[str]:
    """Yield an address at which a connect to the upstream's port is never answered: its queue is full."""
    address, port = "127.9.9.8", int(upstream.url.rpartition(":")[2])
    with socket.create_server((address, port), backlog=0):
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex((address, port))
        yield address
        for connection in waiting:
            connection.close()


@pytest.mark.parametrize("dead", [[REFUSING], ["::1"], ["::1", REFUSING], [f"127.9.9.{n}" for n in range(1, 8)]])
@pytest.mark.parametrize("by", ["a read", "a post", "a submit", "a poll"])
def test_addresses_that_refuse_are_passed_over(
    upstream: Upstream, named: str, answers: list[str], settings: Any, dead: list[str], by: str
) -> None:
    answers += [*dead, "127.0.0.1"]
    match by:
        case "a read":
            assert fetch.read(f"{named}/a.png", limit=1000, deadline=5.0) == b"content"
        case "a post":
            with run_receiver(settings) as receiver:
                url = receiver.url.replace("127.0.0.1", NAME)
                assert fetch.post(url, b"{}", {}, deadline=5.0).status == 204
        case "a submit":
            assert novita_calls.submit("/v3/async/x", {}) == outcomes.Created("upstream-1")
            assert len(upstream.submits) == 1
        case "a poll":
            assert isinstance(novita_calls.get_task("u"), outcomes.Rendering)


def test_an_address_that_never_answers_is_passed_over(named: str, answers: list[str], silent: str) -> None:
    answers += [silent, "127.0.0.1"]
    assert fetch.read(f"{named}/a.png", limit=1000, deadline=3.0) == b"content"


def test_an_address_without_tls_is_passed_over(named: str, answers: list[str]) -> None:
    """Both fail; the error is that of the last one, to which nothing was sent either."""
    answers += ["127.0.0.1", REFUSING]
    with pytest.raises(FetchFailed, match="refused the connection") as caught:
        fetch.read(named.replace("http:", "https:"), limit=1000, deadline=5.0)
    assert caught.value.is_unsent


def test_a_submit_that_was_sent_is_not_sent_to_another_address(
    upstream: Upstream, named: str, answers: list[str]
) -> None:
    answers += ["127.0.0.1", "127.0.0.2"]
    upstream.on_submit = lambda handler: None
    assert isinstance(novita_calls.submit("/v3/async/x", {}), outcomes.InDoubt)
    assert len(upstream.submits) == 1


def test_a_submit_to_addresses_that_all_refuse_was_certainly_not_sent(named: str, answers: list[str]) -> None:
    answers += [REFUSING, "127.9.9.7"]
    assert isinstance(novita_calls.submit("/v3/async/x", {}), outcomes.NotCreated)


def test_a_submit_to_a_name_without_an_address_was_certainly_not_sent(named: str, answers: list[str]) -> None:
    outcome = novita_calls.submit("/v3/async/x", {})
    assert outcome == outcomes.NotCreated("the upstream can not be reached: its host has no address")


def test_only_so_many_addresses_are_tried(named: str, answers: list[str]) -> None:
    answers += [f"127.9.10.{number}" for number in range(connecting.MAX_ADDRESSES)] + ["127.0.0.1"]
    with pytest.raises(FetchFailed, match="refused"):
        fetch.read(f"{named}/a.png", limit=1000, deadline=5.0)


def test_the_families_take_turns_and_no_address_comes_twice(answers: list[str]) -> None:
    resolver = Resolver("tests", 1)
    answers += ["2001:db8::1", "2001:db8::2", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2"]
    found = resolver.look_up(NAME, 80, 5.0)
    assert found == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"]
    answers[:] = ["192.0.2.1", "2001:db8::1"]
    assert resolver.look_up(NAME, 80, 5.0) == ["192.0.2.1", "2001:db8::1"]


def test_a_look_up_of_the_upstream_that_hangs_ends_with_the_exchange(
    upstream: Upstream, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: done.wait(10) and [])
    monkeypatch.setattr("generations.leases.SUBMIT_CALL_SECONDS", 0.2)
    assert isinstance(novita_calls.submit("/v3/async/x", {}), outcomes.NotCreated)
    done.set()
