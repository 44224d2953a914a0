"""The contents of a generation's page: result, timeline, request, images, attempts, ledger and deliveries."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.http import HttpRequest
from django.urls import reverse

from generations import deadlines
from generations.admin.destinations import host_of
from generations.bucket import signed_urls
from generations.bucket.errors import StorageError
from generations.bucket.signed_urls import Signer
from generations.catalog import charge_by_usage
from generations.models import Attempt, AttemptSearch, Delivery, Event, Generation, InputImage
from generations.ops import in_doubt
from tenants import amounts, masked_urls, times
from tenants.admin.ledger import format_amount
from tenants.db import clock
from tenants.models import LedgerEntry

log = structlog.stdlib.get_logger(__name__)

Status = Generation.Status
NONE = "–"  # a field that the model does not have
MAX_LISTED_DELIVERIES = 50  # the list of deliveries has all of them


@dataclass(frozen=True)
class TimelineEntry:
    """An event of the generation, with the time since the event before."""

    event: Event
    status: str
    since_previous: str


@dataclass(frozen=True)
class Image:
    """An input image as the page shows it."""

    title: str
    url: str  # empty if the image is not in the bucket
    description: str
    source: str  # the URL that the caller gave, shown as text and never as a link


def page_context(request: HttpRequest, generation: Generation) -> dict[str, Any]:
    """Return the variables of the page's template. Data that the user may not view is not queried."""
    user = request.user
    has_video = generation.has_video or generation.has_mismatched_file
    return {
        "generation": generation,
        "status": describe_status(generation),
        "in_doubt": in_doubt_facts(generation) if generation.status == Status.IN_DOUBT else None,
        "charge": describe_charge(generation),
        "account": describe_account(generation),
        "video": describe_video(generation),
        "no_value": NONE,
        "age": format_span(clock.now() - generation.created_at),
        "duration": format_span(generation.finished_at - generation.created_at) if generation.finished_at else "",
        "timeline": timeline(generation),
        "images": images(generation, whole_urls=user.has_perm("generations.change_generation")),
        "attempts": Attempt.objects.filter(generation=generation).order_by("number"),
        "searches": AttemptSearch.objects.filter(attempt__generation=generation).select_related("attempt"),
        "has_video": has_video,
        "poster_url": sign(Signer.poster_url, generation) if has_video else "",
        "video_page": reverse("admin:generations_generation_video", args=[generation.pk]),
        "entries": ledger_entries(generation) if user.has_perm("tenants.view_ledgerentry") else None,
        "deliveries": deliveries(generation) if user.has_perm("generations.view_delivery") else None,
    }


def in_doubt_facts(generation: Generation) -> dict[str, str]:
    """Return what an operator needs to know to resolve a generation in doubt."""
    sent_at, now = generation.submitted_at, clock.now()
    assert sent_at is not None
    named = in_doubt.find_named_task(generation)
    fails_at = deadlines.doubt_ends_at(generation)
    return {
        "In doubt since": f"{times.readable(sent_at, 'seconds')} UTC, sent {format_span(now - sent_at)} ago",
        "Fails by itself": f"{times.readable(fails_at, 'seconds')} UTC, in {format_span(fails_at - now)}",
        "USD at risk": amounts.format_usd(generation.price_micro),
        **({"Task in the answer": named} if named else {}),
        **({"Last search": last.describe()} if (last := in_doubt.find_last_search(generation)) else {}),
    }


def format_charge(generation: Generation) -> str:
    """Return what the generation has cost so far, in a few words for a list: what is charged, or still held.

    The price is held until the generation finishes. Only a live video is charged: other holds are released.
    """
    if generation.test:
        return f"charged {amounts.format_dollars(0)}, test mode"
    if generation.finished_at is None:
        return f"held {amounts.format_dollars(generation.price_micro)}"
    return f"charged {amounts.format_dollars(generation.spent_micro)}"


def describe_charge(generation: Generation) -> str:
    """Return the same as `format_charge` in sentences, with the price also where it was not charged."""
    held, spent = amounts.format_dollars(generation.price_micro), amounts.format_dollars(generation.spent_micro)
    if generation.test:
        return f"Charged {amounts.format_dollars(0)}: test mode. The price of a live generation is {held}."
    if generation.finished_at is None:
        return f"Held {held}, not yet charged."
    if generation.status != Status.SUCCEEDED:
        return f"Charged {spent}. {held} was held and released."
    if generation.charged_micro is None:
        return f"Charged {spent}."
    tokens = "no tokens" if generation.upstream_tokens is None else f"{generation.upstream_tokens} tokens"
    above = ": more than was held" if generation.charged_micro > generation.price_micro else ""
    charged = f"Charged {spent}, held {held}{above}."
    return charged if charge_by_usage.find_rate(generation) is None else f"{charged} The upstream reported {tokens}."


