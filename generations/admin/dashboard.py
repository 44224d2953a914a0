"""The panel's first page: whether the service works, what waits for an operator, and what it costs.

The page takes at most about thirty queries, whatever the number of generations: generations in progress, the hourly
statistics, the sums of usage, and what happened since.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from generations.admin import spending, tiles
from generations.admin.tile import list_url
from generations.reports import hourly_statistics
from generations.reports.failures import count_by_code
from generations.reports.hourly_statistics import Counts, Hour
from tenants.admin import periods
from tenants.admin.charts import Chart
from tenants.admin.tenants import url_by_spend
from tenants.db import clock

admin.site.index_template = "generations/dashboard.html"

HOUR, DAY, MONTH = timedelta(hours=1), timedelta(days=1), timedelta(days=30)
MAX_CHART_HOURS = 48  # a longer period is drawn by days
MIN_BARS = 6  # fewer would be as wide as the chart
COLOURS = {"accepted": "#3b82f6", "succeeded": "#16a34a", "failed": "#dc2626", "cancelled": "#9ca3af"}
COLOURS |= {"p50": "#3b82f6", "p95": "#ea580c"}
SHARES = {"p50": 0.5, "p95": 0.95}  # percentiles of the time to video
SERIES_NAMES = {"p50": "Median", "p95": "95th percentile"}


def add_context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the dashboard's variables to the context of the index page; each role sees its part.

    unfold calls this function by its setting DASHBOARD_CALLBACK.
    """
    now = clock.now()
    context.update(title="Dashboard", as_of=now)
    if request.user.has_perm("generations.view_generation"):
        hours, shown = hourly_statistics.read_hours(now - MONTH, now), tiles.read(now)
        period = periods.chosen(request)
        context.update(verdict=tiles.verdict(shown), tiles=shown, periods=counts_by_period(hours, now))
        context.update(
            failures=failures(now),
            period=period,
            period_names=[*periods.PERIODS],
            charts=charts(hours, periods.PERIODS[period]),
        )
    if request.user.has_perm("tenants.view_tenant"):
        context.update(spending=spending.read(now), tenants_url=url_by_spend())
    return context


def failures(now: datetime) -> list[tuple[str, int, str]]:
    """Return the error codes of the last 24 hours, each with its number and the address of the list of its rows."""
    counted = count_by_code(now - DAY)
    return [(code, count, list_url(error_code__exact=code, within="day")) for code, count in counted]


def counts_by_period(hours: Sequence[Hour], now: datetime) -> list[tuple[str, Counts]]:
    """Return the numbers of accepted and finished generations in the last hour, day and month."""
    last_hour = hourly_statistics.total(
        counts for (_, test), counts in hourly_statistics.count_hours(now - HOUR, now).items() if not test
    )
    last_day = hourly_statistics.total(hour.counts for hour in hours if hour.at > now - DAY - HOUR)
    return [
        ("Last hour", last_hour),
        ("Last 24 hours", last_day),
        ("Last 30 days", hourly_statistics.total(hour.counts for hour in hours)),
    ]


def charts(hours: Sequence[Hour], period: timedelta) -> list[Chart]:
    """Return the charts of what was accepted, of what finished, and of how long videos took, in the last `period`.

    A bar is an hour or a day. The charts begin with the first bar that has anything to show.
    """
    is_hourly = period <= MAX_CHART_HOURS * HOUR
    recent = hours[-(period // HOUR) :]
    bars = {hour.at: hour.counts for hour in recent} if is_hourly else hourly_statistics.group_by_day(recent)
    bars = _without_empty_start(bars)
    labels, unit = [f"{at:%d %H:00}" if is_hourly else f"{at:%m-%d}" for at in bars], "hour" if is_hourly else "day"
    series = {name: [getattr(counts, name) for counts in bars.values()] for name in COLOURS if name not in SHARES}
    durations = {
        name: [_round(counts.duration_percentile(share)) for counts in bars.values()] for name, share in SHARES.items()
    }
    accepted = {"accepted": series.pop("accepted")}
    return [
        Chart("accepted", f"Accepted per {unit} (UTC)", "bar", labels, _coloured(accepted)),
        Chart("finished", f"Finished per {unit} (UTC)", "bar", labels, _coloured(series), stacked=True),
        Chart("durations", f"Seconds from accept to video, per {unit}", "line", labels, _coloured(durations)),
    ]


def _without_empty_start(bars: dict[datetime, Counts]) -> dict[datetime, Counts]:
    """Return the bars from the first one that is not empty; MIN_BARS at least."""
    first = next((place for place, counts in enumerate(bars.values()) if counts != Counts()), len(bars))
    return dict(list(bars.items())[min(first, len(bars) - MIN_BARS) :])


def _coloured(series: Mapping[str, Sequence[float | None]]) -> dict[str, tuple[str, Sequence[float | None]]]:
    return {SERIES_NAMES.get(key, key.capitalize()): (COLOURS[key], values) for key, values in series.items()}


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
