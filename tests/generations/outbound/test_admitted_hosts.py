"""Tests of which private hosts are reached: by URLs of callers, and by the upstream's URLs of videos."""

from collections.abc import Iterator
from typing import Any

import pytest

from generations.models import Generation
from generations.outbound import addresses, fetch
from generations.outbound.errors import FetchRefused
from tests.faults.copies import Status, at_the_upstream, take_step
from tests.support.factories import Caller, make_generation
from tests.support.images import image_bytes, mp4
from tests.support.upstream import Upstream, task

pytestmark = pytest.mark.one_database


@pytest.fixture
def elsewhere(settings: Any, upstream: Upstream) -> Iterator[Upstream]:
    """Return a server on a private host of its own. Nothing is admitted."""
    server = Upstream()
    server.on_video = 200, {}, mp4()
    settings.FETCH_ALLOW_HOSTS = []
    yield server
    server.stop()


def copied(alice: Caller, upstream: Upstream, url: str) -> Generation:
    upstream.on_poll = task("TASK_STATUS_SUCCEED", url=url)
    return take_step(at_the_upstream(alice))


@pytest.mark.parametrize("name", addresses.OWN_URLS)
def test_no_url_of_a_caller_leads_to_the_services_own_hosts(
    alice: Caller, elsewhere: Upstream, settings: Any, body: Any, name: str
) -> None:
    setattr(settings, name, elsewhere.url)
    settings.VIDEO_ALLOW_HOSTS = [elsewhere.host]
    url = f"{elsewhere.url}/a.png"
    answer = alice.http.post("/v1/generations", {**body, "image": url}, format="json")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "image")
    assert alice.http.post("/v1/generations", {**body, "webhook_url": url}, format="json").status_code == 400
    assert alice.http.post("/v1/webhook-endpoints", {"url": url}, format="json").status_code == 400
    for call in (lambda: fetch.read(url, limit=10, deadline=5.0), lambda: fetch.post(url, b"", {}, deadline=5.0)):
        with pytest.raises(FetchRefused):
            call()


@pytest.mark.usefixtures("bucket")
def test_a_callers_url_does_not_lead_to_the_upstream_by_a_redirect(
    alice: Caller, upstream: Upstream, elsewhere: Upstream, settings: Any
) -> None:
    settings.FETCH_ALLOW_HOSTS = [elsewhere.host]
    elsewhere.on_video, upstream.on_video = (302, {"Location": f"{upstream.url}/a.png"}, b""), (200, {}, image_bytes())
    g = take_step(make_generation(alice, image=None, image_url=f"{elsewhere.url}/a.png"))
    assert (g.status, g.error_code) == (Status.FAILED, "image_url_refused")


@pytest.mark.parametrize("name", addresses.OWN_URLS[1:])
def test_the_services_own_hosts_are_implied_for_videos(
    upstream: Upstream, elsewhere: Upstream, settings: Any, name: str
) -> None:
    setattr(settings, name, elsewhere.url)
    assert elsewhere.host in addresses.for_videos()
    with fetch.open_url(
        f"{elsewhere.url}/v.mp4", limit=10**6, deadline=5.0, admitted=addresses.for_videos()
    ) as download:
        assert b"".join(download.chunks) == mp4()


@pytest.mark.usefixtures("bucket")
def test_a_video_of_the_upstreams_own_host_is_copied_without_an_entry(
    alice: Caller, upstream: Upstream, settings: Any
) -> None:
    settings.FETCH_ALLOW_HOSTS = []
    upstream.on_video = 200, {}, mp4()
    assert copied(alice, upstream, f"{upstream.url}/v.mp4").status == Status.SUCCEEDED


@pytest.mark.usefixtures("bucket")
def test_a_video_of_another_private_host_needs_an_entry(
    alice: Caller, upstream: Upstream, elsewhere: Upstream, settings: Any
) -> None:
    url = f"{elsewhere.url}/v.mp4"
    g = copied(alice, upstream, url)
    assert g.status == Status.COPYING
    settings.VIDEO_ALLOW_HOSTS = [elsewhere.host]
    assert take_step(g).status == Status.SUCCEEDED


@pytest.mark.usefixtures("bucket")
def test_a_video_may_be_redirected_to_an_admitted_host_only(
    alice: Caller, upstream: Upstream, elsewhere: Upstream, settings: Any
) -> None:
    upstream.on_video = 302, {"Location": f"{elsewhere.url}/v.mp4"}, b""
    g = copied(alice, upstream, f"{upstream.url}/v.mp4")
    assert g.status == Status.COPYING
    settings.VIDEO_ALLOW_HOSTS = ["127.0.0.0/8"]
    assert take_step(g).status == Status.SUCCEEDED


@pytest.mark.parametrize(
    ("base", "own"),
    [
        ("http://novita.internal", "novita.internal:80"),
        ("https://Novita.Internal/below", "novita.internal:443"),
        ("http://[::1]:8001", "[::1]:8001"),
        ("https://user:secret@novita.internal:8443/?x", "novita.internal:8443"),
        ("", ""),
        ("http://[::1", ""),
        ("novita.internal", ""),
    ],
)
def test_a_url_of_the_settings_implies_its_host_with_its_port(settings: Any, base: str, own: str) -> None:
    for name in addresses.OWN_URLS:
        setattr(settings, name, base if name == "NOVITA_BASE_URL" else "")
    settings.FETCH_ALLOW_HOSTS = settings.VIDEO_ALLOW_HOSTS = []
    assert addresses.for_videos() == ([own] if own else [])


@pytest.mark.parametrize(
    "text",
    """http://127.0.0.1:{} http://localhost:{} http://127.1:{} http://2130706433:{} http://0x7f000001:{} http://0177.0.0.1:{}
    http://[::ffff:127.0.0.1]:{} http://[::ffff:7f00:1]:{} http://[64:ff9b::7f00:1]:{} http://[::127.0.0.1]:{}
    http://127.0.0.1.:{} http://0.0.0.0:{} http://[::]:{}""".split(),
)
def test_another_writing_of_an_implied_host_is_not_implied(elsewhere: Upstream, settings: Any, text: str) -> None:
    settings.NOVITA_BASE_URL = "http://upstream.internal:8001"
    port = elsewhere.url.rpartition(":")[2]
    with (
        pytest.raises(FetchRefused),
        fetch.open_url(text.format(port), limit=10, deadline=5.0, admitted=addresses.for_videos()),
    ):
        pass
