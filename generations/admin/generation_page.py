"""A generation's life as its page tells it: what it looks like, every event with how long it took, money, messages."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from generations import lifecycle
from generations.admin import action_pages
from generations.bucket import links
from generations.errors import StorageError
from generations.models import Attempt, Delivery, Event, Generation, InputImage
from tenants import amounts, times
from tenants.models import LedgerEntry

log = structlog.stdlib.get_logger(__name__)

MOST_DELIVERIES = 50  # their list has them all


@dataclass(frozen=True)
class Moment:
    event: Event
    after: str  # how long after the one before


@dataclass(frozen=True)
class Picture:
    title: str
    url: str  # empty where its bytes are not in the bucket
    facts: str
    source: str  # the URL that its caller gave: text, and nothing to click on


def told(request: HttpRequest, generation: Generation) -> dict[str, Any]:
    """Everything that its template shows; what the user may not see is not asked for."""
    user = request.user
    return {
        "generation": generation,
        "doubt": doubt(generation) if generation.status == Generation.Status.IN_DOUBT else None,
        "price": amounts.format_usd(generation.price_micro),
        "age": span(timezone.now() - generation.created_at),
        "took": span(generation.finished_at - generation.created_at) if generation.finished_at else "",
        "moments": moments(generation),
        "pictures": pictures(generation),
        "attempts": Attempt.objects.filter(generation=generation).order_by("number"),
        "has_video": links.has_video(generation),
        "poster_url": signed(links.poster_url, generation) if links.has_video(generation) else "",
        "video_page": reverse("admin:generations_generation_video", args=[generation.pk]),
        "entries": ledger(generation) if user.has_perm("tenants.view_ledgerentry") else None,
        "deliveries": deliveries(generation) if user.has_perm("generations.view_delivery") else None,
        "acts": action_pages.possible(generation),
    }


def doubt(generation: Generation) -> dict[str, str]:
    """What ops need to resolve it."""
    sent, now = generation.submitted_at, timezone.now()
    assert sent is not None
    ends = sent + lifecycle.FAIL_IN_DOUBT_AFTER
    return {
        "In doubt since": f"{times.readable(sent, 'seconds')} UTC, when it was sent: {span(now - sent)} ago",
        "Fails by itself": f"{times.readable(ends, 'seconds')} UTC, in {span(ends - now)}",
        "USD at risk": amounts.format_usd(generation.price_micro),
    }


def moments(generation: Generation) -> list[Moment]:
    found, before = [], generation.created_at
    for event in generation.events.all():
        found.append(Moment(event, f"+{span(event.at - before)}"))
        before = event.at
    return found


def pictures(generation: Generation) -> list[Picture]:
    given = [("First frame", generation.image, generation.image_url)]
    given.append(("Last frame", generation.last_image, generation.last_image_url))
    return [_picture(title, image, url) for title, image, url in given if image or url]


def _picture(title: str, image: InputImage | None, url: str) -> Picture:
    if image is None:
        return Picture(title, "", "It was not read yet.", url)
    facts = f"{image.width} × {image.height}, {image.format}, {image.size:,} bytes, SHA-256 {image.sha256}"
    return Picture(title, "" if image.gone_at else signed(links.image_url, image), facts, url)


def ledger(generation: Generation) -> list[tuple[LedgerEntry, str]]:
    # Not the adjustments, which are of no generation: so it is found by the index that keeps each kind once.
    rows = LedgerEntry.objects.filter(generation_id=generation.pk).exclude(kind=LedgerEntry.Kind.ADJUST)
    return [(entry, amounts.format_usd(entry.amount_micro)) for entry in rows.select_related("api_key").order_by("pk")]


def deliveries(generation: Generation) -> Any:
    rows = Delivery.objects.filter(generation=generation).select_related("endpoint")
    return rows.order_by("created_at")[:MOST_DELIVERIES]


def signed(url: Callable[[Any], str], row: Any) -> str:
    """Its URL; none where S3's keys are lost, which is when ops need the page most."""
    try:
        return url(row)
    except StorageError as trouble:
        log.warning("no URL can be signed", trouble=str(trouble))
        return ""


def span(time: timedelta) -> str:
    """2 s, 3 min 20 s, 5 h 10 min, 3 d 4 h: to about a hundredth."""
    seconds = max(time.total_seconds(), 0.0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, small, small_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{whole} s"
