"""The choice of the account that a submit goes to: the first offer of the model whose account takes submits now.

An account is passed over only where nothing was sent to it, or where it has surely created nothing: its circuit breaker
is open, its route is gone, or operators paused it. A limit of our own at an account is waited for.
"""

from dataclasses import dataclass

from generations.catalog.offers import Offer
from generations.catalog.video_models import VideoModel
from generations.models import Generation
from generations.upstream import accounts, circuit_breaker, manual_pauses

HELD_SECONDS = 3600.0  # until a generation that operators hold is looked at again; they make it due before
UNOFFERED = "held: the service has no upstream account for the model"


@dataclass(frozen=True)
class Wait:
    """There is no account now: look again in so many seconds."""

    seconds: float
    reason: str  # in words that the caller may read; "" while an upstream is away


def choose(generation: Generation, model: VideoModel) -> Offer | Wait:
    """Return the offer that the generation may be submitted to now, or for how long it waits."""
    if reason := manual_pauses.find_reason(generation):
        return Wait(HELD_SECONDS, reason)
    waits: list[Wait] = []
    for offer in accounts.usable_offers(model, test=generation.test):
        wait = _find_wait(generation, offer.account)
        if wait is None:
            return offer
        waits.append(wait)
    return min(waits, key=lambda wait: wait.seconds, default=Wait(HELD_SECONDS, UNOFFERED))


def _find_wait(generation: Generation, account: str) -> Wait | None:
    """Return for how long the account takes no submit of the generation; None if it takes one now."""
    if reason := manual_pauses.find_reason_at(generation, account):
        is_asked_again = reason == manual_pauses.ROUTE_GONE
        return Wait(manual_pauses.ASK_AGAIN_SECONDS if is_asked_again else HELD_SECONDS, reason)
    seconds = circuit_breaker.seconds_until_submit(account)
    return Wait(seconds, "") if seconds else None
