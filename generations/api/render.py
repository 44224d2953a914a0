"""A generation as the body of an answer under /v1/. Signed URLs are fresh at each read."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse

from generations.bucket import signed_urls
from generations.bucket.signed_urls import Signer
from generations.catalog import eta
from generations.models import Generation, InputImage
from tenants import amounts, times
from tenants.api.base import respond
from tenants.db import clock

SAME_NAME = (
    *("status", "progress_percent", "model", "prompt", "resolution", "aspect_ratio", "duration", "camera_fixed"),
    *("seed", "seed_source", "external_id", "metadata", "webhook_url", "test"),
)


def answer(generation: Generation, *, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    """Return the answer with one generation, with `Retry-After` until the generation ends."""
    [body] = as_json(generation)
    return respond(body, status=status, headers={**(headers or {}), **retry_after(generation)})


def as_created(generation: Generation) -> dict[str, Any]:
    """Return the body of the answer to the create, which is the same whenever the create is repeated."""
    return _as_json(generation, generation.first_eta, _signer(generation))


def retry_after(generation: Generation) -> dict[str, str]:
    """Return the `Retry-After` header, in seconds; no header for a generation that has ended."""
    if generation.finished_at:
        return {}
    age = (clock.now() - generation.created_at).total_seconds()
    return {"Retry-After": str(eta.retry_after(eta.remaining(generation), age))}


def as_json(*generations: Generation) -> list[dict[str, Any]]:
    """Return each generation as the body of an answer. Raise CannotSign."""
    signer = _signer(*generations)
    return [_as_json(generation, eta.remaining(generation), signer) for generation in generations]


def _signer(*generations: Generation) -> Signer | None:
    """Return the signer of all URLs in an answer; None if no generation has a video."""
    return signed_urls.signer() if any(generation.has_video for generation in generations) else None


def _as_json(generation: Generation, estimate: int | None, signer: Signer | None) -> dict[str, Any]:
    """Return a generation, with the estimated seconds until it ends, as the body of an answer."""
    video = signer.video_url(generation) if signer and generation.has_video else None
    poster = signer.poster_url(generation) if signer and generation.has_video else None
    return {
        "id": str(generation.pk),
        **generation.parameters,
        **{name: getattr(generation, name) for name in SAME_NAME},
        "image": _image(generation.image, generation.image_url),
        "last_image": _image(generation.last_image, generation.last_image_url),
        "rerun_of": str(generation.rerun_of) if generation.rerun_of else None,
        "price_usd": amounts.format_usd(generation.price_micro),
        **_charged(generation),
        "created_at": times.rfc3339(generation.created_at),
        "submitted_at": times.rfc3339(generation.submitted_at),
        "finished_at": times.rfc3339(generation.finished_at),
        "deleted_at": times.rfc3339(generation.deleted_at),
        "expired_at": times.rfc3339(generation.expired_at),
        "eta": estimate,
        "video": _video(generation, video) if video else None,
        "poster": {"url": str(poster)} if poster else None,
        "expires_at": times.rfc3339(min(video.expires_at, poster.expires_at)) if video and poster else None,
        "error": _error(generation),
    }


def events(generation: Generation) -> Iterator[dict[str, Any]]:
    """Return the generation's events, oldest first, numbered from 1."""
    for number, event in enumerate(generation.events.all(), 1):
        yield {
            "sequence": number,
            "status": event.status,
            "message": event.message,
            "created_at": times.rfc3339(event.at),
        }


def _image(image: InputImage | None, url: str) -> dict[str, Any] | None:
    """Return an input image: its URL if one was given, and the facts of its bytes once they are stored."""
    if image is None:
        return {"url": url} if url else None
    stored = {name: getattr(image, name) for name in ("sha256", "format", "width", "height", "size")}
    return {**({"url": url} if url else {}), **stored}


def _charged(generation: Generation) -> dict[str, str]:
    """Return what a generation cost once it has ended, if that may differ from its price."""
    is_lower = generation.quote_micro is not None and generation.quote_micro < generation.price_micro
    if generation.finished_at is None or not (is_lower or generation.rate_micro is not None):
        return {}
    return {"charged_usd": amounts.format_usd(generation.spent_micro)}


def _video(generation: Generation, url: str) -> dict[str, Any]:
    names = ("size", "sha256", "codec", "width", "height", "fps", "duration")
    return {
        "url": str(url),  # the encoder takes no other type
        **{name: getattr(generation, f"video_{name}") for name in names},
        "as_requested": generation.video_as_requested,
        "differences": generation.video_differences,
    }


def _error(generation: Generation) -> dict[str, str] | None:
    if not generation.error_code:
        return None
    return {"code": generation.error_code, "message": generation.error_message}
