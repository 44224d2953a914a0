"""What a video costs whose price the upstream's usage decides: from the request to the bill, through the API."""

import logging
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from generations import lifecycle
from generations.catalog import charge_by_usage
from generations.catalog.video_models import VideoModel
from generations.models import Generation
from generations.upstream import outcomes
from tenants.models import LedgerEntry, Window
from tenants.money import ledger, monthly_statement, reconcile
from tests.generations.admin.rows import LIST, list_ids, page_url
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.support.images import mp4
from tests.support.prometheus import TOKEN, read_samples
from tests.support.upstream import Upstream
from tests.support.worker import claim, take_step, take_steps_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.one_database]

HELD = 98_010  # 864 * 480 * 121 / 1024 = 49005 tokens at 2 USD per million
CREATES = "/v1/generations"
ABOVE, NOT_REPORTED = "a video cost more than was held", "the upstream reported no usage"


@pytest.fixture
def body(usage_model: VideoModel) -> dict[str, Any]:
    """Return the create of a video of the usage model."""
    return {"model": usage_model.id, "prompt": "a ship", "seed": 5}


def make_video(caller: Caller, upstream: Upstream, body: dict[str, Any], usage: Any) -> Generation:
    """Create a generation, and let the upstream make its video and report that usage."""
    answer = caller.http.post(CREATES, body, format="json")
    assert answer.status_code == 202, answer.content
    assert "charged_usd" not in answer.json()
    upstream.video(mp4(), usage=usage)
    return take_steps_until(Generation.objects.get(pk=answer.json()["id"]), "succeeded", "failed")


def used(caller: Caller, kind: str = "usd_per_month") -> list[int]:
    """Return the counters of the tenant and of the key."""
    rows = Window.objects.filter(tenant=caller.tenant, kind=kind)
    return [row.used for row in sorted(rows, key=lambda row: row.api_key_id or 0)]


def read(caller: Caller, generation: Generation) -> dict[str, Any]:
    answer: dict[str, Any] = caller.http.get(f"{CREATES}/{generation.pk}").json()
    return answer


@pytest.mark.parametrize(
    ("usage", "charged", "reason", "event"),
    [
        ({"completion_tokens": 49_005}, HELD, "49005 tokens as the upstream reported", ""),
        ({"completion_tokens": 40_000}, 80_000, "40000 tokens as the upstream reported", ""),
        ({"completion_tokens": 0}, 0, "0 tokens as the upstream reported", ""),
        (
            {"completion_tokens": 98_010, "total_tokens": 98_010},
            196_020,
            "98010 tokens as the upstream reported; 0.098010 USD were held",
            "0.196020 USD are charged, more than the 0.098010 USD held: the upstream reported 98010 tokens.",
        ),
        *(
            (
                usage,
                HELD,
                "the quote: the upstream reported no usage",
                "The upstream reported no usage: the quote of 0.098010 USD is charged.",
            )
            for usage in (
                None,
                {},
                7,
                {"completion_tokens": -1},
                {"completion_tokens": "49005"},
                {"completion_tokens": 1.5},
                {"completion_tokens": True},
                {"completion_tokens": 2**53 + 1},
            )
        ),
        (
            {"completion_tokens": 2**53},
            HELD,
            "the quote: the upstream reported 9007199254740992 tokens, which no video has",
            "The upstream reported 9007199254740992 tokens, which no video has: the quote of 0.098010 USD is charged.",
        ),
    ],
    ids=[
        *("as-held", "below", "nothing", "above", "absent", "empty", "no-object", "negative", "text", "fraction"),
        *("boolean", "too-large", "too-dear"),
    ],
)
def test_the_charge_is_what_the_upstream_reported(
    alice: Caller,
    upstream: Upstream,
    bucket: Any,
    body: dict[str, Any],
    usage: Any,
    charged: int,
    reason: str,
    event: str,
) -> None:
    g = make_video(alice, upstream, body, usage)
    assert (g.status, g.price_micro, g.rate_micro, g.charged_micro) == ("succeeded", HELD, 2_000_000, charged)
    usd = f"0.{charged:06}"
    row = read(alice, g)
    assert (row["price_usd"], row["charged_usd"]) == ("0.098010", usd)
    capture = LedgerEntry.objects.get(kind="capture")
    assert (capture.amount_micro, capture.reason) == (charged, reason)
    events = [item["message"] for item in alice.http.get(f"{CREATES}/{g.pk}/events").json()["events"]]
    assert events[-1] == event
    assert used(alice) == [charged, charged]
    assert used(alice, "in_flight") == [0, 0]
    assert reconcile.check(alice.tenant.pk) == []
    statement = monthly_statement.build(alice.tenant, timezone.now().date())
    assert (statement.total_micro, statement.held, [row["usd"] for row in statement.rows]) == (charged, 0, [usd])
    [by_model] = alice.http.get("/v1/usage", {"group_by": "model"}).json()["rows"]
    assert (by_model["model"], by_model["usd"], by_model["held_usd"]) == (body["model"], usd, "0.000000")


