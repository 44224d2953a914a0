"""Cancel a generation, also one that waits at the upstream, where its wire can cancel a task.

The same call of a wire may delete the record of a finished task. So it is sent only for a task that was read as waiting
a moment before, and what counts is what the upstream says of the task afterwards. All calls come before the transition,
outside of a transaction.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import BoundedSemaphore

import structlog

from generations import leases, lifecycle
from generations.models import Generation
from generations.telemetry import metrics
from generations.upstream import accounts, outcomes, poll_pauses, task_state, wires
from generations.upstream.errors import NoSuchTask, UpstreamError
from generations.upstream.protocol import CancelRefused
from tenants.db import clock
from tenants.db.operations import release_connection
from tenants.errors import NotPossible

log = structlog.stdlib.get_logger(__name__)

Status = Generation.Status
Settle = Callable[[Callable[[], bool]], bool]  # calls the transition it is given, and returns whether it changed a row

# Each of the up to three calls may take leases.POLL_CALL_SECONDS, and a web process has 32 threads.
MAX_CALLERS, MAX_WAIT_SECONDS = 8, 1.0
# Of what was read before a cancel is sent: a process that stood still sends none, as the task may be finished by then.
MAX_AGE = timedelta(seconds=leases.POLL_CALL_SECONDS)

NOT_BEGUN = "Only a generation that the upstream has not begun can be cancelled."
BEGUN = f"The generation is running: the upstream has begun it. {NOT_BEGUN}"
CANCELS_NOTHING = "The generation is running, and its upstream cancels nothing that was sent."
ENDED_THERE = f"The generation is running: the upstream has finished it, and its result comes soon. {NOT_BEGUN}"
UNCLEAR = (
    "The generation is running, and the upstream gave no clear answer: the generation goes on, unless the upstream "
    "cancels it after all. Try again."
)
BUSY = "The generation is running, and too many others are being cancelled at this moment: it goes on. Try again."
REFUSALS = {
    Status.SUBMITTING: "The generation is submitting: it may be at the upstream by now. Try again once it is running.",
    Status.IN_DOUBT: "The generation is in_doubt: it is not known whether the upstream has it.",
    Status.COPYING: f"The generation is copying: the upstream has finished it. {NOT_BEGUN}",
    Status.SUCCEEDED: f"The generation is succeeded. {NOT_BEGUN}",
    Status.FAILED: f"The generation is failed. {NOT_BEGUN}",
}


def can_cancel(generation: Generation) -> bool:
    """Return whether a cancel of the generation may succeed: it is queued, or running where its wire can cancel."""
    if generation.status == Status.RUNNING:
        wire = wires.load().get(generation.wire_name)
        return wire is not None and wire.can_cancel
    return generation.status == Status.QUEUED


def cancel(generation: Generation, reason: str, settle: Settle = lambda transition: transition()) -> bool:
    """Cancel the generation and release its hold. `reason` is for its event.

    Return False if the generation was cancelled before. Raise NotPossible, with a sentence for the caller, if it goes
    on or has ended. `settle` calls the transition, in a transaction with what belongs to it.
    """
    if generation.status == Status.QUEUED and settle(lambda: lifecycle.cancel(generation, reason)):
        return True
    generation.refresh_from_db()
    if generation.status == Status.RUNNING:
        _cancel_upstream(generation)
        if settle(lambda: _mark_cancelled(generation, reason)):
            return True
    if generation.status != Status.CANCELLED:
        raise NotPossible(reason=explain(generation))
    return False


def explain(generation: Generation) -> str:
    """Return why a generation cannot be cancelled in its status, as a sentence for the caller."""
    return REFUSALS.get(Status(generation.status), f"The generation is {generation.status}. {NOT_BEGUN}")


def _mark_cancelled(generation: Generation, reason: str) -> bool:
    """Record that the upstream has cancelled the task. Return True also if a poll that saw it was faster."""
    if lifecycle.mark_cancelled(generation, reason, fenced=False):
        return True
    generation.refresh_from_db()
    return generation.status == Status.CANCELLED


def _cancel_upstream(generation: Generation) -> None:
    """Cancel the generation's task at the upstream, if it waits there. Raise NotPossible unless it is cancelled."""
    if not can_cancel(generation):
        raise NotPossible(reason=CANCELS_NOTHING)
    poll_pauses.refresh()
    account, _ = accounts.of(generation)
    if poll_pauses.seconds_left(account.name) or not account.is_configured:
        raise NotPossible(reason=UNCLEAR)
    release_connection()
    with _limit_callers():
        asked_at = clock.now()
        try:
            outcome = task_state.read(generation)
        except UpstreamError as error:
            raise _unclear(generation, error) from error
        if clock.now() - asked_at > MAX_AGE:
            raise NotPossible(reason=UNCLEAR)
        if isinstance(outcome, outcomes.Rendering) and outcome.is_waiting:
            outcome = _cancel_waiting(generation)
    match outcome:
        case outcomes.Cancelled():
            return
        case outcomes.Rendering(is_waiting=False):
            raise NotPossible(reason=BEGUN)
        case outcomes.Rendering():
            raise NotPossible(reason=UNCLEAR)
    raise NotPossible(reason=ENDED_THERE)


@contextmanager
def _limit_callers() -> Iterator[None]:
    """Let few threads of the process wait for upstreams. Raise NotPossible for one more."""
    if not _callers.acquire(timeout=MAX_WAIT_SECONDS):
        raise NotPossible(reason=BUSY)
    try:
        yield
    finally:
        _callers.release()


_callers = BoundedSemaphore(MAX_CALLERS)


def _cancel_waiting(generation: Generation) -> outcomes.PollOutcome:
    """Cancel a task that was just read as waiting, and return what the upstream says of it afterwards.

    A task whose cancel was accepted, and that the upstream no longer has, is cancelled.
    """
    is_accepted = _send_cancel(generation)
    try:
        return task_state.read(generation)
    except NoSuchTask as error:
        if is_accepted:
            return outcomes.Cancelled()
        raise _unclear(generation, error) from error
    except UpstreamError as error:
        raise _unclear(generation, error) from error


def _send_cancel(generation: Generation) -> bool:
    """Send the cancel once, whose answer decides nothing alone. Return whether it was accepted."""
    assert generation.upstream_id is not None  # the schema's rule for a running row
    (account, wire), outcome, answer = accounts.of(generation), "cancelled", ""
    try:
        wire.cancel(account, generation.upstream_id)
    except CancelRefused as error:
        outcome, answer = "refused", str(error)
    except UpstreamError as error:
        outcome, answer = "unclear", str(error)
    metrics.UPSTREAM_CALLS.labels("cancel", outcome, account.name).inc()
    log.info("cancel sent", generation=str(generation.pk), account=account.name, outcome=outcome, said=answer)
    return outcome == "cancelled"


def _unclear(generation: Generation, error: UpstreamError) -> NotPossible:
    """Return the refusal for an answer of the upstream that says nothing, and log the answer for operators."""
    log.warning("the upstream says nothing clear of a cancel", generation=str(generation.pk), trouble=str(error))
    return NotPossible(reason=UNCLEAR)
