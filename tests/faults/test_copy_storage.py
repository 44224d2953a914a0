"""A copy whose bucket has faults: a real S3 behind a proxy that breaks each call of a copy."""

import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from generations import leases
from generations.bucket import checksums
from generations.models import Event, Generation
from tests.faults import proxy
from tests.faults.copies import (
    BUCKET,
    EVERYWHERE,
    Status,
    always,
    assert_copied,
    assert_nothing_is_served,
    at_the_upstream,
    error,
    never,
    once,
    take_step,
    until_done,
)
from tests.faults.proxy import Proxy, Request
from tests.support.factories import Caller
from tests.support.images import mp4
from tests.support.upstream import Upstream
from tests.support.worker import claim_due

pytest_plugins = ["tests.faults.stores"]

CALLS: dict[str, Callable[[Request], bool]] = {
    "list": lambda request: request.method == "GET" and "list-type=2" in request.path,
    "delete": lambda request: request.method == "DELETE",
    "put": lambda request: request.method == "PUT" and request.path.endswith(".mp4"),
    "get": lambda request: request.method == "GET" and request.path.endswith(".mp4"),
    "poster": lambda request: request.method == "PUT" and request.path.endswith(".jpg"),
}


OF_ITS_OWN: dict[str, list[proxy.Fault]] = {
    "list": [proxy.CutAnswer(50), proxy.ResetAnswer(50), proxy.Answer(200, b"<html>")],
    "put": [
        proxy.ResetInBody(0),
        proxy.ResetInBody(1000),
        proxy.ResetInBody(7000),
        proxy.FlipBit(asked=True),
        error(412, "PreconditionFailed"),
        error(409, "ConditionalRequestConflict"),
        error(400, "RequestTimeout"),
        proxy.Answer(200),  # although nothing was stored
    ],
    "get": [
        proxy.CutAnswer(0),
        proxy.CutAnswer(1000),
        proxy.ResetAnswer(1000),
        proxy.FlipBit(),
        proxy.Answer(200),
        proxy.Answer(200, mp4()[:-1]),
        error(404, "NoSuchKey"),
    ],
    "poster": [proxy.ResetInBody(100), proxy.FlipBit(asked=True)],
}


@pytest.fixture
def running(alice: Caller, hurt: Proxy, upstream: Upstream, direct: Any) -> Generation:
    """Return a generation with objects that an earlier copy left."""
    upstream.video(mp4())
    made = at_the_upstream(alice, status=Status.COPYING, fencing_token=5, due_at=timezone.now() + timedelta(hours=1))
    Event.objects.create(generation=made, status=Status.COPYING)
    left = f"videos/{made.tenant_id}/{made.created_at:%Y/%m}/{made.pk}-3"
    direct.put_object(Bucket=BUCKET, Key=f"{left}.mp4", Body=b"half a video")
    direct.put_object(Bucket=BUCKET, Key=f"{left}.jpg", Body=b"half a poster")
    return made


def assert_the_copy_fails(g: Generation, hurt: Proxy, call: str, fault: Any) -> Generation:
    """Take a step in which each such call has the fault. A video is read back if the store compares nothing."""
    before, about = hurt.counts[type(fault).__name__], f"{call} {fault}"
    assert checksums.are_compared()
    always(hurt, CALLS[call], fault)
    with pytest.MonkeyPatch.context() as patches:
        if call == "get":
            patches.setattr(checksums, "are_compared", lambda: False)
        g = take_step(g)
    never(hurt)
    assert hurt.counts[type(fault).__name__] > before, about
    assert (g.status, g.video_key) == (Status.COPYING, ""), about
    return g


@pytest.mark.parametrize("fault", EVERYWHERE.values(), ids=EVERYWHERE)
def test_a_call_that_fails_throughout_a_copy_costs_a_retry_and_no_video(
    running: Generation, alice: Caller, hurt: Proxy, direct: Any, fault: Any
) -> None:
    g = running
    for call in CALLS:
        g = assert_the_copy_fails(g, hurt, call, fault)
    assert_nothing_is_served(alice, g)
    assert_copied(alice, take_step(g), mp4(), direct)


@pytest.mark.parametrize("call", OF_ITS_OWN)
def test_a_fault_of_one_kind_of_call_costs_a_retry_and_no_video(
    running: Generation, alice: Caller, hurt: Proxy, direct: Any, call: str
) -> None:
    g = running
    for fault in OF_ITS_OWN[call]:
        g = assert_the_copy_fails(g, hurt, call, fault)
    assert_nothing_is_served(alice, g)
    assert_copied(alice, take_step(g), mp4(), direct)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_once_costs_nothing_if_it_may_be_repeated(
    running: Generation, alice: Caller, hurt: Proxy, direct: Any, monkeypatch: Any, call: str
) -> None:
    """A second PUT of the video is refused, since the first one has stored it: the video is read back then."""
    monkeypatch.setattr(checksums, "are_compared", lambda: call != "get")
    once(hurt, CALLS[call], proxy.LoseAnswer())
    g = take_step(running)
    assert hurt.counts == {"LoseAnswer": 1}
    assert_copied(alice, g, mp4(), direct)


@pytest.mark.parametrize("fault", [proxy.FlipBit(), proxy.Answer(200)])
def test_a_list_that_is_wrong_deletes_nothing_of_another(
    running: Generation, alice: Caller, hurt: Proxy, direct: Any, fault: Any
) -> None:
    other = take_step(at_the_upstream(alice))
    always(hurt, CALLS["list"], fault)
    take_step(running)
    assert hurt.counts[type(fault).__name__] >= 1
    assert_copied(alice, other, mp4(), direct)


