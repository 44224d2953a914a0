"""An input image whose bucket has faults: the upstream gets exactly this image once, or nothing yet."""

from collections.abc import Callable
from typing import Any

import pytest

from generations.models import Generation
from tenants.models import LedgerEntry
from tests.faults import proxy
from tests.faults.copies import BUCKET, EVERYWHERE, Status, always, error, never, once, take_step
from tests.faults.proxy import Fault, Proxy, Request
from tests.support.factories import Caller, make_generation
from tests.support.images import base64_of, data_uri, image_bytes
from tests.support.upstream import Upstream

pytest_plugins = ["tests.faults.stores"]

CALLS: dict[str, Callable[[Request], bool]] = {
    "put": lambda request: request.method == "PUT" and "/inputs/" in request.path,
    "get": lambda request: request.method == "GET" and "/inputs/" in request.path,
}
FAULTS: list[tuple[str, Fault]] = [
    *[(call, fault) for fault in EVERYWHERE.values() for call in CALLS],
    ("put", proxy.ResetInBody(0)),
    ("put", proxy.ResetInBody(1000)),
    ("put", proxy.FlipBit(asked=True)),
    ("put", error(409, "ConditionalRequestConflict")),
    ("get", proxy.CutAnswer(0)),
    ("get", proxy.CutAnswer(1000)),
    ("get", proxy.ResetAnswer(1000)),
    ("get", proxy.FlipBit()),
    ("get", proxy.Answer(200)),
    ("get", proxy.Answer(200, image_bytes()[:-1])),
]


@pytest.fixture(autouse=True)
def image_behind_url(hurt: Proxy, upstream: Upstream) -> None:
    """Serve an image behind the URL."""
    upstream.on_video = 200, {}, image_bytes()


def assert_sent_once(upstream: Upstream, g: Generation, direct: Any) -> None:
    """Check that the stored image was sent upstream once."""
    assert g.status == Status.RUNNING
    assert [body["image"] for body in upstream.submits] == [data_uri(image_bytes())]
    assert g.image is not None
    assert direct.get_object(Bucket=BUCKET, Key=g.image.key)["Body"].read() == image_bytes()


def test_an_image_behind_a_url_waits_until_each_fault_is_over(
    alice: Caller, upstream: Upstream, hurt: Proxy, direct: Any
) -> None:
    g = make_generation(alice, image=None, image_url=f"{upstream.url}/a.jpg")
    for failures, (call, fault) in enumerate(sorted(FAULTS, key=lambda one: one[0] == "get"), 1):
        before = hurt.counts[type(fault).__name__]
        always(hurt, CALLS[call], fault)
        g = take_step(g)
        assert hurt.counts[type(fault).__name__] > before, f"{call} {fault}"
        assert (g.status, g.consecutive_failures) == (Status.QUEUED, failures), f"{call} {fault}"
        assert (g.image is None) == (call == "put"), f"{call} {fault}"
        assert upstream.submits == []
    always(hurt, CALLS["get"], error(404, "NoSuchKey"))
    g = take_step(g)
    assert (g.status, g.consecutive_failures) == (Status.QUEUED, 1), "not the bucket's outage, but the image's own"
    never(hurt)
    assert_sent_once(upstream, take_step(g), direct)


@pytest.mark.parametrize("path", ["/v1/generations", "/v3/async/seedance-v1-lite-i2v"])
def test_a_create_whose_image_cannot_be_stored_is_refused_and_may_be_sent_again(
    alice: Caller, upstream: Upstream, hurt: Proxy, direct: Any, path: str
) -> None:
    body = {"image": base64_of(image_bytes()), "resolution": "480p", "prompt": "", "duration": 5}
    for fault in [fault for call, fault in FAULTS if call == "put"]:
        always(hurt, CALLS["put"], fault)
        answer = alice.http.post(path, body, format="json")
        assert answer.status_code in (500, 503), fault
        assert Generation.objects.count() == LedgerEntry.objects.count() == 0
    never(hurt)
    assert alice.http.post(path, body, format="json").status_code in (200, 202)
    assert_sent_once(upstream, take_step(Generation.objects.get()), direct)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_once_is_repeated_at_once(
    alice: Caller, upstream: Upstream, hurt: Proxy, direct: Any, call: str
) -> None:
    g = make_generation(alice, image=None, image_url=f"{upstream.url}/a.jpg")
    once(hurt, CALLS[call], proxy.LoseAnswer())
    assert_sent_once(upstream, take_step(g), direct)
    assert hurt.counts == {"LoseAnswer": 1}


def test_calls_that_hang_end_at_their_timeout(alice: Caller, upstream: Upstream, hanging: Proxy, direct: Any) -> None:
    g = make_generation(alice, image=None, image_url=f"{upstream.url}/a.jpg")
    for call in CALLS:
        always(hanging, CALLS[call], proxy.Delay(30, done=True))
        g = take_step(g)
        assert g.status == Status.QUEUED
    never(hanging)
    assert_sent_once(upstream, take_step(g), direct)
