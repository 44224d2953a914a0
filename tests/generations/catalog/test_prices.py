"""Tests of prices: the formula, or the table of PRICES. A promised price does not change."""

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from generations.catalog import prices, video_models
from generations.catalog.offers import Offer
from generations.catalog.video_models import VideoModel
from generations.errors import PriceUnknown
from generations.models import Generation
from tests.support.factories import Caller

MODEL = video_models.default()


def price(resolution: str = "480p", ratio: str = "16:9", duration: int = 5) -> int:
    return prices.price_micro(MODEL, {"resolution": resolution, "aspect_ratio": ratio, "duration": duration})


@pytest.mark.parametrize(
    ("resolution", "duration", "usd"),
    [
        ("480p", 5, 0.088),
        ("480p", 10, 0.176),
        ("720p", 5, 0.187),
        ("720p", 10, 0.372),
        ("1080p", 5, 0.444),
        ("1080p", 10, 0.885),
    ],
)
def test_without_a_table_the_price_is_the_model_makers_formula(resolution: str, duration: int, usd: float) -> None:
    assert price(resolution, duration=duration) / 1e6 == pytest.approx(usd, abs=0.0006)


def test_a_table_overrides_single_prices_and_the_rate(settings: Any) -> None:
    settings.PRICES = """{"seedance-v1-lite-i2v": {"usd_per_million_tokens": "3.6",
        "usd": {"1080p": {"16:9": {"5": "0.40"}}}}}"""
    assert price("1080p") == 400_000
    assert price() == 2 * 88_209


def test_a_price_change_applies_to_new_generations_only(
    alice: Caller, bucket: Any, body: dict[str, Any], settings: Any
) -> None:
    old = alice.http.post("/v1/generations", body, format="json").json()["id"]
    settings.PRICES = '{"seedance-v1-lite-i2v": {"usd": {"480p": {"16:9": {"5": "1"}}}}}'
    new = alice.http.post("/v1/generations", body, format="json").json()["id"]
    stored = {str(row.pk): row.price_micro for row in Generation.objects.all()}
    assert stored == {old: 88_209, new: 1_000_000}


@pytest.mark.parametrize(
    "table",
    [
        "x",
        "[]",
        "[" * 10_000,
        '{"seedance-v2": {}}',
        '{"seedance-v1-lite-i2v": {"eur": {}}}',
        '{"seedance-v1-lite-i2v": {"usd_per_million_tokens": 1.8}}',
        '{"seedance-v1-lite-i2v": {"usd_per_million_tokens": "-1"}}',
        '{"seedance-v1-lite-i2v": {"usd_per_million_tokens": "Infinity"}}',
        '{"seedance-v1-lite-i2v": {"usd_per_million_tokens": "1e999999"}}',
        '{"seedance-v1-lite-i2v": {"usd_per_million_tokens": "2.00000000000000000000000000001"}}',
        '{"seedance-v1-lite-i2v": {"usd": 5}}',
        '{"seedance-v1-lite-i2v": {"usd": {"480p": {"5": "1"}}}}',
        '{"seedance-v1-lite-i2v": {"usd": {"480p": {"16:9": {"7": "1"}}}}}',
        '{"seedance-v1-lite-i2v": {"usd": {"480p": {"16:9": {"5": "0.0000001"}}}}}',
    ],
)
def test_an_invalid_table_stops_the_start_with_a_message(settings: Any, table: str) -> None:
    settings.PRICES = table
    with pytest.raises(ImproperlyConfigured, match="PRICES"):
        price()


