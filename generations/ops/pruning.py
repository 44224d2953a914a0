"""Pruning: the deletion of old data and of orphans, by `manage.py prune` and each hour by the worker.

A row records first that its bytes are deleted, so that nothing serves them, and then the bytes are deleted. If the
process is killed in between, the bytes are an orphan, which a later run deletes. Rows of generations, the ledger and
the audit log are never pruned.
"""

from collections.abc import Callable

import structlog
from django.db import DatabaseError, connection

from generations.bucket.errors import StorageError
from generations.ops import orphans, retention
from generations.ops.prune_run import PruneResult, PruneRun
from tenants.db.engine import engine

log = structlog.stdlib.get_logger(__name__)

MAX_CLOCK_DIFFERENCE_SECONDS = 60.0
# In the order of a run. Scripts and searches of the log hold these names, so none changes.
KINDS: dict[str, Callable[[PruneRun, PruneResult], None]] = {
    "videos": retention.delete_videos,
    "mismatched": retention.delete_mismatched_videos,
    "pictures": retention.delete_input_images,
    "orphans": orphans.delete_orphans,
    "uploads": orphans.abort_uploads,
    "events": retention.delete_events,
    "deliveries": retention.delete_deliveries,
    "minutes": retention.delete_minute_windows,
    "refusals": retention.delete_old_refusals,
    "rings": retention.delete_failed_wake_ups,
    "hosts": retention.delete_silent_hosts,
    "sessions": retention.delete_expired_sessions,
}


class ClocksDiffer(Exception):
    """Data cannot be judged by its age; the message is a sentence for operators."""


def run(*, dry: bool = False, seconds: float = 0.0) -> list[PruneResult]:
    """Prune every kind and return a result for each. For `dry` and `seconds` see PruneRun.

    If S3 or the database fails for one kind, the run logs that and continues with the others. Raise ClocksDiffer.
    """
    if not dry:
        check_clocks()
    prune_run = PruneRun(dry=dry, seconds=seconds)
    results = [_prune(what, delete, prune_run) for what, delete in KINDS.items()]
    for result in results:
        if result.count and not dry:
            log.info("pruned", action=result.what, count=result.count, bytes=result.bytes)
    return results


def check_clocks() -> None:
    """Raise ClocksDiffer if the database's clock is not this host's: one of the two is wrong, and so would ages be."""
    seconds = engine.clock_difference().total_seconds()
    if abs(seconds) > MAX_CLOCK_DIFFERENCE_SECONDS:
        raise ClocksDiffer(
            f"The database's clock is {seconds:+.0f} s from this host's, so the age of data is not known. Nothing was "
            "deleted. Set both clocks by NTP."
        )


def _prune(what: str, delete: Callable[[PruneRun, PruneResult], None], prune_run: PruneRun) -> PruneResult:
    """Prune one kind. If S3 or the database fails, the result has what was deleted before, and a note."""
    result = PruneResult(what)
    try:
        delete(prune_run, result)
    except StorageError as error:
        log.error("the bucket does not let it be pruned", what=what, trouble=str(error))
        result.note, result.failed = f"failed: {error}", result.failed + 1
    except DatabaseError as error:  # such as a deadlock, or a lock that took too long
        log.exception("what is past its retention could not be deleted", what=what)
        result.note, result.failed = f"failed: {type(error).__name__}", result.failed + 1
        connection.close_if_unusable_or_obsolete()
    return result
