"""The poll step: read a running generation's task at the upstream, and act on its state."""

from collections.abc import Callable
from typing import Any, assert_never

from generations import deadlines, lifecycle
from generations.models import Generation
from generations.telemetry import metrics
from generations.telemetry.failpoints import failpoint
from generations.upstream import causes, outcomes, task_state
from generations.upstream.errors import NoVideo, UpstreamError
from generations.worker import backoff
from generations.worker.copy import copy_video
from tenants.db import clock

CANCELLED_UPSTREAM = "the task was cancelled at the upstream before it began"
UNCLEAR = "the upstream gave no clear answer about the task"
Reschedule = Callable[..., Any]  # `lifecycle.reschedule`, or a function that does the same later for many
Copy = Callable[[Generation, str], Any]  # called with the video's URL


def poll(generation: Generation, reschedule: Reschedule = lifecycle.reschedule, copy: Copy = copy_video) -> None:
    """Read the task once. If the video is ready, start its copy in the same step.

    A caller that polls many generations passes its own `reschedule`, for generations that still render, and its own
    `copy`, for generations whose copy has started.
    """
    if generation.was_due:
        metrics.POLL_LAG.observe(max((clock.now() - generation.was_due).total_seconds(), 0))
    failpoint("poll_before")
    try:
        outcome = task_state.read(generation)
    except UpstreamError as error:
        is_outage = not isinstance(error, NoVideo)
        _poll_later(generation, lifecycle.reschedule, error=UNCLEAR, detail=str(error), is_outage=is_outage)
        return
    failpoint("poll_answered")
    if not isinstance(outcome, outcomes.Rendering) and (missing := generation.get_deferred_fields()):
        generation.refresh_from_db(fields=missing)
    match outcome:
        case outcomes.Rendering(progress_percent):
            progress = generation.progress_percent if progress_percent is None else progress_percent
            _poll_later(generation, reschedule, progress_percent=progress)
        case outcomes.Rendered(video_url):
            if lifecycle.start_copying(generation, outcome):
                failpoint("copy_started")
                copy(generation, video_url)
        case outcomes.Failed(reason, cause=cause) if cause:
            lifecycle.fail(generation, cause, causes.FAILED[cause], detail=reason)
        case outcomes.Failed(reason, is_about_content=True):
            lifecycle.fail(generation, "upstream_failed", f"The upstream could not make the video: {reason}")
        case outcomes.Failed(reason):
            lifecycle.fail(generation, "upstream_failed", "The upstream could not make the video.", detail=reason)
        case outcomes.Cancelled():
            lifecycle.mark_cancelled(generation, CANCELLED_UPSTREAM)
        case _:
            assert_never(outcome)


def _poll_later(generation: Generation, reschedule: Reschedule, **columns: Any) -> None:
    """Reschedule the generation for its next poll, or fail it if the upstream had no video for too long."""
    if generation.outage_since or deadlines.stopped_time(generation):
        reschedule = lifecycle.reschedule  # which ends the outage
    elif deadlines.is_result_overdue(generation) and not columns.get("is_outage"):
        lifecycle.fail(generation, "upstream_gave_no_result", "The upstream gave no result within a day.")
        return
    age = backoff.task_age(generation)
    reschedule(generation, backoff.poll_interval(age, generation.account_name), **columns)