def format_account(generation: Generation) -> str:
    """Return the upstream account that the last attempt went to; a dash if nothing was sent yet."""
    return generation.account_name if generation.submitted_at else NONE


def describe_account(generation: Generation) -> str:
    """Return the same as `format_account` with the wire, for example "ark, over the wire ark"."""
    account = format_account(generation)
    return account if account == NONE else f"{account}, over the wire {generation.wire_name}"


def describe_video(generation: Generation) -> str:
    """Return the model and the properties of the requested video, with a dash for those that the model does not have.

    For example "seedance-v1-lite-i2v, 480p, 16:9, 5 s, camera fixed".
    """
    parts = [generation.model, generation.resolution or NONE, generation.aspect_ratio or NONE]
    parts += [f"{generation.duration} s", *(["camera fixed"] if generation.camera_fixed else [])]
    return ", ".join(parts)


def timeline(generation: Generation) -> list[TimelineEntry]:
    """Return the generation's events, oldest first, each with the time since the event before."""
    entries, previous = [], generation.created_at
    for event in generation.events.all():
        entries.append(TimelineEntry(event, format_status(event.status), f"+{format_span(event.at - previous)}"))
        previous = event.at
    return entries


def images(generation: Generation, *, whole_urls: bool) -> list[Image]:
    """Return the input images; an image that is given by URL may not have been fetched yet.

    A URL may hold a signature. Without `whole_urls` it is cut behind its host.
    """
    sources = [("First frame", generation.image, generation.image_url)]
    sources.append(("Last frame", generation.last_image, generation.last_image_url))
    show = str if whole_urls else masked_urls.mask_urls
    return [_image(title, image, show(url)) for title, image, url in sources if image or url]


def _image(title: str, image: InputImage | None, source: str) -> Image:
    if image is None:
        return Image(title, "", "Not fetched yet.", source)
    description = f"{image.width} × {image.height}, {image.format}, {image.size:,} bytes, SHA-256 {image.sha256}"
    return Image(title, "" if image.gone_at else sign(Signer.image_url, image), description, source)


def ledger_entries(generation: Generation) -> list[tuple[LedgerEntry, str]]:
    """Return the generation's ledger entries, oldest first, each with its amount in USD and the sign of its kind."""
    # Without adjustments, which have no generation, the query uses the index that allows one entry of each kind.
    rows = LedgerEntry.objects.filter(generation_id=generation.pk).exclude(kind=LedgerEntry.Kind.ADJUST)
    return [(entry, format_amount(entry)) for entry in rows.select_related("api_key").order_by("pk")]


def deliveries(generation: Generation) -> list[tuple[Delivery, str]]:
    """Return the generation's first webhook deliveries, each with the URL of its destination, cut behind the host."""
    rows = Delivery.objects.filter(generation=generation).select_related("endpoint").order_by("created_at")
    return [(delivery, host_of(delivery)) for delivery in rows[:MAX_LISTED_DELIVERIES]]


def sign(url_of: Callable[[Signer, Any], str], row: Any) -> str:
    """Return the signed URL that `url_of` makes for the row, or "" if no URL can be signed.

    The page must open without S3's credentials too: that is when operators need it most.
    """
    try:
        return url_of(signed_urls.signer(), row)
    except StorageError as error:
        log.warning("no URL can be signed", trouble=str(error))
        return ""


def describe_status(generation: Generation) -> str:
    """Return the status in sentence case, with the wait of a rendered video for a thread that copies it."""
    words, now = format_status(generation.status), clock.now()
    if generation.status == Status.COPYING and generation.due_at and generation.due_at <= now:
        words += f": has waited {format_span(now - generation.due_at)} for a free thread"
    return words


def format_status(status: str) -> str:
    """Return a status in sentence case, for example "In doubt"."""
    return status.replace("_", " ").capitalize()


def format_span(span: timedelta) -> str:
    """Return a span of time as text, right to about a hundredth: "2.0 s", "3 min 20 s", "5 h 10 min", "3 d 4 h"."""
    seconds = max(span.total_seconds(), 0.0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, small, small_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{whole} s"