def test_a_region_that_is_wrong_sends_nothing_to_another_host(
    running: Generation, alice: Caller, hurt: Proxy, direct: Any, monkeypatch: Any
) -> None:
    """Answer as S3 does for another region, which botocore would follow to the host of that region."""
    asked: set[str] = set()
    look = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *args, **kwargs: asked.add(host) or look(host, *args, **kwargs)
    )
    for name in ("301", "307", "400 of a region"):
        running = assert_the_copy_fails(running, hurt, "list", EVERYWHERE[name])
    assert asked <= {"127.0.0.1"}
    assert_copied(alice, take_step(running), mp4(), direct)


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_wrong_clock_costs_retries_and_no_video(
    running: Generation, alice: Caller, hurt: Proxy, direct: Any, minutes: int, caplog: Any
) -> None:
    with time_machine.travel(timezone.now() + timedelta(minutes=minutes), tick=False):
        g = take_step(running)
        assert g.status == Status.COPYING
    assert "RequestTimeTooSkewed" in caplog.text
    assert_nothing_is_served(alice, g)
    assert_copied(alice, take_step(g), mp4(), direct)


def test_a_store_that_refuses_connections_is_waited_for(
    running: Generation, alice: Caller, hurt: Proxy, direct: Any
) -> None:
    hurt.down()
    g = take_step(running)
    hurt.up()
    assert g.status == Status.COPYING
    assert_nothing_is_served(alice, g)
    assert_copied(alice, take_step(g), mp4(), direct)


# What hangs


@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "after it is done"])
def test_a_call_that_hangs_ends_at_its_timeout(
    running: Generation, alice: Caller, hanging: Proxy, direct: Any, done: bool
) -> None:
    g = running
    for call in CALLS if done else ("list", "put", "get"):
        g = assert_the_copy_fails(g, hanging, call, proxy.Delay(30, done=done))
    g = assert_the_copy_fails(g, hanging, "get", proxy.Answer(200, mp4()[:1000], {"Content-Length": str(len(mp4()))}))
    assert_nothing_is_served(alice, g)
    assert_copied(alice, until_done(g), mp4(), direct)


def test_a_copy_from_a_slow_store_ends_with_its_time(
    running: Generation, alice: Caller, hurt: Proxy, direct: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(leases, "COPY_SECONDS", 1.0)  # the PUT before takes less, also on a slow machine
    g = assert_the_copy_fails(running, hurt, "get", proxy.Slow(len(mp4()) // 2))
    assert_nothing_is_served(alice, g)
    monkeypatch.undo()
    assert_copied(alice, take_step(g), mp4(), direct)


# What comes late


def test_a_late_delete_deletes_nothing_that_is_served(
    running: Generation, alice: Caller, hurt: Proxy, direct: Any
) -> None:
    """Let S3 do the first DELETE late, after the retry, when another video is stored."""
    once(hurt, CALLS["delete"], late := proxy.Late())
    g = take_step(running)
    assert g.status == Status.SUCCEEDED
    late.release.set()
    assert late.done.wait(5)
    assert_copied(alice, g, mp4(), direct)


def test_a_late_put_changes_nothing_that_is_served(
    running: Generation, alice: Caller, hurt: Proxy, direct: Any
) -> None:
    """Let S3 do a PUT late, after its retry has stored the video: no key is ever overwritten."""
    once(hurt, CALLS["put"], late := proxy.Late())
    g = take_step(running)
    late.release.set()
    assert late.done.wait(5)
    assert_copied(alice, g, mp4(), direct)


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_wakes_after_another_has_finished_leaves_nothing(
    running: Generation, alice: Caller, hurt: Proxy, direct: Any, monkeypatch: Any
) -> None:
    """Let a worker stall with its object stored until its lease is over, and continue after another has succeeded."""
    for call in ("put", "get", "poster"):
        g = at_the_upstream(alice)
        overtaken = threading.Event()
        monkeypatch.setattr(checksums, "are_compared", lambda call=call: call != "get")

        def overtake(request: Request, g: Generation = g, call: str = call, overtaken: Any = overtaken) -> None:
            if CALLS[call](request) and not overtaken.is_set():
                overtaken.set()
                assert take_step(g).status == Status.SUCCEEDED
                connection.close()

        hurt.choose = overtake  # type: ignore[assignment]
        take_step(g)
        assert overtaken.is_set()
        g.refresh_from_db()
        assert_copied(alice, g, mp4(), direct)


@pytest.mark.django_db(transaction=True)
def test_no_other_worker_claims_the_row_of_a_slow_copy(
    running: Generation, alice: Caller, upstream: Upstream, hurt: Proxy, direct: Any, monkeypatch: Any
) -> None:
    """Renew the lease while bytes flow, also from the temporary file to the bucket."""
    content = mp4() + (8_000_000).to_bytes(4, "big") + b"free" + bytes(7_999_992)  # sockets alone buffer 3 MB
    monkeypatch.setattr(leases, "COPY_LEASE", timedelta(seconds=2))  # of the copy's three
    monkeypatch.setattr(leases, "COPY_RENEWAL_SECONDS", 0.0)
    others: list[Any] = []

    def without_length(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + content)
        handler.close_connection = True

    def look(request: Request) -> proxy.Fault | None:
        if CALLS["get"](request):
            others.extend(claim_due(1))
            connection.close()
        return proxy.Slow(2_700_000) if CALLS["put"](request) else None

    upstream.on_video, hurt.choose = without_length, look
    g = take_step(running)
    assert (hurt.counts, others) == ({"Slow": 1}, [])
    assert_copied(alice, g, content, direct)
