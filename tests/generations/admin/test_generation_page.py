"""A generation's page shows result, timeline and charge, and offers the available actions."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from generations.admin import action_pages, generation_page
from generations.admin.generations import NO_BREAK
from generations.bucket.errors import StorageError
from generations.models import Generation
from tests.generations.admin.rows import LIST, page_url, put_in_or_cancel
from tests.generations.test_lifecycle import REACHABLE_STATUSES, put_in
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.support.panel import log_in_staff

pytestmark = pytest.mark.one_database

NAMES = {"nudge": "run_now"}  # the action whose address has another name


@pytest.mark.parametrize("status", REACHABLE_STATUSES)
def test_the_page_shows_every_event_and_the_available_actions(admin_client: Client, alice: Caller, status: str) -> None:
    g, _ = put_in(alice, status)
    text = admin_client.get(page_url(g)).content.decode()
    for event in g.events.all():
        assert generation_page.format_status(event.status) in text
    assert ("<video" in text) == (status == "succeeded")
    offered = set(re.findall(rf'href="[^"]*/{g.pk}/([a-z-]+)/?(?:\?form=[^"]+)?"', text)) - {
        "change",
        "history",
        "video",
    }
    assert {NAMES.get(path, path.replace("-", "_")) for path in offered} == set(action_pages.available_actions(g))


def test_the_video_plays_by_a_fresh_url_each_time(admin_client: Client, alice: Caller) -> None:
    g, _ = put_in(alice, "succeeded")
    assert page_url(g, "video") in admin_client.get(page_url(g)).content.decode()
    response = admin_client.get(page_url(g, "video"))
    assert response.status_code == 302
    assert "X-Amz-Signature" in response["Location"]
    Generation.objects.filter(pk=g.pk).update(deleted_at=timezone.now())
    assert admin_client.get(page_url(g, "video")).status_code == 404
    assert Client().get(page_url(g, "video")).status_code == 302  # to the login
    assert log_in_staff().get(page_url(g, "video")).status_code == 404


def test_the_page_opens_without_the_keys_of_s3(admin_client: Client, alice: Caller, monkeypatch: Any) -> None:
    def fail(*args: Any, **options: Any) -> str:
        raise StorageError("NoCredentialsError")

    g, _ = put_in(alice, "succeeded")
    monkeypatch.setattr("generations.bucket.signed_urls.signer", fail)
    for address in (page_url(g), LIST):
        assert admin_client.get(address).status_code == 200
    assert admin_client.get(page_url(g, "video")).status_code == 503


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (10, "10 s"), (200, "3 min 20 s"), (18600, "5 h 10 min"), (273600, "3 d 4 h")],
)
def test_a_span_of_time_is_rounded_to_two_units(seconds: float, text: str) -> None:
    assert generation_page.format_span(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("status", "charge"),
    [
        ("running", "Held $0.088209, not yet charged."),
        ("succeeded", "Charged $0.088209."),
        ("failed", "Charged $0.00. $0.088209 was held and released."),
        ("cancelled", "Charged $0.00. $0.088209 was held and released."),
    ],
)
def test_the_page_shows_what_the_generation_cost(admin_client: Client, alice: Caller, status: str, charge: str) -> None:
    g = put_in_or_cancel(alice, status)
    assert f'<dd id="charge">{charge}</dd>' in admin_client.get(page_url(g)).content.decode()


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_what_was_released_is_said_beside_the_price_among_all_fields(
    admin_client: Client, alice: Caller, status: str
) -> None:
    page = admin_client.get(page_url(put_in_or_cancel(alice, status))).content.decode()
    fields = re.sub(r"<[^>]+>|\s+", " ", page[page.index("All fields") :])
    assert re.search(r"Price micro\s+88209 ", fields)
    assert re.search(r"Charge\s+charged \$0\.00 ", fields)
    assert "Charged micro" not in fields


def test_the_page_shows_that_a_test_generation_costs_nothing(
    admin_client: Client, alice: Caller, settings: Any
) -> None:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    g = make_generation(alice.with_key(test=True))
    assert '<dd id="charge">Charged $0.00: test mode.' in admin_client.get(page_url(g)).content.decode()


def test_what_a_model_does_not_have_is_a_dash(admin_client: Client, alice: Caller) -> None:
    g = make_generation(alice, model="kling-v3.0-std-t2v", duration=3, parameters={"audio": True})
    page = admin_client.get(page_url(g)).content.decode()
    assert '<code id="seed">–</code> (none)' in page
    assert "<dd>kling-v3.0-std-t2v, –, 16:9, 3 s</dd>" in page
    assert "<dt>audio</dt><dd>True</dd>" in page
    listed = admin_client.get(LIST).content.decode()
    assert f"16:9 3{NO_BREAK}s" in listed
    for text in (page, listed, admin_client.get("/admin/generations/seedrecord/").content.decode()):
        assert "None" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
