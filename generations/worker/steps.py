"""SUBMIT, POLL, COPY: one step of a claimed generation. Nothing outside is called within a transaction."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import BoundedSemaphore
from typing import Any, assert_never

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from generations import errors, leases, lifecycle
from generations.bucket import inputs
from generations.bucket.errors import StorageError
from generations.catalog import video_models
from generations.media import image_sources
from generations.media.videos import BadVideo
from generations.models import Attempt, Generation
from generations.ops import in_doubt
from generations.outbound.errors import FetchFailed, OutboundError
from generations.telemetry import metrics, tracing
from generations.telemetry.failpoints import failpoint
from generations.upstream import circuit_breaker, rate_limit
from generations.upstream.errors import UpstreamError
from generations.upstream.novita import client as novita
from generations.worker import video_transfer
from tenants.db.operations import release_connection

Status = Generation.Status
FIRST_POLL, LONGEST_POLL = 2.0, 14.0  # seconds; the sweep looks each 0.4 s, which adds to each
GIVE_UP_AFTER = timedelta(hours=24)
IMAGE_TRIES = 4  # over some 15 s: a caller's server that is down for longer fails the generation
LONGEST_PAUSE = 60.0  # seconds between two tries of a step
UNEXPECTED_TRIES = 10
LARGE = 4 * 1024**2  # bytes of pictures; a submit's body takes some six times as much while it is built
# As metrics and traces name what the upstream said.
OUTCOMES: dict[type, str] = {
    novita.Created: "created",
    novita.NotCreated: "not_created",
    novita.Refused: "refused",
    novita.InDoubt: "in_doubt",
    novita.Rendering: "rendering",
    novita.Rendered: "rendered",
    novita.Failed: "failed",
}

Reschedule = Callable[..., Any]  # lifecycle.reschedule, or what does it later for many
Copy = Callable[[Generation, str], Any]  # of the video's URL

log = structlog.stdlib.get_logger(__name__)
_large = BoundedSemaphore(2)  # of 30 MB pictures at once in one worker: 2 * 2 * 180 MB


def advance(generation: Generation) -> None:
    """The one step that a claimed row is due for."""
    match generation.status:
        case Status.QUEUED:
            submit(generation)
        case Status.SUBMITTING:
            lifecycle.mark_in_doubt(generation, "the worker that sent it was lost before its answer was known")
        case Status.IN_DOUBT:
            in_doubt.apply_policy(generation)
        case Status.RUNNING:
            poll(generation)
        case Status.COPYING:
            copy(generation)


def submit(generation: Generation) -> None:
    """One attempt, recorded before a byte is sent; its pictures are read first, since that may fail for long."""
    if not _load_inputs(generation) or _defer_while_paused(
        generation, circuit_breaker.paused_for(test=generation.test)
    ):
        return
    with _room_for(generation) as room:
        if room:
            _send(generation)
        else:
            lifecycle.reschedule(generation, FIRST_POLL)


def _defer_while_paused(generation: Generation, seconds: float) -> bool:
    """Put the generation off for `seconds` while submits are paused, or fail it where it has waited for too long.

    Return False, and change nothing, where submits are not paused: `seconds` is 0.
    """
    if seconds and not _fail_if_overdue(generation):
        lifecycle.reschedule(generation, seconds)
    return bool(seconds)


def _send(generation: Generation) -> None:
    if not lifecycle.renew_lease(generation):  # reading its pictures may have taken most of it
        return
    try:
        body = _body(generation)
        started = _started(generation)
    except StorageError as trouble:
        _storage_unavailable(generation, trouble)
        return
    except rate_limit.NotYet as full:
        lifecycle.reschedule(generation, full.seconds)
        return
    if started is None:
        return
    attempt, wait = started
    failpoint("submit_recorded")
    time.sleep(wait)
    metrics.SUBMITTED.labels(metrics.mode(test=generation.test)).inc()
    with tracing.start_generation_span("submit", generation) as span, metrics.SUBMIT.time():
        outcome = novita.submit(novita.account(test=generation.test), video_models.MODELS[generation.model].path, body)
        span.set_attributes(attempt=attempt.number, outcome=OUTCOMES[type(outcome)])
    metrics.UPSTREAM_CALLS.labels("submit", OUTCOMES[type(outcome)]).inc()
    failpoint("submit_answered")
    _learn(generation, attempt, outcome)
    failpoint("submit_settled")


def _started(generation: Generation) -> tuple[Attempt, float] | None:
    """The attempt, recorded, and the seconds until its moment at the upstream. Raises pace.NotYet."""
    with transaction.atomic():
        wait = 0.0 if generation.test else rate_limit.take()
        # After it: a probe that is taken is sent.
        if _defer_while_paused(generation, circuit_breaker.wait(test=generation.test)):
            return None
        attempt = lifecycle.start_submitting(generation)
    return (attempt, wait) if attempt else None


@contextmanager
def _room_for(generation: Generation) -> Iterator[bool]:
    """Whether there is memory for its pictures: large ones go two at a time, and wait for less than their lease."""
    pictures = [picture for picture in (generation.image, generation.last_image) if picture]
    if sum(picture.size for picture in pictures) <= LARGE:
        yield True
        return
    room = _large.acquire(timeout=leases.MEMORY_WAIT_SECONDS)
    try:
        yield room
    finally:
        if room:
            _large.release()


def _learn(generation: Generation, attempt: Attempt, outcome: novita.Submitted) -> None:
    # Before it is recorded: should the database be lost for long, ops find here what to attach.
    log.info("answer", attempt=attempt.number, generation=str(generation.pk), said=repr(outcome))
    _insist(lambda: _record(generation, attempt, outcome))
    match outcome:
        case novita.Created() | novita.Refused(ours=False):
            circuit_breaker.resume(test=generation.test)
        case novita.NotCreated(reason, retry_after):
            circuit_breaker.pause(reason, test=generation.test, retry_after=retry_after)
            _fail_if_overdue(generation, reason)
        case novita.InDoubt(reason) | novita.Refused(reason):
            circuit_breaker.pause(
                reason, test=generation.test
            )  # an outage must not put one job after the other in doubt
        case _:
            assert_never(outcome)


def _record(generation: Generation, attempt: Attempt, outcome: novita.Submitted) -> None:
    match outcome:
        case novita.Created(upstream_id):
            lifecycle.mark_running(generation, attempt, upstream_id, FIRST_POLL)
        case novita.NotCreated(reason, retry_after):
            lifecycle.mark_not_created(generation, attempt, reason, max(retry_after or 0, _pause(generation)))
        case novita.Refused(reason, message):
            lifecycle.mark_refused(generation, attempt, reason, message)
        case novita.InDoubt(reason):
            lifecycle.mark_in_doubt(generation, reason, attempt)
        case _:
            assert_never(outcome)


def _insist(record: Callable[[], None]) -> None:
    """A known answer is worth waiting for a database that is away for a moment: it would be a doubt otherwise."""
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


def _fail_if_overdue(generation: Generation, reason: str = "submits are paused") -> bool:
    """Fail a queued generation that the upstream has kept waiting past SUBMIT_DEADLINE. Return whether it failed."""
    if not _is_past_deadline(generation):
        return False
    sentence = f"The upstream could not be reached, or took nothing, for too long: {reason}"
    return lifecycle.fail(generation, "upstream_unavailable", sentence, sources=[Status.QUEUED])


def _is_past_deadline(generation: Generation) -> bool:
    seconds = generation.tenant.submit_deadline or settings.SUBMIT_DEADLINE
    return timezone.now() - (generation.resumed_at or generation.created_at) >= timedelta(seconds=seconds)


def _load_inputs(generation: Generation) -> bool:
    """Read and store the pictures that were given as URLs.

    Return False where one of them can not be read or stored: the generation is put off then, or has failed.
    """
    try:
        for field in ("image", "last_image"):
            url = getattr(generation, f"{field}_url")
            if url and getattr(generation, field) is None:
                kept = inputs.store(generation.tenant_id, image_sources.from_url(url))
                lifecycle.attach_image(generation, field, kept)
    except errors.BadImage as error:
        lifecycle.fail(generation, error.code, str(error))
    except FetchFailed as error:
        _image_unreachable(generation, error)
    except StorageError as trouble:
        _storage_unavailable(generation, trouble)
    except lifecycle.InputDeleted:
        _try_again(generation, "its picture was deleted with another generation's, and is stored anew")
    else:
        return True
    return False


def _storage_unavailable(generation: Generation, trouble: StorageError) -> None:
    """Its picture can not be kept or read back, now or, where it was deleted, for ever."""
    if _is_past_deadline(generation):
        sentence = f"The service could not read its picture for too long: {trouble}."
        lifecycle.fail(generation, "storage_unavailable", sentence, sources=[Status.QUEUED])
    else:
        _try_again(generation, str(trouble))


def _image_unreachable(generation: Generation, error: FetchFailed) -> None:
    if generation.consecutive_failures + 1 < IMAGE_TRIES:
        _try_again(generation, f"an image could not be read: {error}")
        return
    gone = errors.ImageUnreachable(reason=error)
    lifecycle.fail(generation, gone.code, str(gone))


def _body(generation: Generation) -> dict[str, Any]:
    """The upstream's request: every field as a concrete value, so that the same row makes the same request."""
    body: dict[str, Any] = {
        "image": inputs.read_data_uri(generation.image) if generation.image else generation.image_url,
        "prompt": generation.prompt,
        "resolution": generation.resolution,
        "aspect_ratio": generation.aspect_ratio,
        "duration": generation.duration,
        "camera_fixed": generation.camera_fixed,
        "seed": generation.seed,
    }
    if generation.last_image:
        body["last_image"] = inputs.read_data_uri(generation.last_image)
    return body


