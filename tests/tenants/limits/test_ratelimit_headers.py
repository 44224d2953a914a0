"""The RateLimit headers follow draft-ietf-httpapi-ratelimit-headers-10."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tenants.limits import ratelimit_headers
from tenants.limits.windows import EPOCH, Kind, LimitUsage

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TODAY = NOW.replace(hour=0)


def usage(kind: Kind = Kind.PER_DAY, limit: int | None = 200, used: int = 183, **facts: Any) -> LimitUsage:
    """Return the usage of a tenant's limit of today, unless `facts` say otherwise."""
    span = {"starts_at": TODAY, "resets_at": TODAY + timedelta(days=1)}
    return LimitUsage(**{"kind": kind, "is_of_key": False, "limit": limit, "used": used, **span, **facts})


def test_the_fields_name_quota_window_remaining_amount_and_reset() -> None:
    assert ratelimit_headers.render([usage()], NOW) == {
        "RateLimit-Policy": '"per_day";q=200;w=86400',
        "RateLimit": '"per_day";r=17;t=43200',
    }


def test_money_and_concurrent_requests_name_their_unit() -> None:
    money = ratelimit_headers.render([usage(Kind.USD_PER_MONTH, 5_000_000, 1)], NOW)
    assert money["RateLimit-Policy"] == '"usd_per_month";q=5000000;qu="micro-usd";w=86400'
    in_flight = ratelimit_headers.render(
        [usage(Kind.IN_FLIGHT, 4, 1, starts_at=EPOCH, resets_at=None, is_of_key=True)], NOW
    )
    assert in_flight == {
        "RateLimit-Policy": '"in_flight_of_key";q=4;qu="concurrent-requests"',
        "RateLimit": '"in_flight_of_key";r=3',
    }


def test_the_tightest_limit_is_rendered() -> None:
    loose, tight = usage(limit=200, used=1), usage(Kind.PER_MONTH, limit=10, used=9)
    assert ratelimit_headers.tightest([loose, tight, usage(limit=None)]) == tight
    full, zero = usage(limit=5, used=9), usage(Kind.PER_MONTH, limit=0, used=0)
    assert ratelimit_headers.tightest([loose, full]) == full
    assert ratelimit_headers.render([full], NOW)["RateLimit"].startswith('"per_day";r=0')
    assert ratelimit_headers.tightest([loose, zero]) == zero


def test_without_a_limit_there_are_no_headers() -> None:
    assert ratelimit_headers.render([usage(limit=None)], NOW) == {}
