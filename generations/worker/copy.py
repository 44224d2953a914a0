"""The copy step: store a rendered video in the bucket, and finish its generation."""

import time

from generations import deadlines, lifecycle
from generations.bucket.errors import StorageError
from generations.media.mp4 import BadVideo
from generations.models import Generation
from generations.outbound.errors import FetchNotServed, FetchRefused, FetchTooLarge, OutboundError
from generations.telemetry import metrics, tracing
from generations.upstream import outcomes, poll_pauses, task_state
from generations.upstream.errors import NoVideo, UpstreamError
from generations.worker import backoff, video_comparison, video_transfer
from generations.worker.spool import DiskShort

NOT_STORED = "the video could not be stored"
DISK_SHORT = "the worker's disk has no place for the video now"
DISK_WAIT_SECONDS = 10.0  # in which other copies end, and free their files
MAX_UNUSABLE_FILES = 5  # within two minutes, and then the generation fails
UNUSABLE_FILE_SECONDS = 10.0  # before the second file; as much longer before each further one


def copy_again(generation: Generation) -> None:
    """Copy the video of a generation whose earlier copy failed, from a fresh URL."""
    poll_pauses.refresh()
    if seconds := poll_pauses.seconds_left(generation.account_name):
        lifecycle.reschedule(generation, seconds, is_outage=True)
        return
    try:
        outcome = task_state.read(generation)
    except NoVideo as error:
        _count_refusal(generation, str(error))
    except UpstreamError as error:
        backoff.retry_later(generation, NOT_STORED, str(error), is_outage=True)
    else:
        if isinstance(outcome, outcomes.Rendered):
            if lifecycle.record_report(generation, outcome):
                copy_video(generation, outcome.video_url, is_first=False)
        else:
            _count_refusal(generation, f"the upstream no longer has the video: {outcome}")


def copy_video(generation: Generation, video_url: str, *, is_first: bool = True) -> None:
    """Copy the video at `video_url`, and mark the generation as succeeded. Reschedule the generation on an error.

    A copy that is not the first deletes what earlier ones have left in the bucket. If the lease is lost, nothing
    changes: another worker owns the row.
    """
    try:
        started = time.monotonic()
        if not is_first:
            video_transfer.delete_older(generation)
        with tracing.start_generation_span("copy", generation) as span:
            transferred = video_transfer.run(generation, video_url)
            span.set_attributes(bytes=transferred.stored.size)
    except BadVideo as error:
        _refuse_file(generation, error)
    except (FetchRefused, FetchNotServed, FetchTooLarge) as error:
        _count_refusal(generation, f"{type(error).__name__}: {error}")
    except OutboundError as error:
        reason, wait = f"{type(error).__name__}: {error}", error.retry_after or 0.0
        backoff.retry_later(generation, NOT_STORED, reason, is_outage=True, at_least=wait)
    except DiskShort as error:
        backoff.retry_later(generation, DISK_SHORT, str(error), is_outage=True, at_least=DISK_WAIT_SECONDS)
    except StorageError as error:
        backoff.retry_later(generation, NOT_STORED, f"{type(error).__name__}: {error}", is_outage=True)
    except video_transfer.LeaseLost:
        return
    else:
        metrics.COPY.observe(time.monotonic() - started)
        metrics.COPY_BYTES.observe(transferred.stored.size)
        metrics.COPIED_BYTES.inc(transferred.stored.size)
        _finish(generation, transferred)


def _finish(generation: Generation, transferred: video_transfer.Transferred) -> None:
    """Deliver the stored video, or fail the generation if the video is far from what was requested."""
    compared = video_comparison.compare(generation, transferred.video)
    mark = lifecycle.mark_mismatched if compared.is_far_off else lifecycle.mark_succeeded
    mark(generation, transferred.stored, compared.differences)


def _refuse_file(generation: Generation, error: BadVideo) -> None:
    """Reschedule the copy of a file that is no whole video, or fail the generation after MAX_UNUSABLE_FILES of them.

    The upstream may serve another file next time: a page of its proxy is no video either.
    """
    files, reason = generation.unusable_files + 1, f"{type(error).__name__}: {error}"
    if files >= MAX_UNUSABLE_FILES:
        message = f"The upstream served no video that can be played: {error}."
        lifecycle.fail(generation, "video_unreadable", message, detail=reason)
    else:
        seconds = files * UNUSABLE_FILE_SECONDS
        lifecycle.reschedule(generation, seconds, error=NOT_STORED, detail=reason, unusable_files=files)


def _count_refusal(generation: Generation, reason: str) -> None:
    """Reschedule the copy of a video that is not there, or fail the generation if that was said for too long.

    `reason` is for operators.
    """
    refusals = lifecycle.failures_without_outage(generation) + 1
    if deadlines.is_result_overdue(generation) and refusals >= backoff.MIN_COPIES:
        lifecycle.fail(generation, "copy_failed", "The video could not be stored within a day.", detail=reason)
    else:
        backoff.retry_later(generation, NOT_STORED, reason)
