"""Orphans: objects in the bucket that no row refers to, left by processes that were killed or by failed deletions."""

from collections.abc import Iterable
from datetime import timedelta

from generations.bucket import object_keys, objects, undeleted
from generations.models import Generation, InputImage, MaintenanceCursor
from generations.ops.prune_run import CONTINUES, PruneResult, PruneRun
from tenants import times
from tenants.db import clock

MIN_ORPHAN_AGE = timedelta(days=7)  # a copy in progress has an object without a row, but for minutes only
SEARCH_INTERVAL = timedelta(days=1)  # between two searches of the whole bucket
FACTS = ("deleted_at", "expired_at", "purged_at", "finished_at")
FORGOTTEN_AFTER = 3 * MIN_ORPHAN_AGE  # an object that no search has found for so long is gone
CURSOR = "orphans"  # key of the MaintenanceCursor row; its position is the last key that was checked


def delete_orphans(run: PruneRun, result: PruneResult) -> None:
    """Delete objects with our keys that no row refers to. Search the bucket once a day.

    A video whose generation has no row is not deleted, only counted in the note. It is paid for, and the database may
    have been restored from an older backup. A run that reaches its time limit stores the position for the next run.
    """
    cursor = None if run.dry else MaintenanceCursor.objects.get_or_create(pk=CURSOR)[0]
    if cursor and cursor.done_at and run.now - cursor.done_at < SEARCH_INTERVAL:
        result.note = f"last search at {times.readable(cursor.done_at)} UTC"
        return
    unknown = 0
    prefixes = [object_keys.INPUTS, object_keys.VIDEOS]
    for page in objects.list_pages(prefixes, after=cursor.position if cursor else ""):
        orphans, unknown_in_page = _find_orphans([item for item in page if run.now - item.modified > MIN_ORPHAN_AGE])
        unknown += unknown_in_page
        failures = [] if run.dry else objects.delete_many([orphan.key for orphan in orphans])
        refused = {failure.key for failure in failures}
        deleted = [orphan for orphan in orphans if orphan.key not in refused]
        result.add(orphan.size for orphan in deleted)
        if not run.dry:
            result.add_failures(failures)
            undeleted.forget(orphan.key for orphan in deleted)
            MaintenanceCursor.objects.filter(pk=CURSOR).update(position=page[-1].key)
        if run.is_over():
            result.note = CONTINUES
            return
    if not run.dry:
        MaintenanceCursor.objects.filter(pk=CURSOR).update(position="", done_at=clock.now())
        undeleted.forget_tried_before(run.now - FORGOTTEN_AFTER)
    if unknown:
        result.note = "; ".join(
            filter(None, [f"{unknown} objects of videos without a row were not deleted", result.note])
        )


def abort_uploads(run: PruneRun, result: PruneResult) -> None:
    """Abort old multipart uploads that were never completed. The service itself starts none."""
    result.count, failures = objects.abort_uploads(run.now - MIN_ORPHAN_AGE, dry=run.dry)
    result.add_failures(failures)


def _find_orphans(listed: Iterable[objects.ListedObject]) -> tuple[list[objects.ListedObject], int]:
    """Return the orphans among the listed objects, and the number of video objects whose generation has no row.

    Objects without a key of ours belong to others and are left out.
    """
    videos = {item.key: (pk, item) for item in listed if (pk := object_keys.generation_id(item.key))}
    images = {item.key: item for item in listed if object_keys.is_input(item.key)}
    rows = Generation.objects.filter(pk__in={pk for pk, _ in videos.values()})
    by_pk = {row.pk: row for row in rows.only("video_key", "poster_key", *FACTS)}
    unknown = sum(1 for pk, _ in videos.values() if pk not in by_pk)
    orphans = [item for key, (pk, item) in videos.items() if pk in by_pk and not _is_in_use(by_pk[pk], key)]
    stored = set(InputImage.objects.filter(key__in=images, gone_at=None).values_list("key", flat=True))
    return orphans + [item for key, item in images.items() if key not in stored], unknown


def _is_in_use(generation: Generation, key: str) -> bool:
    """Return whether the generation serves the object, or is in progress and may still copy to it."""
    if generation.finished_at is None:
        return True
    keys = (generation.video_key, generation.poster_key)
    return key in keys and not (generation.deleted_at or generation.expired_at or generation.purged_at)
