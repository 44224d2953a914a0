"""Intervals between two attempts of a step, and the limits after which the worker gives up."""

from datetime import timedelta

from generations import deadlines, lifecycle
from generations.models import Generation
from generations.outbound.errors import FetchFailed, FetchNotServed
from generations.upstream import poll_pauses
from tenants.db import clock

# Between two polls. A worker run reads the due rows each 0.4 s, which adds to each interval.
MIN_POLL_SECONDS, MAX_POLL_SECONDS, STALLED_POLL_SECONDS = 2.0, 14.0, 300.0
MAX_RETRY_SECONDS = 60.0  # between two attempts of a failed step
MAX_IMAGE_ATTEMPTS = 4  # over some 15 s: the generation fails if a caller's server is down for longer
MAX_IMAGE_WAIT = timedelta(hours=1)  # since the create, for an image whose server says each time when to come back
MAX_MISSING_READS = 5  # of an input image that the bucket does not have, over a minute
MIN_COPIES = 5  # before a copy is given up: one odd answer ends nothing that is paid for
MAX_UNEXPECTED_ERRORS = 60  # of a queued generation in a row, nearly an hour: what fails all of them is soon seen


def poll_interval(age: timedelta, account: str) -> float:
    """Return the seconds until the next poll of a task of that age.

    The interval is 2 s in the first minute, then a thirtieth of the age, at most 14 s. A stalled task has 300 s. While
    the upstream asks for fewer polls of the account, the interval is a multiple of that.
    """
    if age > lifecycle.STALLED_AFTER:
        return STALLED_POLL_SECONDS
    usual = min(max(age.total_seconds() / 30, MIN_POLL_SECONDS), MAX_POLL_SECONDS)
    return min(usual * poll_pauses.interval_factor(account), STALLED_POLL_SECONDS)


def retry_interval(generation: Generation) -> float:
    """Return the seconds until a failed step is tried again, doubling with each consecutive failure."""
    return float(min(2.0 ** min(generation.consecutive_failures + 1, 10), MAX_RETRY_SECONDS))


def image_retry_interval(generation: Generation, error: FetchFailed) -> float | None:
    """Return the seconds until an image that failed with `error` is fetched again; None if it is not.

    It is not if its server will not serve it, and after MAX_IMAGE_ATTEMPTS. A server that says when to come back is
    asked then, for MAX_IMAGE_WAIT.
    """
    is_patient = error.retry_after is not None and task_age(generation) < MAX_IMAGE_WAIT
    is_exhausted = lifecycle.failures_without_outage(generation) + 1 >= MAX_IMAGE_ATTEMPTS and not is_patient
    if is_exhausted or isinstance(error, FetchNotServed):
        return None
    return max(retry_interval(generation), error.retry_after or 0.0)


def retry_later(
    generation: Generation, error: str, detail: str = "", *, is_outage: bool = False, at_least: float = 0.0
) -> None:
    """Reschedule the generation after a step that failed with `error`, a text of ours. `detail` is for operators.

    `is_outage`: no deadline counts the time. `at_least` is a number of seconds.
    """
    seconds = max(retry_interval(generation), at_least)
    lifecycle.reschedule(generation, seconds, error=error, detail=detail, is_outage=is_outage)


def task_age(generation: Generation) -> timedelta:
    """Return the time since the task was submitted, or since an operator resumed it."""
    return clock.now() - deadlines.task_started_at(generation)
