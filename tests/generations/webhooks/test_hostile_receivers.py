"""An attempt against a dead, slow or hostile receiver ends in time and stores nothing of the answer."""

import socket
import struct
import time
from typing import Any

import pytest

from generations import leases
from generations.models import Delivery, WebhookEndpoint
from tests.support.factories import Caller
from tests.support.patience import PATIENCE
from tests.support.receiver import Receiver
from tests.support.webhooks import attempt_all, create_endpoint, make_endpoint, make_failed

pytestmark = [pytest.mark.django_db, pytest.mark.one_database]


def dead(handler: Any) -> None:
    """Answer nothing for half a second."""
    time.sleep(0.5)


def drips(handler: Any) -> None:
    """Send a header every 20 ms."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(20):
        handler.wfile.write(b"X-Drip: %d\r\n" % number)
        time.sleep(0.02)


def drips_forever(handler: Any) -> None:
    """Send interim answers without end."""
    while True:
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.02)


def never_ends_the_head(handler: Any) -> None:
    """Send headers without end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X-Long: " + b"x" * 65_536)


def resets(handler: Any) -> None:
    """Reset the connection."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def closes(handler: Any) -> None:
    """Close the connection without an answer."""


def garbage(handler: Any) -> None:
    """Answer in another protocol."""
    handler.wfile.write(b"220 mail.example.com ESMTP\r\n\r\n")


@pytest.mark.parametrize("hostile", [dead, drips, drips_forever, never_ends_the_head, resets, closes, garbage])
def test_a_hostile_receiver_is_unreachable_within_the_deadline(
    alice: Caller, receiver: Receiver, monkeypatch: Any, hostile: Any
) -> None:
    def answer(handler: Any) -> None:
        """Run the hostile receiver until the client hangs up."""
        try:
            hostile(handler)
        except OSError:
            return

    monkeypatch.setattr(leases, "DELIVERY_CALL_SECONDS", 0.12)
    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = answer
    started_at = time.monotonic()
    [attempted] = attempt_all()
    # A slow machine has time. Without the deadline the attempt lasts for ever.
    assert time.monotonic() - started_at < PATIENCE
    [attempt] = attempted.log.all()
    assert (attempt.outcome, attempt.status_code, attempted.status) == ("unreachable", None, "pending")


def test_a_flood_of_answers_before_the_answer_ends_long_before_the_deadline(alice: Caller, receiver: Receiver) -> None:
    """Each interim answer costs the service more to read than the receiver to write."""

    def flood(handler: Any) -> None:
        """Send interim answers as fast as possible."""
        while True:
            handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)

    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = flood
    started_at = time.process_time()
    [attempted] = attempt_all()
    assert time.process_time() - started_at < 10
    assert attempted.log.get().outcome == "unreachable"
    assert attempted.log.get().milliseconds < 1000 * leases.DELIVERY_CALL_SECONDS


def test_a_body_of_ten_gigabytes_is_not_read(alice: Caller, receiver: Receiver) -> None:
    sent = []

    def endless(handler: Any) -> None:
        """Announce ten gigabytes and send up to that much."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        try:
            while len(sent) < 10_000:
                sent.append(handler.wfile.write(b"x" * 1_000_000))
        except OSError:
            return

    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = endless
    [attempted] = attempt_all()
    assert attempted.status == "delivered"
    assert len(sent) < 100


@pytest.mark.parametrize(("size", "outcome"), [(20_000, "delivered"), (40_000, "unreachable")])
def test_a_long_head_is_read_and_a_longer_one_is_not(
    alice: Caller, receiver: Receiver, size: int, outcome: str
) -> None:
    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = 200, {"X-Long": "x" * size}
    [attempted] = attempt_all()
    assert attempted.log.get().outcome == outcome


def test_a_receiver_that_is_not_there_is_unreachable(alice: Caller, settings: Any) -> None:
    settings.FETCH_ALLOW_HOSTS = ["127.0.0.1"]
    make_endpoint(alice, "http://127.0.0.1:9/hook")
    make_failed(alice)
    [attempted] = attempt_all()
    assert attempted.log.get().outcome == "unreachable"


def test_a_url_that_is_no_longer_allowed_is_blocked(alice: Caller, settings: Any) -> None:
    settings.FETCH_ALLOW_HOSTS = ["127.0.0.1"]
    endpoint = make_endpoint(alice, "http://127.0.0.1:9/hook")
    settings.FETCH_ALLOW_HOSTS = []
    make_failed(alice)
    [attempted] = attempt_all()
    assert (attempted.log.get().outcome, attempted.status) == ("blocked", "pending")
    endpoint.refresh_from_db()
    assert endpoint.failing_since


def test_nothing_of_a_receivers_answer_is_stored(alice: Caller, receiver: Receiver, caplog: Any) -> None:
    def answer(handler: Any) -> None:
        """Answer with a secret in every part."""
        handler.wfile.write(b"HTTP/1.1 500 inner-secret\r\nX-Inner: inner-secret\r\n\r\ninner-secret")

    create_endpoint(alice, receiver)
    make_failed(alice)
    receiver.answer = answer
    [attempted] = attempt_all()
    stored = [Delivery.objects.values().get(), *attempted.log.values(), WebhookEndpoint.objects.values().get()]
    assert "inner-secret" not in str(stored) + caplog.text