def poll(generation: Generation, reschedule: Reschedule = lifecycle.reschedule, copy: Copy | None = None) -> None:
    """One look at the upstream's task; where it is done, its copy starts in the same step.

    Who polls many at once says what becomes of one that is to be looked at again, and of a copy that has begun.
    """
    if generation.was_due:
        metrics.POLL_LAG.observe(max((timezone.now() - generation.was_due).total_seconds(), 0))
    failpoint("poll_before")
    try:
        seen = _look(generation)
    except UpstreamError as trouble:
        _not_yet(generation, lifecycle.reschedule, str(trouble))
        return
    failpoint("poll_answered")
    if not isinstance(seen, novita.Rendering) and (missing := generation.get_deferred_fields()):
        generation.refresh_from_db(fields=missing)
    match seen:
        case novita.Rendering(progress_percent):
            _not_yet(generation, reschedule, progress_percent=progress_percent)
        case novita.Rendered(video_url, seed):
            if lifecycle.start_copying(generation, seed):
                failpoint("copy_started")
                (copy or copy_from)(generation, video_url)
        case novita.Failed(reason):
            lifecycle.fail(generation, "upstream_failed", f"The upstream could not make the video: {reason}")
        case _:
            assert_never(seen)


def _look(generation: Generation) -> novita.Polled:
    """What the upstream says of its task. Raises UpstreamError."""
    assert generation.upstream_id is not None  # the schema's rule for a running row
    began, outcome = time.time_ns(), "trouble"
    try:
        seen = novita.poll(novita.account(test=generation.test), generation.upstream_id)
        outcome = OUTCOMES[type(seen)]
        return seen
    finally:
        metrics.UPSTREAM_CALLS.labels("poll", outcome).inc()
        if outcome != "rendering":  # of which there are many, and each says nothing
            tracing.record_generation_span("poll", generation, began, outcome=outcome)


