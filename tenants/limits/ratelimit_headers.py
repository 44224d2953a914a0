"""The RateLimit and RateLimit-Policy header fields for the limit that is tightest.

Source: draft-ietf-httpapi-ratelimit-headers-10. `q` is the quota, `w` its window in seconds, `qu` the unit where it is
not requests; `r` is what remains, `t` the seconds until it resets.
"""

from collections.abc import Sequence
from datetime import datetime

from tenants.limits.windows import Kind, Standing

UNITS = {
    Kind.IN_FLIGHT: "concurrent-requests",
    Kind.SECONDS_PER_MONTH: "video-seconds",
    Kind.USD_PER_MONTH: "micro-usd",
}


def headers(standings: Sequence[Standing], now: datetime) -> dict[str, str]:
    """Empty where there is no limit."""
    one = tightest(standings)
    if one is None or one.limit is None:
        return {}
    name = f'"{one.kind.value}{"_of_key" if one.of_key else ""}"'
    unit = f';qu="{UNITS[one.kind]}"' if one.kind in UNITS else ""
    length = f";w={round((one.resets_at - one.starts_at).total_seconds())}" if one.resets_at else ""
    left = f";t={max(0, round((one.resets_at - now).total_seconds()))}" if one.resets_at else ""
    return {"RateLimit-Policy": f"{name};q={one.limit}{unit}{length}", "RateLimit": f"{name};r={one.remaining}{left}"}


def tightest(standings: Sequence[Standing]) -> Standing | None:
    """Of which the smallest share remains; among equals, the one that takes longest to reset."""
    bounded = [one for one in standings if one.limit is not None]
    return min(bounded, key=_room, default=None)


def _room(one: Standing) -> tuple[float, float]:
    share = (one.remaining or 0) / one.limit if one.limit else 0.0
    return share, -one.resets_at.timestamp() if one.resets_at else 0.0
