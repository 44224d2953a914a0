"""The submit step: send a queued generation to the upstream, which costs money, at most once for each attempt.

An attempt is recorded and committed before a byte is sent. Nothing outside is called within a transaction.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from threading import BoundedSemaphore
from typing import TypeVar, assert_never

import structlog
from django.db import InterfaceError, OperationalError, transaction

from generations import errors, leases, lifecycle
from generations.bucket.errors import StorageError
from generations.catalog import prices, states, video_models
from generations.catalog.offers import Offer
from generations.catalog.video_models import VideoModel
from generations.models import Attempt, Generation
from generations.telemetry import metrics, tracing
from generations.telemetry.failpoints import failpoint
from generations.upstream import (
    accounts,
    circuit_breaker,
    manual_pauses,
    outcomes,
    rate_limit,
    routes,
    wires,
)
from generations.worker import backoff, held_submits, input_images, lost_attempts, task_requests
from tenants import locks
from tenants.db import clock
from tenants.db.operations import release_connection

Recorded = TypeVar("Recorded")
QUEUED = [Generation.Status.QUEUED]
RETIRED = "the model is retired"
STOOD_STILL = "the worker stood still before it sent a byte"
ANSWERED = "an earlier attempt was answered, or found, before a byte was sent"
LARGE_BYTES = 4 * 1024**2  # of images; a submit's body takes some six times as much memory while it is built

log = structlog.stdlib.get_logger(__name__)
_large_bodies = BoundedSemaphore(2)  # of 30 MB images at once in one worker: 2 * 2 * 180 MB


def submit(generation: Generation) -> None:
    """Send one attempt, unless it has to wait. The images are read first, since that may fail or take long."""
    model = video_models.get(generation.model)
    if model is None:
        _wait_for_model(generation)
        return
    try:
        states.refuse_retired(model, states.read(model))
    except errors.ModelRetired as retired:  # also where submits are held: the wait would end in this
        _fail(generation, retired)
        return
    if not input_images.load(generation):
        return
    offer = held_submits.find_offer(generation, model)
    if offer is None:
        return
    with _reserve_memory(generation) as is_reserved:
        if is_reserved:
            _send(generation, model, offer)
        else:
            lifecycle.reschedule(generation, backoff.MIN_POLL_SECONDS)


def _wait_for_model(generation: Generation) -> None:
    """Try again later, for nearly an hour, where the worker does not know the model: its file may follow."""
    if lifecycle.failures_without_outage(generation) + 1 >= backoff.MAX_UNEXPECTED_ERRORS:
        _fail(generation, errors.ModelUnknown(model=generation.model))
    else:
        backoff.retry_later(generation, "this worker's catalogue does not have the model")


def _fail(generation: Generation, refusal: errors.ModelUnknown | errors.ModelRetired) -> None:
    """Fail a queued generation whose model can not be used, and release its hold."""
    lifecycle.fail(generation, refusal.code, str(refusal), sources=QUEUED)


@contextmanager
def _reserve_memory(generation: Generation) -> Iterator[bool]:
    """Reserve memory for the generation's images, and yield whether there is enough.

    Submits with large images go two at a time. They wait for MEMORY_WAIT_SECONDS, far less than their lease.
    """
    images = [image for image in (generation.image, generation.last_image) if image]
    if sum(image.size for image in images) <= LARGE_BYTES:
        yield True
        return
    is_reserved = _large_bodies.acquire(timeout=leases.MEMORY_WAIT_SECONDS)
    try:
        yield is_reserved
    finally:
        if is_reserved:
            _large_bodies.release()


def _send(generation: Generation, model: VideoModel, offer: Offer) -> None:
    """Build the request, start an attempt, send it at its reserved moment, and record the answer."""
    if not lifecycle.renew_lease(generation):  # reading the images may have taken most of the lease
        return
    account, wire = accounts.get(offer.account, offer.wire), wires.get(offer.wire)
    reference = secrets.token_hex(16)
    try:
        content = wire.encode(task_requests.build(generation, model, offer, reference))
        started = _start_attempt(generation, model, offer, reference)
    except StorageError as error:
        input_images.retry_storage(generation, error)
        return
    except rate_limit.RateLimited as limit:
        lifecycle.reschedule(generation, limit.seconds)
        return
    except errors.ModelRetired as retired:
        _fail(generation, retired)
        return
    if started is None:
        if held_submits.find_offer(generation, model):
            lifecycle.reschedule(generation, 0)
        return
    attempt, wait = started
    failpoint("submit_recorded")
    time.sleep(wait)
    if reason := _find_late_order(generation, model, attempt, wait):
        lifecycle.mark_not_sent(generation, attempt, reason)
        return
    labels = metrics.mode(test=generation.test), video_models.label(generation.model), account.name
    metrics.SUBMITTED.labels(*labels).inc()
    with tracing.start_generation_span("submit", generation) as span, metrics.SUBMIT.time():
        outcome = wire.submit(account, offer.target, content)
        span.set_attributes(attempt=attempt.number, account=account.name, outcome=outcomes.LABELS[type(outcome)])
    metrics.UPSTREAM_CALLS.labels("submit", outcomes.LABELS[type(outcome)], account.name).inc()
    failpoint("submit_answered")
    _apply_outcome(generation, attempt, outcome)
    failpoint("submit_settled")


def _find_late_order(generation: Generation, model: VideoModel, attempt: Attempt, wait: float) -> str:
    """Return why an attempt may no longer be sent; "" if it may.

    It may not by what was ordered since it was recorded, or if this process stood still: a search for the task of a
    lost answer trusts that nothing is sent after SUBMIT_START_SECONDS.
    """
    if wait:
        reason = RETIRED if states.read(model).is_retired else manual_pauses.find_reason(generation)
        reason = reason or manual_pauses.find_reason_at(generation, attempt.account)
        if reason and reason != manual_pauses.ROUTE_GONE:  # this may be the submit that asks again
            return reason
    if clock.now() - attempt.started_at > timedelta(seconds=leases.SUBMIT_START_SECONDS):
        return STOOD_STILL
    return "" if lifecycle.is_being_submitted(generation) else ANSWERED


def _start_attempt(
    generation: Generation, model: VideoModel, offer: Offer, reference: str
) -> tuple[Attempt, float] | None:
    """Record an attempt, and return it with the seconds until its moment at the upstream.

    Return None if submits are held, or another worker has the row. Raise RateLimited, or ModelRetired.
    """
    with transaction.atomic():
        locks.share_submits()
        states.refuse_retired(model, states.read(model))
        if manual_pauses.find_reason(generation) or manual_pauses.find_reason_at(generation, offer.account):
            return None
        if not routes.claim_submit(generation.model, offer.account):
            return None
        wait = rate_limit.reserve(accounts.get(offer.account, offer.wire))
        # The breaker comes after the rate limit: a probe that is claimed is also sent.
        if circuit_breaker.claim_submit(offer.account):
            transaction.set_rollback(True)  # of the reserved moment
            return None
        asked = prices.offer_prices(model, generation.request_values, offer)
        attempt = lifecycle.start_submitting(generation, offer, reference, **asked)
    return (attempt, wait) if attempt else None


def _apply_outcome(generation: Generation, attempt: Attempt, outcome: outcomes.SubmitOutcome) -> None:
    """Record the outcome, and pause or resume submits by it."""
    # The log comes first: if the database is away for long, operators find here which task to attach.
    log.info("answer", attempt=attempt.number, generation=str(generation.pk), said=repr(outcome))
    outcome = _record_with_retry(partial(lost_attempts.weigh, attempt, outcome))
    try:
        _record_with_retry(lambda: _record(generation, attempt, outcome))
    except lifecycle.TaskTaken as error:
        _record_with_retry(partial(lifecycle.mark_task_taken, generation, attempt, error.upstream_id))
        outcome = outcomes.InDoubt(lifecycle.TASK_TAKEN)
    account = attempt.account
    match outcome:
        case outcomes.Created() | outcomes.Refused(affects_all=False):
            held_submits.resume(account)
            held_submits.end_route_pause(generation)
        case outcomes.NotCreated(reason, retry_after):
            circuit_breaker.pause(account, reason, retry_after=retry_after)
            held_submits.fail_if_overdue(generation, reason)
        case outcomes.RouteGone(reason):
            routes.pause(generation.model, account, reason)
        case outcomes.InDoubt(reason) | outcomes.CreateFailed(reason) | outcomes.Refused(reason):
            # An outage must not put one generation after the other in doubt.
            circuit_breaker.pause(account, reason)
        case _:
            assert_never(outcome)


def _record(generation: Generation, attempt: Attempt, outcome: outcomes.SubmitOutcome) -> None:
    """Record the outcome of the attempt by a transition of the generation."""
    match outcome:
        case outcomes.Created(upstream_id):
            lifecycle.mark_running(generation, attempt, upstream_id, backoff.MIN_POLL_SECONDS)
        case outcomes.NotCreated(reason):
            seconds = backoff.retry_interval(generation)  # a Retry-After is the pause's, which may end before
            lifecycle.mark_not_created(generation, attempt, reason, seconds, answer=outcome.answer)
        case outcomes.RouteGone(reason, answer):
            seconds = backoff.retry_interval(generation)  # by then the model's submits are paused
            label = outcomes.LABELS[outcomes.RouteGone]
            lifecycle.mark_not_created(generation, attempt, reason, seconds, answer=answer, outcome=label)
        case outcomes.CreateFailed(reason, answer):
            seconds = backoff.retry_interval(generation)
            lifecycle.mark_create_failed(generation, attempt, reason, seconds, answer=answer)
        case outcomes.Refused():
            lifecycle.mark_refused(generation, attempt, outcome)
        case outcomes.InDoubt(detail):
            facts = {"detail": detail, "upstream_id": outcome.upstream_id, "answer": outcome.answer}
            lifecycle.mark_in_doubt(generation, lifecycle.ANSWER_LOST, attempt, **facts)
        case _:
            assert_never(outcome)


def _record_with_retry(record: Callable[[], Recorded]) -> Recorded:
    """Call `record`, and retry each second while the database is away: without a record the submit is in doubt."""
    ends = time.monotonic() + leases.RECORD_ANSWER_SECONDS
    while True:
        try:
            return record()
        except (OperationalError, InterfaceError):
            if time.monotonic() > ends:
                raise
            log.exception("an answer of the upstream could not be recorded; again in a second")
            release_connection()
            time.sleep(1)
