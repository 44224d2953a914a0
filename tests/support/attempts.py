"""Steps of an attempt that a test takes by itself, at the account of the generation's mode over Novita's wire."""

from generations import lifecycle
from generations.catalog.offers import Offer
from generations.models import Attempt, Generation
from generations.upstream import outcomes

VIDEO_URL = "http://127.0.0.1:9/video.mp4"


def offer_of(generation: Generation, account: str = "novita") -> Offer:
    """Return the offer of the account, or of the sandbox for a generation of a test key."""
    return Offer("sandbox" if generation.test else account, "novita-async", f"/v3/async/{generation.model}")


def start_submitting(generation: Generation, account: str = "novita", **prices: int | None) -> Attempt | None:
    """Record an attempt, at the account's `rate_micro` and `quote_micro`."""
    return lifecycle.start_submitting(generation, offer_of(generation, account), "", **prices)


def start_copying(generation: Generation, seed: int | None = None, tokens: int | None = None) -> bool:
    """Record that the upstream has rendered the video."""
    return lifecycle.start_copying(generation, outcomes.Rendered(VIDEO_URL, seed, tokens))


def mark_refused(generation: Generation, attempt: Attempt, reason: str = "NO", message: str = "no") -> bool:
    """Record that the upstream has refused the request for good."""
    return lifecycle.mark_refused(generation, attempt, outcomes.Refused(reason, message))
