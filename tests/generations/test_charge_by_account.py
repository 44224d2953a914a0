"""What a video costs of a model that two accounts offer at different prices: from the create to the bill."""

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from generations import lifecycle
from generations.models import Generation
from generations.upstream import circuit_breaker
from tenants.models import LedgerEntry
from tenants.money import monthly_statement, reconcile
from tests.generations.admin.rows import page_url
from tests.http_client import Client
from tests.support import ark_answers
from tests.support.ark_generations import lead_to
from tests.support.factories import Caller
from tests.support.images import mp4
from tests.support.upstream import Upstream, as_json
from tests.support.worker import take_step, take_steps_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.one_database]

MODEL = """
id = "offered-1"
title = "At two accounts"
wire = "ark"
task = "t2v"
fps = 24
settle = "SETTLE"
fields = [
  {name = "prompt", type = "string", presence = "required", max_length = 2000},
  {name = "resolution", type = "enum", enum = ["480p"], default = "480p", priced = true},
  {name = "aspect_ratio", wire = "ratio", type = "enum", enum = ["16:9"], default = "16:9"},
  {name = "duration", type = "enum", enum = [5, 10], default = 5},
  {name = "seed", type = "integer", min = -1, max = 2147483647, default = -1},
]
pixels = {480p = {"16:9" = [864, 480]}}
price = {kind = "per_token", rates = [{usd_per_million = "7"}]}
[[offers]]
account = "ark"
upstream_model = "offered-1-260101"
price = {kind = "per_token", rates = [{usd_per_million = "1"}]}
[[offers]]
account = "novita"
upstream_model = "offered-1-260101"
"""
TOKENS = 864 * 480 * 121 // 1024  # of the video
HELD, CHEAP = 7 * TOKENS, TOKENS
CREATES = "/v1/generations"
BODY = {"model": "offered-1", "prompt": "a ship", "seed": 5}


@pytest.fixture
def two_accounts(upstream: Upstream, bucket: Any, tmp_path: Path, settings: Any) -> Upstream:
    """Return a scripted upstream that is both accounts, of a model that settles by usage: ark asks 1 USD, novita 7."""
    (tmp_path / "offered.toml").write_text(MODEL.replace("SETTLE", "usage"))
    settings.CATALOG_DIR = str(tmp_path)
    lead_to(upstream, settings)
    upstream.on_submit = lambda handler: ark_answers.created(f"cgt-20261129101500-{len(upstream.submits):05}")
    return upstream


@pytest.fixture
def quoted(two_accounts: Upstream, tmp_path: Path, settings: Any) -> Upstream:
    """Return the same upstream, where the model has a fixed price at each account."""
    folder = tmp_path / "quoted"
    folder.mkdir()
    (folder / "offered.toml").write_text(MODEL.replace("SETTLE", "quoted"))
    settings.CATALOG_DIR = str(folder)
    return two_accounts


def create(caller: Caller) -> Generation:
    answer = caller.http.post(CREATES, BODY, format="json")
    assert answer.status_code == 202, answer.content
    return Generation.objects.get(pk=answer.json()["id"])


def render(upstream: Upstream, tokens: int | None) -> None:
    """Let each task be finished from now on, with that usage."""
    usage = None if tokens is None else {"completion_tokens": tokens}
    shape = {"resolution": "480p", "ratio": "16:9", "duration": 5}
    upstream.on_poll = as_json(ark_answers.rendered(f"{upstream.url}/video.mp4", seed=5, usage=usage, **shape))
    upstream.on_video = 200, {"Content-Type": "video/mp4"}, mp4()


def refuse_first(upstream: Upstream) -> None:
    """Let the first account create nothing: the next attempt goes to the next account."""
    create_task = upstream.on_submit
    upstream.on_submit = lambda handler: (
        ark_answers.refusal(429, "ServerOverloaded") if len(upstream.submits) == 1 else create_task(handler)
    )


def check_books(caller: Caller, generation: Generation, charged: int) -> None:
    """Check that ledger, bill, usage and the generation itself say what was charged."""
    usd = f"0.{charged:06}"
    assert LedgerEntry.objects.get(kind="capture").amount_micro == charged
    assert reconcile.check(caller.tenant.pk) == []
    statement = monthly_statement.build(caller.tenant, timezone.now().date())
    assert (statement.total_micro, statement.held) == (charged, 0)
    assert caller.http.get("/v1/usage").json()["total"]["usd"] == usd
    row = caller.http.get(f"{CREATES}/{generation.pk}").json()
    assert row["price_usd"] == f"0.{HELD:06}"
    assert row.get("charged_usd", row["price_usd"]) == usd


@pytest.mark.parametrize(
    ("tokens", "charged"),
    [(40_000, 40_000), (TOKENS, CHEAP), (60_000, 60_000), (None, CHEAP)],
    ids=["fewer", "as quoted", "more", "not reported"],
)
def test_usage_is_charged_at_the_rate_of_the_account_that_made_the_video(
    alice: Caller, two_accounts: Upstream, tokens: int | None, charged: int
) -> None:
    g = create(alice)
    assert (g.price_micro, g.rate_micro) == (HELD, 7_000_000)
    render(two_accounts, tokens)
    g = take_steps_until(g, "succeeded")
    assert (g.account, g.rate_micro, g.offer_rate_micro, g.quote_micro) == ("ark", 7_000_000, 1_000_000, CHEAP)
    check_books(alice, g, charged)


