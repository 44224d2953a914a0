"""Submits that wait: operators hold them, or the circuit breaker is open. What ends it lets them go on."""

from datetime import timedelta

from django.db.models import Q

from generations import deadlines, lifecycle
from generations.models import Generation
from generations.upstream import circuit_breaker, manual_pauses, routes
from tenants.db import clock

HELD_SECONDS = 3600.0  # until a generation that operators hold is looked at again; they make it due before


def put_off(generation: Generation) -> bool:
    """Let the queued generation wait if its submits are held. Return whether they are."""
    hold = _find_hold(generation)
    if hold is None:
        return False
    seconds, reason = hold
    lifecycle.put_off(generation, seconds, reason)
    if _find_hold(generation) is None:  # it ended before the wait was stored, so no one else ends the wait
        lifecycle.reschedule(generation, 0)
    return True


def resume(*, test: bool) -> None:
    """Close the circuit breaker of an upstream that works, and let those generations go on that waited for it."""
    pause = circuit_breaker.resume(test=test)
    if pause is None:
        return
    # Those that operators hold are due later, and are left to the operators.
    soon = clock.now() + timedelta(seconds=circuit_breaker.MAX_PAUSE_SECONDS + circuit_breaker.MIN_PROBE_SECONDS)
    lifecycle.release_waiting(Q(test=test, due_at__lte=soon))
    if pause.refused_at:
        lifecycle.extend_doubt(test, pause.since, pause.refused_at)


def end_route_pause(generation: Generation) -> None:
    """Let the generations of a model go on whose route lives again, at the account that took this one."""
    if routes.end_pause(generation.model, test=generation.test):
        lifecycle.release_waiting(Q(model=generation.model, test=generation.test))


def fail_if_overdue(generation: Generation, reason: str) -> None:
    """Fail a queued generation that the upstream has refused for longer than its deadline.

    `reason` is for operators.
    """
    if deadlines.is_submit_overdue(generation):
        message = "The upstream could not be reached, or accepted nothing, for too long."
        queued = [Generation.Status.QUEUED]
        lifecycle.fail(generation, "upstream_unavailable", message, detail=reason, sources=queued)


def _find_hold(generation: Generation) -> tuple[float, str] | None:
    """Return in how many seconds to look again, and why; None if the generation may be submitted."""
    if reason := manual_pauses.find_reason(generation):
        return manual_pauses.ASK_AGAIN_SECONDS if reason == manual_pauses.ROUTE_GONE else HELD_SECONDS, reason
    seconds = circuit_breaker.seconds_until_submit(test=generation.test)
    return (seconds, "") if seconds else None
