"""The one step that a claimed generation is due for, and its recovery from an unexpected error."""

from generations import lifecycle
from generations.models import Generation
from generations.worker import backoff, task_search
from generations.worker.copy import copy_again
from generations.worker.poll import poll
from generations.worker.submit import submit

Status = Generation.Status
UNEXPECTED = "an unexpected error; the log has its traceback"


def advance(generation: Generation) -> None:
    """Take the step that the generation's status asks for."""
    match generation.status:
        case Status.QUEUED:
            submit(generation)
        case Status.SUBMITTING:
            lifecycle.mark_in_doubt(generation, "the worker was lost before it recorded the upstream's answer")
        case Status.IN_DOUBT:
            task_search.search(generation)
        case Status.RUNNING:
            poll(generation)
        case Status.COPYING:
            copy_again(generation)


def recover(generation: Generation) -> None:
    """Reschedule a generation after an unexpected error in its step, or fail a queued one after too many.

    A generation that is being submitted is left to its lease. One that is paid for is tried again for ever: the error
    is ours, and operators can end it.
    """
    match generation.status:
        case Status.QUEUED if lifecycle.failures_without_outage(generation) + 1 >= backoff.MAX_UNEXPECTED_ERRORS:
            message = "The service could not submit the generation; its operators can see why."
            lifecycle.fail(generation, "internal_error", message, sources=[Status.QUEUED])
        case Status.QUEUED:
            backoff.retry_later(generation, UNEXPECTED)
        case Status.RUNNING | Status.COPYING:
            backoff.retry_later(generation, UNEXPECTED, is_outage=True)
