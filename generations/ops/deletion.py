"""Deletion of a generation's video, poster and input images from the bucket.

The row is marked as deleted first, so that nothing serves the bytes. What S3 does not delete at once, the worker
deletes later.
"""

from datetime import timedelta

from generations import lifecycle
from generations.bucket import inputs, object_keys, objects, undeleted
from generations.bucket.errors import StorageError
from generations.bucket.objects import Undeleted
from generations.models import Generation, InputImage
from tenants.db import clock
from tenants.errors import NotPossible

RETRY_AFTER = timedelta(minutes=1)  # the request that deletes a generation tries first
MAX_RETRIES_PER_RUN = 20  # generations in one worker run
MAX_FAILURES_IN_A_ROW = 3  # each may take a minute of a thread of the run


def delete(generation: Generation) -> bool:
    """Mark a finished generation as deleted and delete its bytes. Return whether all bytes are deleted.

    If not, the worker deletes the rest. Raise NotPossible if the generation has not finished.
    """
    if not lifecycle.delete(generation):
        generation.refresh_from_db(fields=["status", "deleted_at", "purged_at"])
        if generation.deleted_at is None:
            status = generation.status
            raise NotPossible(
                reason=f"The generation is {status}: wait until it has finished, or cancel it if it is queued."
            )
    return purge(generation)


def purge(generation: Generation) -> bool:
    """Delete the bytes of a deleted generation. Return False if some are still there: they are recorded.

    Input images that other generations use are not deleted.
    """
    prefix = object_keys.video_prefix(generation)
    try:
        failures = objects.delete_many(objects.list_keys(prefix))  # of all copies: far below 1,000
        for image in filter(None, {generation.image, generation.last_image}):
            failures += _delete_image(image)
    except StorageError as error:
        failures = [Undeleted(prefix, str(error))]
    if failures:
        undeleted.record(failures, generation.pk)
        return False
    undeleted.forget_generation(generation.pk)
    lifecycle.mark_purged(generation)
    return True


def _delete_image(image: InputImage) -> list[Undeleted]:
    """Delete an input image unless it is used, and return it if S3 refused to. Raise StorageError if S3 is away."""
    try:
        inputs.delete_unless_used(image)
    except StorageError as error:
        if not error.is_refusal:
            raise
        return [Undeleted(image.key, error.code)]
    return []


def retry_purges() -> None:
    """Delete the bytes of deleted generations that are still in the bucket, where the next try is due.

    S3 did not answer or refused, or the process was killed, when they were deleted. After MAX_FAILURES_IN_A_ROW S3
    seems to be away; the next run continues with other generations, since these now wait.
    """
    failures = 0
    rows = Generation.objects.filter(deleted_at__lt=clock.now() - RETRY_AFTER, purged_at=None)
    rows = rows.exclude(pk__in=undeleted.generations_that_wait()).select_related("image", "last_image")
    for generation in rows.order_by("deleted_at")[:MAX_RETRIES_PER_RUN]:
        failures = 0 if purge(generation) else failures + 1
        if failures == MAX_FAILURES_IN_A_ROW:
            return