OFFERED = """
id = "offered-1"
wire = "ark"
task = "t2v"
fps = 24
sound = "flag:audio"
settle = "usage"
fields = [
  {name = "prompt", type = "string", presence = "required"},
  {name = "resolution", type = "enum", enum = ["480p", "720p"], default = "720p", priced = true},
  {name = "aspect_ratio", type = "enum", enum = ["1:1", "adaptive"], default = "adaptive", priced = true},
  {name = "duration", type = "integer", min = 4, max = 6, default = 5, priced = true},
  {name = "audio", type = "boolean", default = true, priced = true},
]
pixels = {480p = {"1:1" = [640, 640]}, 720p = {"1:1" = [960, 960]}}
[price]
kind = "per_token"
rates = [{when = {audio = true}, usd_per_million = "2"}, {usd_per_million = "1"}]
[[offers]]
account = "ark"
upstream_model = "offered-1-260101"
[[offers]]
account = "novita"
upstream_model = "offered-1-260101"
[offers.price]
kind = "per_token"
rates = [{when = {resolution = "720p"}, usd_per_million = "1.5"}, {usd_per_million = "3"}]
"""
TOKENS = {"480p": 640 * 640 * 121 // 1024, "720p": 960 * 960 * 121 // 1024}  # of five seconds


@pytest.fixture
def offered(tmp_path: Path, settings: Any) -> VideoModel:
    """Return a model with two accounts, each of which is the dearer one for some requests."""
    (tmp_path / "offered.toml").write_text(OFFERED)
    settings.CATALOG_DIR = str(tmp_path)
    return video_models.models()["offered-1"]


def values_of(resolution: str, *, audio: bool) -> dict[str, Any]:
    return {"prompt": "a", "resolution": resolution, "aspect_ratio": "1:1", "duration": 5, "audio": audio}


@pytest.mark.parametrize(
    ("resolution", "audio", "ark", "novita"),
    [
        ("480p", True, 2_000_000, 3_000_000),
        ("480p", False, 1_000_000, 3_000_000),
        ("720p", True, 2_000_000, 1_500_000),
        ("720p", False, 1_000_000, 1_500_000),
    ],
)
def test_the_hold_is_the_dearest_and_each_account_has_its_own_price(
    offered: VideoModel, resolution: str, audio: bool, ark: int, novita: int
) -> None:
    values, tokens = values_of(resolution, audio=audio), TOKENS[resolution]
    assert [prices.offer_rate_micro(offered, values, offer) for offer in offered.offers] == [ark, novita]
    quotes = [prices.offer_quote_micro(offered, values, offer) for offer in offered.offers]
    assert quotes == [tokens * ark // 10**6, tokens * novita // 10**6]
    dearest = max(ark, novita)
    expected = {"price_micro": tokens * dearest // 10**6, "rate_micro": dearest}
    assert prices.columns(offered, values, test=False) == expected
    shown = next(rate for rate in prices.of(offered).rates if all(values[n] == v for n, v in rate.when.items()))
    assert shown.micro == dearest


def test_an_adaptive_ratio_is_quoted_at_its_largest(offered: VideoModel) -> None:
    values = values_of("480p", audio=True)
    for offer in offered.offers:
        adaptive = prices.offer_quote_micro(offered, {**values, "aspect_ratio": "adaptive"}, offer)
        assert adaptive == prices.offer_quote_micro(offered, values, offer)


def test_the_sandbox_has_no_price(offered: VideoModel) -> None:
    sandbox, values = Offer("sandbox", "ark", "offered-1-260101"), values_of("480p", audio=True)
    assert prices.offer_rate_micro(offered, values, sandbox) is None
    assert prices.offer_quote_micro(offered, values, sandbox) is None
    assert prices.columns(offered, values, test=True) == {"price_micro": 0, "rate_micro": 0}


def test_a_table_replaces_the_rates_of_all_accounts_but_those_that_it_names(offered: VideoModel, settings: Any) -> None:
    values = values_of("480p", audio=True)

    def rates() -> list[int | None]:
        return [prices.offer_rate_micro(offered, values, offer) for offer in offered.offers]

    settings.PRICES = '{"offered-1": {"usd_per_million_tokens": "5"}}'
    assert rates() == [5_000_000, 5_000_000]
    assert [(rate.when, rate.micro) for rate in prices.of(offered).rates] == [({}, 5_000_000)]
    settings.PRICES = """{"offered-1": {"usd_per_million_tokens": "5",
        "accounts": {"novita": {"rates": [{"usd_per_million": "7"}]}}}}"""
    assert rates() == [5_000_000, 7_000_000]
    assert prices.rate_micro(offered, values) == 7_000_000
    settings.PRICES = '{"offered-1": {"accounts": {"novita": {"usd_per_million_tokens": "0.5"}}}}'
    assert rates() == [2_000_000, 500_000]


def test_a_video_with_a_price_of_its_own_at_one_account_alone(offered: VideoModel, settings: Any) -> None:
    settings.PRICES = '{"offered-1": {"accounts": {"novita": {"usd": {"480p": {"1:1": {"5": "0.01"}}}}}}}'
    values, [ark, novita] = values_of("480p", audio=True), offered.offers
    assert [prices.offer_rate_micro(offered, values, offer) for offer in (ark, novita)] == [2_000_000, None]
    assert prices.offer_quote_micro(offered, values, novita) == 10_000
    assert prices.columns(offered, values, test=False) == {"price_micro": 2 * TOKENS["480p"], "rate_micro": 2_000_000}
    assert prices.of(offered).cells == {("480p", "1:1", 5): 2 * TOKENS["480p"]}


@pytest.mark.parametrize(
    ("accounts", "message"),
    [
        ('{"sandbox": {}}', "offered-1 is not offered by sandbox"),
        ('{"novita": {"rates": [{"usd": "1"}]}}', "usd_per_million"),
        ('{"novita": {"accounts": {}}}', "accounts"),
    ],
)
def test_a_wrong_entry_of_an_account_stops_the_start(
    offered: VideoModel, settings: Any, accounts: str, message: str
) -> None:
    settings.PRICES = f'{{"offered-1": {{"accounts": {accounts}}}}}'
    with pytest.raises(ImproperlyConfigured, match=message):
        prices.of(offered)


def test_without_any_rate_the_price_is_unknown_at_each_account(offered: VideoModel, settings: Any) -> None:
    settings.PRICES = '{"offered-1": {"rates": []}}'
    values = values_of("480p", audio=True)
    assert prices.is_unknown(offered)
    assert [prices.offer_quote_micro(offered, values, offer) for offer in offered.offers] == [None, None]
    assert [prices.offer_rate_micro(offered, values, offer) for offer in offered.offers] == [None, None]
    with pytest.raises(PriceUnknown):
        prices.columns(offered, values, test=False)
