"""Tests of prices: the formula, or the table of PRICES. A promised price does not change."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from generations.catalog import prices, video_models
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