def _not_yet(generation: Generation, reschedule: Reschedule, trouble: str = "", **facts: Any) -> None:
    age = _age(generation)
    if age > GIVE_UP_AFTER:
        lifecycle.fail(generation, "upstream_gave_no_result", "The upstream gave no result within a day.")
    else:
        reschedule(generation, poll_interval(age), error=trouble, **facts)


def poll_interval(age: timedelta) -> float:
    """Seconds to the next poll: 2 in its first minute, a thirtieth of its age later, 14 at most until it is stalled."""
    if age > lifecycle.STALLED_AFTER:
        return 300.0
    return min(max(age.total_seconds() / 30, FIRST_POLL), LONGEST_POLL)


def copy(generation: Generation) -> None:
    """A copy that did not come to its end starts anew, from a fresh URL."""
    try:
        seen = _look(generation)
    except UpstreamError as trouble:
        _copy_later(generation, str(trouble))
        return
    if isinstance(seen, novita.Rendered):
        copy_from(generation, seen.video_url)
    else:
        _copy_later(generation, f"the upstream took its result back: {seen}")


def copy_from(generation: Generation, video_url: str) -> None:
    """The rest of a copy that has begun."""
    try:
        began = time.monotonic()
        with tracing.start_generation_span("copy", generation) as span:
            video = video_transfer.run(generation, video_url)
            span.set_attributes(bytes=video.size)
    except (StorageError, BadVideo, OutboundError) as trouble:
        _copy_later(generation, f"{type(trouble).__name__}: {trouble}")
    except video_transfer.LeaseLost:
        return
    else:
        metrics.COPY.observe(time.monotonic() - began)
        metrics.COPY_BYTES.observe(video.size)
        metrics.COPIED_BYTES.inc(video.size)
        lifecycle.mark_succeeded(generation, video)


def _copy_later(generation: Generation, reason: str) -> None:
    if _age(generation) > GIVE_UP_AFTER:
        lifecycle.fail(generation, "copy_failed", f"The video could not be stored within a day: {reason}")
    else:
        _try_again(generation, reason)


def recover(generation: Generation) -> None:
    """After an error that nobody expected: try again, but not for ever. A submit under way is left to its lease."""
    match generation.status:
        case Status.QUEUED if generation.consecutive_failures + 1 >= UNEXPECTED_TRIES:
            why = "The service could not submit it; its operators can see why."
            lifecycle.fail(generation, "internal_error", why, sources=[Status.QUEUED])
        case Status.RUNNING | Status.COPYING if _age(generation) > GIVE_UP_AFTER:
            why = "The service could not finish it; its operators can see why."
            lifecycle.fail(generation, "internal_error", why, sources=[Status.RUNNING, Status.COPYING])
        case Status.QUEUED | Status.RUNNING | Status.COPYING:
            _try_again(generation, "an unexpected error; the log has it")


def _age(generation: Generation) -> timedelta:
    """Since it was sent, or found after a doubt."""
    return timezone.now() - (generation.resumed_at or generation.submitted_at or generation.created_at)


def _try_again(generation: Generation, trouble: str) -> None:
    lifecycle.reschedule(generation, _pause(generation), error=trouble)


def _pause(generation: Generation) -> float:
    """Seconds before the next try, doubling with each that failed."""
    return float(min(2.0 ** min(generation.consecutive_failures + 1, 10), LONGEST_PAUSE))
