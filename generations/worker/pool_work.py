"""The work of a worker run's threads: steps, deliveries, and tidying. No error leaves a thread."""

from collections.abc import Callable
from typing import Any

import structlog
from django.db import connections

from generations.models import Delivery, Generation
from generations.ops import deletion, limit_mails, limit_warnings, upstream_books
from generations.reports import hourly_statistics, usage_sums
from generations.upstream import poll_pauses
from generations.webhooks import deliveries, send
from generations.webhooks.fair_queue import Candidate
from generations.worker import steps
from generations.worker.copy import copy_video

log = structlog.stdlib.get_logger(__name__)

Step = tuple[Generation, str]  # with the URL of its video if its copy has already started, or ""


def take_step(step: Step) -> None:
    """Take the step that the generation is due for, or go on with its copy."""
    generation, video_url = step
    guard(generation, lambda: copy_video(generation, video_url) if video_url else steps.advance(generation))


def guard(generation: Generation, step: Callable[[], None]) -> None:
    """Run a step of the generation. Log an unexpected error, and reschedule the generation."""
    try:
        step()
    except Exception:
        log.exception("a step failed", generation=str(generation.pk), status=str(generation.status))
        _recover(steps.recover, generation)
    finally:
        _drop_broken_connection()


def deliver(claimed: tuple[Candidate, Delivery]) -> None:
    """Attempt a claimed delivery. Log an unexpected error, and record it with the delivery."""
    _, delivery = claimed
    try:
        send.attempt(delivery)
    except Exception:
        log.exception("a delivery failed", delivery=str(delivery.pk), tenant=delivery.tenant_id)
        _recover(send.record_internal_error, delivery)
    finally:
        _drop_broken_connection()


def tidy() -> None:
    """Do the upkeep of a worker run, once: one piece that fails holds back none of the others.

    Fail deliveries whose endpoint was deleted, delete what a deletion left in the bucket, update the statistics and the
    sums of usage, warn of limits that are nearly used up, and read the upstream's books.
    """
    for piece in (
        *(deliveries.fail_strays, deletion.retry_purges, hourly_statistics.store_past_hours),
        *(usage_sums.store, hourly_statistics.update_storage_use, poll_pauses.refresh),
        *(limit_warnings.write, limit_mails.send, upstream_books.read_due),
    ):
        try:
            piece()
        except Exception:
            log.exception("what is over could not be removed, or counted; the next sweep tries again")
        finally:
            _drop_broken_connection()


def _recover(recover: Callable[[Any], None], row: Generation | Delivery) -> None:
    """Call `recover` with the row. If that fails too, the database is away: the row falls due after its lease."""
    try:
        recover(row)
    except Exception:
        log.exception("its failure could not be recorded", **{type(row).__name__.lower(): str(row.pk)})


def _drop_broken_connection() -> None:
    """Close this thread's connection if it is broken: it would fail each later step of the thread."""
    connections["default"].close_if_unusable_or_obsolete()
