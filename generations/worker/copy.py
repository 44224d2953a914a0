"""The copy step: store a rendered video in the bucket, and finish its generation."""

import time

from generations import lifecycle
from generations.bucket.errors import StorageError
from generations.media.mp4 import BadVideo
from generations.models import Generation
from generations.outbound.errors import OutboundError
from generations.telemetry import metrics, tracing
from generations.upstream import outcomes
from generations.upstream.errors import UpstreamError
from generations.worker import backoff, upstream_task, video_transfer


def copy_again(generation: Generation) -> None:
    """Copy the video of a generation whose earlier copy failed, from a fresh URL."""
    try:
        outcome = upstream_task.read(generation)
    except UpstreamError as error:
        _copy_later(generation, str(error))
        return
    if isinstance(outcome, outcomes.Rendered):
        copy_video(generation, outcome.video_url)
    else:
        _copy_later(generation, f"the upstream no longer has the video: {outcome}")


def copy_video(generation: Generation, video_url: str) -> None:
    """Copy the video at `video_url`, and mark the generation as succeeded. Reschedule the generation on an error.

    If the lease is lost, nothing changes: another worker owns the row.
    """
    try:
        started = time.monotonic()
        with tracing.start_generation_span("copy", generation) as span:
            video = video_transfer.run(generation, video_url)
            span.set_attributes(bytes=video.size)
    except (StorageError, BadVideo, OutboundError) as error:
        _copy_later(generation, f"{type(error).__name__}: {error}")
    except video_transfer.LeaseLost:
        return
    else:
        metrics.COPY.observe(time.monotonic() - started)
        metrics.COPY_BYTES.observe(video.size)
        metrics.COPIED_BYTES.inc(video.size)
        lifecycle.mark_succeeded(generation, video)


def _copy_later(generation: Generation, reason: str) -> None:
    """Reschedule the copy, or fail the generation after GIVE_UP_AFTER. `reason` is for operators."""
    if backoff.task_age(generation) > backoff.GIVE_UP_AFTER:
        lifecycle.fail(generation, "copy_failed", "The video could not be stored within a day.", detail=reason)
    else:
        backoff.retry_later(generation, "the video could not be stored", reason)
