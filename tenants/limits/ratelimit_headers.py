"""Renders the RateLimit and RateLimit-Policy header fields for the tightest limit.

Source: draft-ietf-httpapi-ratelimit-headers-10. `q` is the quota, `w` the window in seconds, `qu` the unit if other
than requests. `r` is the remaining quota, `t` the seconds until the window resets.
"""

from collections.abc import Sequence
from datetime import datetime

from tenants.limits.windows import Kind, LimitUsage

UNITS = {
    Kind.IN_FLIGHT: "concurrent-requests",
    Kind.SECONDS_PER_MONTH: "video-seconds",
    Kind.USD_PER_MONTH: "micro-usd",
}


def render(usages: Sequence[LimitUsage], now: datetime) -> dict[str, str]:
    """Return the header fields of the tightest limit; an empty dictionary without any limit."""
    usage = tightest(usages)
    if usage is None or usage.limit is None:
        return {}
    name = f'"{usage.kind.value}{"_of_key" if usage.is_of_key else ""}"'
    unit = f';qu="{UNITS[usage.kind]}"' if usage.kind in UNITS else ""
    length = f";w={round((usage.resets_at - usage.starts_at).total_seconds())}" if usage.resets_at else ""
    reset = f";t={max(0, round((usage.resets_at - now).total_seconds()))}" if usage.resets_at else ""
    return {
        "RateLimit-Policy": f"{name};q={usage.limit}{unit}{length}",
        "RateLimit": f"{name};r={usage.remaining}{reset}",
    }


def tightest(usages: Sequence[LimitUsage]) -> LimitUsage | None:
    """Return the limit of which the smallest share remains; among equals, the one that takes longest to reset.

    Return None without any limit.
    """
    limited = [usage for usage in usages if usage.limit is not None]
    return min(limited, key=_remaining_share, default=None)


def _remaining_share(usage: LimitUsage) -> tuple[float, float]:
    """Return the share of the limit that remains, and a number that is smaller the later the limit resets."""
    share = (usage.remaining or 0) / usage.limit if usage.limit else 0.0
    return share, -usage.resets_at.timestamp() if usage.resets_at else 0.0