def test_a_charge_above_the_hold_is_logged_counted_and_shown_to_finance(
    alice: Caller,
    upstream: Upstream,
    bucket: Any,
    body: dict[str, Any],
    admin_client: Client,
    settings: Any,
    caplog: Any,
) -> None:
    settings.METRICS_TOKEN = TOKEN
    names = [
        ("seedance_settled_total", "live", body["model"], outcome, "novita") for outcome in charge_by_usage.OUTCOMES
    ]
    before = read_samples(alice.http)
    with caplog.at_level(logging.WARNING):
        g = make_video(alice, upstream, body, {"completion_tokens": 50_000})
        make_video(alice, upstream, body, None)
    samples = read_samples(alice.http)
    assert [samples.get(name, 0) - before.get(name, 0) for name in names] == [0, 0, 1, 1]
    logged = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    by_event = {entry["event"]: entry for entry in logged if entry["event"] in (ABOVE, NOT_REPORTED)}
    assert by_event.keys() == {ABOVE, NOT_REPORTED}
    entry = by_event[ABOVE]
    facts = (entry["generation"], entry["model"], entry["tokens"], entry["held_usd"], entry["charged_usd"])
    assert facts == (str(g.pk), body["model"], 50_000, "0.098010", "0.100000")
    page = admin_client.get(page_url(g)).content.decode()
    assert "Charged $0.10, held $0.09801: more than was held. The upstream reported 50000 tokens." in page
    assert "50000 tokens as the upstream reported; 0.098010 USD were held" in page
    assert "charged $0.10" in admin_client.get(LIST).content.decode()
    assert list_ids(admin_client, attention="charged-above") == {str(g.pk)}
    [tile] = [tile for tile in admin_client.get("/admin/").context["tiles"] if tile.name == "Charged above hold"]
    assert (tile.figure, tile.level) == (1, "warn")
    assert "attention=charged-above" in tile.url