def test_an_account_that_is_dearer_charges_its_own_rate_also_above_the_hold(
    alice: Caller, two_accounts: Upstream
) -> None:
    refuse_first(two_accounts)
    g = take_step(create(alice))
    assert (g.status, g.account, g.offer_rate_micro) == ("queued", "ark", 1_000_000)
    render(two_accounts, 60_000)
    g = take_steps_until(g, "succeeded")
    assert (g.account, g.offer_rate_micro, g.quote_micro) == ("novita", 7_000_000, HELD)
    check_books(alice, g, 420_000)


def test_an_attempt_at_a_cheaper_account_begins_from_the_rate_of_the_admission(
    alice: Caller, two_accounts: Upstream
) -> None:
    circuit_breaker.pause("ark", "it is away")
    create_task, two_accounts.on_submit = two_accounts.on_submit, ark_answers.refusal(429, "ServerOverloaded")
    g = take_step(create(alice))
    assert (g.account, g.offer_rate_micro) == ("novita", 7_000_000)
    circuit_breaker.resume("ark")
    two_accounts.on_submit = create_task
    render(two_accounts, 40_000)
    g = take_steps_until(g, "succeeded")
    assert (g.account, g.offer_rate_micro, g.quote_micro) == ("ark", 1_000_000, CHEAP)
    check_books(alice, g, 40_000)


def test_a_late_answer_of_the_first_account_is_charged_at_the_rate_of_that_account(
    alice: Caller, two_accounts: Upstream
) -> None:
    two_accounts.on_submit = ark_answers.refusal(500, "InternalServiceError")
    g = take_step(create(alice))
    assert (g.status, g.account) == ("in_doubt", "ark")
    late, attempt = Generation.objects.get(pk=g.pk), g.attempts.get()
    assert lifecycle.resubmit(g, "by hand")
    circuit_breaker.pause("ark", "it is away")
    g = take_step(g)
    assert (g.status, g.account, g.offer_rate_micro) == ("in_doubt", "novita", 7_000_000)
    assert lifecycle.mark_running(late, attempt, "cgt-20261129101500-00001", 0)
    render(two_accounts, 60_000)
    g = take_steps_until(g, "succeeded")
    assert (g.account, g.offer_rate_micro, g.quote_micro) == ("ark", 1_000_000, CHEAP)
    check_books(alice, g, 60_000)


@pytest.mark.parametrize("first_refuses", [False, True], ids=["ark", "novita"])
def test_a_fixed_price_is_that_of_the_account(alice: Caller, quoted: Upstream, first_refuses: bool) -> None:
    if first_refuses:
        refuse_first(quoted)
    g = create(alice)
    render(quoted, 1_000_000)
    g = take_steps_until(g, "succeeded")
    charged = HELD if first_refuses else CHEAP
    assert (g.rate_micro, g.charged_micro) == (None, None if first_refuses else CHEAP)
    check_books(alice, g, charged)
    row = alice.http.get(f"{CREATES}/{g.pk}").json()
    assert ("charged_usd" in row) == (not first_refuses)


def test_a_price_of_the_very_video_at_one_account_is_charged_there_whatever_is_reported(
    alice: Caller, two_accounts: Upstream, settings: Any
) -> None:
    settings.PRICES = '{"offered-1": {"accounts": {"ark": {"usd": {"480p": {"16:9": {"5": "0.01"}}}}}}}'
    g = create(alice)
    render(two_accounts, 1_000_000)
    g = take_steps_until(g, "succeeded")
    assert (g.rate_micro, g.offer_rate_micro, g.quote_micro) == (7_000_000, None, 10_000)
    check_books(alice, g, 10_000)


def test_a_price_that_rises_after_the_admission_is_not_charged(
    alice: Caller, two_accounts: Upstream, settings: Any
) -> None:
    g = create(alice)
    settings.PRICES = '{"offered-1": {"usd_per_million_tokens": "9"}}'
    render(two_accounts, 60_000)
    g = take_steps_until(g, "succeeded")
    assert (g.account, g.offer_rate_micro, g.quote_micro) == ("ark", 7_000_000, HELD)
    check_books(alice, g, 420_000)


def test_without_a_price_of_the_account_what_was_promised_counts(
    alice: Caller, two_accounts: Upstream, settings: Any
) -> None:
    g = create(alice)
    settings.PRICES = '{"offered-1": {"rates": []}}'
    render(two_accounts, 60_000)
    g = take_steps_until(g, "succeeded")
    assert (g.offer_rate_micro, g.quote_micro) == (None, None)
    check_books(alice, g, 420_000)


def test_a_test_generation_is_free_at_each_account(alice: Caller, two_accounts: Upstream, settings: Any) -> None:
    settings.SANDBOX_BASE_URL, settings.SANDBOX_API_KEY = two_accounts.url, "key-of-the-sandbox"
    tester = alice.with_key(test=True)
    g = create(tester)
    render(two_accounts, 1_000_000)
    g = take_steps_until(g, "succeeded")
    assert (g.account, g.price_micro, g.spent_micro) == ("sandbox", 0, 0)
    assert reconcile.check(alice.tenant.pk) == []


def test_a_failure_costs_nothing_wherever_it_went(alice: Caller, quoted: Upstream) -> None:
    g = take_steps_until(create(alice), "running")
    assert lifecycle.fail(g, "code", "Why.")
    assert alice.http.get(f"{CREATES}/{g.pk}").json()["charged_usd"] == "0.000000"
    assert monthly_statement.build(alice.tenant, timezone.now().date()).total_micro == 0


def test_the_panel_says_what_was_charged_and_held(alice: Caller, quoted: Upstream, admin_client: Client) -> None:
    g = create(alice)
    render(quoted, None)
    g = take_steps_until(g, "succeeded")
    page = admin_client.get(page_url(g)).content.decode()
    assert "Charged $0.049005, held $0.343035." in page
    assert "The upstream reported" not in page
    assert "the quote of the account that made the video" in page
