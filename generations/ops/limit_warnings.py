"""Warn that a tenant or a key has used a share of a limit: 50, 80 and 100 % unless LIMIT_THRESHOLDS says otherwise.

A worker run compares the counters of the present windows with the limits. The warning, the webhook deliveries of its
event and its e-mail are written in one transaction, so a crash loses none of them, and each share is warned of once in
a window. Limits of what is in flight and of requests a minute have no warning: they are full many times a day.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import BigIntegerField, F, Q
from django.db.models.functions import Cast

from generations.models import LimitWarning
from generations.telemetry import metrics
from generations.webhooks import outbox
from tenants import times
from tenants.db import clock
from tenants.db.engine import engine
from tenants.limits import windows
from tenants.limits.windows import Kind
from tenants.models import Window

LOCK = "limit warnings"  # of all writers, so that no two warn of the same
# How long before now a window of each kind may have begun; a day more than the longest in any time zone.
SPANS = {Kind.PER_DAY: timedelta(days=2)}
SPANS |= dict.fromkeys((Kind.PER_MONTH, Kind.SECONDS_PER_MONTH, Kind.USD_PER_MONTH), timedelta(days=32))

log = structlog.stdlib.get_logger(__name__)


def write() -> int:
    """Write the warnings that are due. Return their number."""
    if not (settings.LIMIT_THRESHOLDS and _find_new()):
        return 0
    with transaction.atomic():
        engine.lock(LOCK, shared=False)
        new = _find_new()  # another worker may have written them by now
        LimitWarning.objects.bulk_create(new)
        highest = _highest(new)
        for warning in new:
            _publish(warning, has_mail=warning in highest)
    return len(new)


def _find_new() -> list[LimitWarning]:
    """Return the warnings that are due and not written."""
    now = clock.now()
    known = set(map(_name, LimitWarning.objects.filter(ends_at__gt=now)))
    due = (warning for window in _near_limits(now) for warning in _warnings_of(window, now))
    return [warning for warning in due if _name(warning) not in known]


def _near_limits(now: datetime) -> Iterator[Window]:
    """Yield the present windows whose use has reached the lowest threshold."""
    lowest = min(settings.LIMIT_THRESHOLDS)
    for kind, span in SPANS.items():
        field, recent = windows.limit_field(kind), Window.objects.filter(kind=kind, starts_at__gte=now - span)
        for holder, of_holder in (("tenant", Q(api_key=None)), ("api_key", Q(api_key__revoked_at=None))):
            limit = f"{holder}__{field}"
            share = Cast(F(limit), BigIntegerField()) * lowest / 100  # an integer of 32 bits would overflow
            reached = Q(**{f"{limit}__gt": 0}) & Q(used__gte=share)
            for window in recent.filter(of_holder, reached).select_related("tenant", "api_key"):
                ends_at = windows.end(kind, window.starts_at, window.tenant.zone)
                if ends_at and ends_at > now and window.starts_at == windows.start(kind, now, window.tenant.zone):
                    yield window


def _warnings_of(window: Window, now: datetime) -> Iterator[LimitWarning]:
    """Yield a warning for each threshold that the window's use has reached."""
    kind, limit = Kind(window.kind), windows.limit(window.api_key or window.tenant, Kind(window.kind))
    ends_at = windows.end(kind, window.starts_at, window.tenant.zone)
    for percent in settings.LIMIT_THRESHOLDS:
        if limit and ends_at and window.used * 100 >= limit * percent:
            yield LimitWarning(
                tenant=window.tenant,
                api_key=window.api_key,
                kind=window.kind,
                starts_at=window.starts_at,
                ends_at=ends_at,
                percent=percent,
                used=window.used,
                limit=limit,
                at=now,
            )


def _name(warning: LimitWarning) -> tuple[Any, ...]:
    return warning.tenant_id, warning.api_key_id, warning.kind, warning.starts_at, warning.percent


def _highest(warnings: list[LimitWarning]) -> list[LimitWarning]:
    """Return the highest of the warnings of each window: a use that jumped from 40 to 100 % is one e-mail."""
    by_window: defaultdict[tuple[Any, ...], list[LimitWarning]] = defaultdict(list)
    for warning in warnings:
        by_window[_name(warning)[:-1]].append(warning)
    return [max(group, key=lambda warning: warning.percent) for group in by_window.values()]


def _publish(warning: LimitWarning, *, has_mail: bool) -> None:
    """Send the warning to the tenant's webhooks, and to operators: by the log, the metric, and an e-mail if it has one.

    Call this function in the transaction that writes the warning.
    """
    is_test = bool(warning.api_key and warning.api_key.test)
    endpoints = outbox.subscribed_endpoints(warning.tenant_id, is_test, outbox.LIMIT)
    outbox.publish_to(endpoints, outbox.LIMIT, render(warning))
    if settings.LIMIT_WARNING_EMAILS and has_mail:
        LimitWarning.objects.filter(pk=warning.pk).update(mail_due_at=clock.now())
    facts = {"tenant": warning.tenant_id, "key": warning.api_key.prefix if warning.api_key else None}
    facts |= {"limit": warning.kind, "percent": warning.percent, "used": warning.used}
    transaction.on_commit(lambda: log.warning("a limit is nearly used up", **facts))
    transaction.on_commit(metrics.LIMIT_WARNINGS.labels(warning.kind, str(warning.percent)).inc)


def render(warning: LimitWarning) -> dict[str, Any]:
    """Return the `data` of the event `limit.threshold`, with the names that `GET /v1/limits` has."""
    kind = Kind(warning.kind)
    return {
        "name": warning.kind,
        "scope": "key" if warning.api_key else "tenant",
        "key": warning.api_key.prefix if warning.api_key else None,
        "percent": warning.percent,
        "limit": windows.format_amount(kind, warning.limit),
        "used": windows.format_amount(kind, warning.used),
        "resets_at": times.rfc3339(warning.ends_at, "seconds"),
    }