def test_a_charge_above_the_budget_is_captured_and_the_next_create_is_refused(
    alice: Caller, upstream: Upstream, bucket: Any, body: dict[str, Any]
) -> None:
    alice.limit(usd_per_month_micro=2 * HELD)
    make_video(alice, upstream, body, {"completion_tokens": 100_000})
    assert used(alice) == [200_000, 200_000]
    answer = alice.http.post(CREATES, body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (402, "budget_reached")


def test_a_video_that_a_worker_of_an_older_release_finished_cost_its_quote(
    alice: Caller, usage_model: VideoModel
) -> None:
    """That release captures the hold and writes no charge: a rolling upgrade has both for a while."""
    g = make_generation(alice, model=usage_model.id)
    columns: dict[str, Any] = {
        "status": "succeeded",
        "due_at": None,
        "finished_at": timezone.now(),
        "upstream_id": "up",
    }
    columns |= {"video_key": "videos/1", "video_size": 1, "video_sha256": "ab" * 32}
    Generation.objects.filter(pk=g.pk).update(**columns)
    with transaction.atomic():
        assert ledger.capture(g.pk)
    assert read(alice, g)["charged_usd"] == "0.098010"
    assert alice.http.get("/v1/usage").json()["total"]["usd"] == "0.098010"


def test_what_is_not_charged_may_be_spent_again(
    alice: Caller, upstream: Upstream, bucket: Any, body: dict[str, Any]
) -> None:
    alice.limit(usd_per_month_micro=2 * HELD - 1)
    make_video(alice, upstream, body, {"completion_tokens": 40_000})
    assert alice.http.post(CREATES, body, format="json").status_code == 202


def test_the_rate_is_that_of_the_admission(
    alice: Caller, upstream: Upstream, bucket: Any, body: dict[str, Any], settings: Any
) -> None:
    g = Generation.objects.get(pk=alice.http.post(CREATES, body, format="json").json()["id"])
    settings.PRICES = '{"acme-tokens-1-t2v": {"usd_per_million_tokens": "9"}}'
    upstream.video(mp4(), usage={"completion_tokens": 40_000})
    assert take_steps_until(g, "succeeded").charged_micro == 80_000


def test_a_price_that_operators_set_for_the_very_video_is_charged(
    alice: Caller, upstream: Upstream, bucket: Any, body: dict[str, Any], settings: Any
) -> None:
    settings.PRICES = '{"acme-tokens-1-t2v": {"usd": {"480p": {"16:9": {"5": "0.5"}}}}}'
    g = make_video(alice, upstream, body, {"completion_tokens": 40_000})
    assert (g.price_micro, g.rate_micro, g.charged_micro) == (500_000, None, None)
    assert LedgerEntry.objects.get(kind="capture").amount_micro == 500_000
    assert "charged_usd" not in read(alice, g)


@pytest.mark.parametrize(
    ("first", "later", "charged"), [(40_000, None, 80_000), (None, 40_000, 80_000), (40_000, 45_000, 80_000)]
)
def test_the_first_report_survives_copies_that_fail(
    alice: Caller,
    upstream: Upstream,
    bucket: Any,
    body: dict[str, Any],
    first: int | None,
    later: int | None,
    charged: int,
) -> None:
    def report(tokens: int | None) -> None:
        upstream.video(mp4(), usage=None if tokens is None else {"completion_tokens": tokens})

    g = Generation.objects.get(pk=alice.http.post(CREATES, body, format="json").json()["id"])
    report(first)
    upstream.on_video = (500, {}, b"")
    g = take_steps_until(g, "copying")
    report(later)
    assert take_step(g).charged_micro == charged


def test_a_late_worker_records_no_tokens(alice: Caller, upstream: Upstream, bucket: Any, body: dict[str, Any]) -> None:
    g = Generation.objects.get(pk=alice.http.post(CREATES, body, format="json").json()["id"])
    upstream.video(mp4())
    upstream.on_video = (500, {}, b"")
    stale = claim(take_steps_until(g, "copying"))
    claim(g)
    assert not lifecycle.record_report(stale, outcomes.Rendered("", None, 7))
    g.refresh_from_db()
    assert g.upstream_tokens is None


@pytest.mark.parametrize("end", ["failed", "mismatched", "cancelled"])
def test_without_a_video_nothing_is_charged(
    alice: Caller, upstream: Upstream, bucket: Any, body: dict[str, Any], end: str
) -> None:
    if end == "cancelled":
        g = Generation.objects.get(pk=alice.http.post(CREATES, body, format="json").json()["id"])
        assert alice.http.post(f"{CREATES}/{g.pk}/cancel").status_code == 200
        g.refresh_from_db()
    elif end == "mismatched":
        g = make_video(alice, upstream, {**body, "resolution": "720p"}, {"completion_tokens": 1_000_000})
        assert g.error_code == "video_mismatch"
    else:
        g = Generation.objects.get(pk=alice.http.post(CREATES, body, format="json").json()["id"])
        assert lifecycle.fail(g, "code", "Why.")
    assert read(alice, g)["charged_usd"] == "0.000000"
    assert used(alice) == [0, 0]
    assert reconcile.check(alice.tenant.pk) == []
    assert monthly_statement.build(alice.tenant, timezone.now().date()).total_micro == 0
    assert alice.http.get("/v1/usage").json()["total"]["usd"] == "0.000000"


def test_a_test_generation_costs_nothing(
    alice: Caller, upstream: Upstream, bucket: Any, body: dict[str, Any], settings: Any
) -> None:
    settings.SANDBOX_BASE_URL = upstream.url
    tester = alice.with_key(test=True)
    g = make_video(tester, upstream, body, {"completion_tokens": 1_000_000})
    assert (g.price_micro, g.charged_micro) == (0, 0)
    assert read(tester, g)["charged_usd"] == "0.000000"
    assert reconcile.check(alice.tenant.pk) == []


def test_a_model_with_a_quote_is_charged_by_it_whatever_the_upstream_reports(
    alice: Caller, upstream: Upstream, bucket: Any
) -> None:
    body = {"model": "seedance-v1-lite-t2v", "prompt": "a ship", "resolution": "480p", "seed": 5}
    g = make_video(alice, upstream, body, {"completion_tokens": 1_000_000})
    assert (g.status, g.rate_micro, g.charged_micro) == ("succeeded", None, None)
    capture = LedgerEntry.objects.get(kind="capture")
    assert (capture.amount_micro, capture.reason) == (g.price_micro, "")
    assert "charged_usd" not in read(alice, g)
