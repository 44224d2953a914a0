"""Webhook URLs that lead to private addresses. Connections are counted where they would arrive."""

import threading
import time
from typing import Any

import pytest

from generations.models import Delivery, WebhookEndpoint
from generations.outbound import fetch, look_ups
from generations.outbound.errors import FetchFailed, FetchRefused
from tests.generations.outbound import test_fetch_private as fetched
from tests.generations.outbound.test_fetch_private import BROKEN_IN_TWO, INSIDE, Listener
from tests.support.factories import Caller
from tests.support.patience import PATIENCE
from tests.support.receiver import run_receiver
from tests.support.webhooks import attempt_all, make_endpoint, make_failed

pytestmark = [pytest.mark.one_database, pytest.mark.abuse]
inside, private, public, dns = fetched.inside, fetched.private, fetched.public, fetched.dns
HOOK = "https://hook.example.com:8443/"


def post(url: str, deadline: float = 3.0) -> fetch.Answer:
    """Post an empty object as a delivery does."""
    return fetch.post(url, b"{}", {}, deadline=deadline)


def test_a_post_connects_to_nothing_inside(inside: Listener) -> None:
    for text in [*INSIDE, *BROKEN_IN_TWO]:
        with pytest.raises(FetchRefused):
            post(text.format(inside.port))
    assert inside.connects() == 0


def test_no_endpoint_and_no_generations_webhook_can_lead_inside(alice: Caller, inside: Listener, body: Any) -> None:
    for text in [*INSIDE, *BROKEN_IN_TWO]:
        url = text.format(inside.port)
        answer = alice.http.post("/v1/webhook-endpoints", {"url": url}, format="json")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "url"), url
    for url in (INSIDE[0], INSIDE[5]):
        request = {**body, "webhook_url": url.format(inside.port)}
        assert alice.http.post("/v1/generations", request, format="json").status_code == 400
    assert WebhookEndpoint.objects.count() == Delivery.objects.count() == 0


def test_a_redirect_of_a_post_connects_to_nothing(inside: Listener, settings: Any) -> None:
    with run_receiver(settings) as receiver:
        for text in ("http://127.0.0.1:{}/", "//127.0.0.1:{}/", "https://[::1]:{}/"):
            receiver.answer = 307, {"Location": text.format(inside.port)}
            assert post(receiver.url).status == 307
    assert inside.connects() == 0


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy"])
def test_no_proxy_of_the_environment_is_posted_through(
    settings: Any, inside: Listener, monkeypatch: Any, name: str
) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{inside.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with run_receiver(settings) as receiver:
        assert post(receiver.url).status == 204
    assert inside.connects() == 0


def test_a_name_that_turns_private_is_posted_to_where_it_was_checked(
    public: Listener, private: Listener, dns: Any
) -> None:
    dns["hook.example.com"] = [[public.address], [private.address]]
    with pytest.raises(FetchFailed):  # the listener speaks no TLS
        post(HOOK, 0.1)
    assert (public.connects(), private.connects()) == (1, 0)
    with pytest.raises(FetchRefused):
        post(HOOK)
    assert (public.connects(), private.connects()) == (0, 0)


def test_a_name_that_was_public_when_the_endpoint_was_made_is_checked_at_each_attempt(
    alice: Caller, private: Listener, dns: Any, caplog: Any
) -> None:
    make_endpoint(alice, HOOK)
    dns["hook.example.com"] = [[private.address]]
    make_failed(alice)
    [attempted] = attempt_all()
    assert attempted.log.get().outcome == "blocked"
    assert private.connects() == 0
    assert private.address not in caplog.text + str(list(attempted.log.values()) + list(Delivery.objects.values()))


def test_names_that_never_resolve_meet_the_deadline_and_delay_no_image(monkeypatch: Any, settings: Any) -> None:
    """There are more such names than threads that look names up for POSTs."""
    answered, looked_up = threading.Event(), []

    def resolve(host: str, *args: Any, **options: Any) -> list[Any]:
        """Resolve every host to a private address, and webhook hosts only after `answered`."""
        looked_up.append(host)
        if host.startswith("hook"):
            answered.wait(2 * PATIENCE)
        return [(0, 0, 0, "", ("10.0.0.1", 443))]

    monkeypatch.setattr(look_ups.socket, "getaddrinfo", resolve)
    threads = [threading.Thread(target=expect_failure, args=("https://hook.example.com/",)) for _ in range(40)]
    started_at = time.monotonic()
    for thread in threads:
        thread.start()
    with pytest.raises(FetchRefused):
        fetch.read("https://image.example.com/a.png", limit=1000, deadline=0.3)
    for thread in threads:
        thread.join()
    assert time.monotonic() - started_at < PATIENCE
    assert looked_up.count("hook.example.com") <= 2 * settings.DELIVERY_THREADS
    answered.set()
    expect_failure("https://hook.example.com/")  # a look-up that was given up is not made later
    assert looked_up.count("hook.example.com") <= 2 * settings.DELIVERY_THREADS + 1


def expect_failure(url: str) -> None:
    """Post and expect that the POST fails or is refused."""
    with pytest.raises((FetchFailed, FetchRefused)):
        post(url, 0.3)
