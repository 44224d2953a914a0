"""The poll step: read a running generation's task at the upstream, and act on its state."""

from collections.abc import Callable
from typing import Any, assert_never

from django.utils import timezone

from generations import deadlines, lifecycle
from generations.models import Generation
from generations.telemetry import metrics
from generations.telemetry.failpoints import failpoint
from generations.upstream import outcomes
from generations.upstream.errors import UpstreamError
from generations.worker import backoff, upstream_task
from generations.worker.copy import copy_video

Reschedule = Callable[..., Any]  # `lifecycle.reschedule`, or a function that does the same later for many
Copy = Callable[[Generation, str], Any]  # called with the video's URL


def poll(generation: Generation, reschedule: Reschedule = lifecycle.reschedule, copy: Copy = copy_video) -> None:
    """Read the task once. If the video is ready, start its copy in the same step.

    A caller that polls many generations passes its own `reschedule`, for generations that still render, and its own
    `copy`, for generations whose copy has started.
    """
    if generation.was_due:
        metrics.POLL_LAG.observe(max((timezone.now() - generation.was_due).total_seconds(), 0))
    failpoint("poll_before")
    try:
        outcome = upstream_task.read(generation)
    except UpstreamError as error:
        interval = backoff.poll_interval(backoff.task_age(generation))
        lifecycle.reschedule(generation, interval, error=str(error), is_outage=True)
        return
    failpoint("poll_answered")
    if not isinstance(outcome, outcomes.Rendering) and (missing := generation.get_deferred_fields()):
        generation.refresh_from_db(fields=missing)
    match outcome:
        case outcomes.Rendering(progress_percent):
            _poll_later(generation, reschedule, progress_percent=progress_percent)
        case outcomes.Rendered(video_url, seed):
            if lifecycle.start_copying(generation, seed):
                failpoint("copy_started")
                copy(generation, video_url)
        case outcomes.Failed(reason):
            lifecycle.fail(generation, "upstream_failed", f"The upstream could not make the video: {reason}")
        case _:
            assert_never(outcome)


def _poll_later(generation: Generation, reschedule: Reschedule, **columns: Any) -> None:
    """Reschedule a generation that is still rendering, or fail it if the upstream has said so for too long."""
    if generation.outage_since or deadlines.stopped_time(generation):
        reschedule = lifecycle.reschedule  # which ends the outage
    elif deadlines.is_result_overdue(generation):
        lifecycle.fail(generation, "upstream_gave_no_result", "The upstream gave no result within a day.")
        return
    reschedule(generation, backoff.poll_interval(backoff.task_age(generation)), **columns)
