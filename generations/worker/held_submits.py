"""Submits that wait: operators hold them, or the circuit breakers of all their accounts are open.

What ends it lets them go on.
"""

from datetime import timedelta

from django.db.models import Q

from generations import deadlines, lifecycle
from generations.catalog.offers import Offer
from generations.catalog.video_models import VideoModel
from generations.models import Generation
from generations.upstream import accounts, circuit_breaker, routes
from generations.worker import offer_choice
from generations.worker.offer_choice import Wait
from tenants.db import clock


def find_offer(generation: Generation, model: VideoModel) -> Offer | None:
    """Return the offer that the queued generation may be submitted to. Let it wait, and return None, if none is."""
    chosen = offer_choice.choose(generation, model)
    if isinstance(chosen, Offer):
        return chosen
    lifecycle.put_off(generation, chosen.seconds, chosen.reason)
    if not isinstance(offer_choice.choose(generation, model), Wait):
        lifecycle.reschedule(generation, 0)  # it ended before the wait was stored, so no one else ends the wait
    return None


def resume(account: str) -> None:
    """Close the circuit breaker of an account that works, and let those generations go on that waited for it."""
    pause = circuit_breaker.resume(account)
    if pause is None:
        return
    # Those that operators hold are due later, and are left to the operators.
    soon = clock.now() + timedelta(seconds=circuit_breaker.MAX_PAUSE_SECONDS + circuit_breaker.MIN_PROBE_SECONDS)
    lifecycle.release_waiting(accounts.waiting_at(account) & Q(due_at__lte=soon))
    if pause.refused_at:
        lifecycle.extend_doubt(account, pause.since, pause.refused_at)


def end_route_pause(generation: Generation) -> None:
    """Let the generations of a model go on whose route lives again, at the account that took this one."""
    if routes.end_pause(generation.model, generation.account_name):
        lifecycle.release_waiting(Q(model=generation.model, test=generation.test))


def fail_if_overdue(generation: Generation, reason: str) -> None:
    """Fail a queued generation that the upstream has refused for longer than its deadline.

    `reason` is for operators.
    """
    if deadlines.is_submit_overdue(generation):
        message = "The upstream could not be reached, or accepted nothing, for too long."
        queued = [Generation.Status.QUEUED]
        lifecycle.fail(generation, "upstream_unavailable", message, detail=reason, sources=queued)
