"""The RateLimit headers, as draft-ietf-httpapi-ratelimit-headers-10 writes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tenants.limits import ratelimit_headers
from tenants.limits.windows import EPOCH, Kind, LimitUsage

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TODAY = NOW.replace(hour=0)


def standing(kind: Kind = Kind.PER_DAY, limit: int | None = 200, used: int = 183, **facts: Any) -> LimitUsage:
    span = {"starts_at": TODAY, "resets_at": TODAY + timedelta(days=1)}
    return LimitUsage(**{"kind": kind, "is_of_key": False, "limit": limit, "used": used, **span, **facts})


def test_it_says_quota_window_what_is_left_and_when_it_resets() -> None:
    assert ratelimit_headers.render([standing()], NOW) == {
        "RateLimit-Policy": '"per_day";q=200;w=86400',
        "RateLimit": '"per_day";r=17;t=43200',
    }


def test_money_and_places_in_flight_name_their_unit() -> None:
    money = ratelimit_headers.render([standing(Kind.USD_PER_MONTH, 5_000_000, 1)], NOW)
    assert money["RateLimit-Policy"] == '"usd_per_month";q=5000000;qu="micro-usd";w=86400'
    places = ratelimit_headers.render(
        [standing(Kind.IN_FLIGHT, 4, 1, starts_at=EPOCH, resets_at=None, is_of_key=True)], NOW
    )
    assert places == {
        "RateLimit-Policy": '"in_flight_of_key";q=4;qu="concurrent-requests"',
        "RateLimit": '"in_flight_of_key";r=3',
    }


def test_the_tightest_one_is_told() -> None:
    loose, tight = standing(limit=200, used=1), standing(Kind.PER_MONTH, limit=10, used=9)
    assert ratelimit_headers.tightest([loose, tight, standing(limit=None)]) == tight
    full, none = standing(limit=5, used=9), standing(Kind.PER_MONTH, limit=0, used=0)
    assert ratelimit_headers.tightest([loose, full]) == full
    assert ratelimit_headers.render([full], NOW)["RateLimit"].startswith('"per_day";r=0')
    assert ratelimit_headers.tightest([loose, none]) == none


def test_without_a_limit_there_is_nothing_to_say() -> None:
    assert ratelimit_headers.render([standing(limit=None)], NOW) == {}
