"""Deletion of a generation's video, poster and input images from the bucket.

The row is marked as deleted first, so that nothing serves the bytes. What S3 does not delete at once, the worker
deletes later.
"""

from datetime import timedelta

import structlog
from django.utils import timezone

from generations import lifecycle
from generations.bucket import inputs, object_keys, objects
from generations.bucket.errors import StorageError
from generations.models import Generation
from tenants.errors import NotPossible

log = structlog.stdlib.get_logger(__name__)

RETRY_AFTER = timedelta(minutes=1)  # the request that deletes a generation tries first
MAX_RETRIES_PER_RUN = 20  # generations in one worker run


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
    """Delete the bytes of a deleted generation. Return False if S3 fails.

    Input images that other generations use are not deleted.
    """
    try:
        for key in objects.list_keys(object_keys.video_prefix(generation)):  # of all copies: far below 1,000
            objects.delete(key)
        for image in filter(None, {generation.image, generation.last_image}):
            inputs.delete_unless_used(image)
    except StorageError as error:
        log.error("what was deleted is still in the bucket", trouble=str(error), generation=str(generation.pk))
        return False
    lifecycle.mark_purged(generation)
    return True


def retry_purges() -> None:
    """Delete the bytes of deleted generations that are still in the bucket, until S3 fails.

    S3 did not answer, or the process was killed, when they were deleted.
    """
    rows = Generation.objects.filter(deleted_at__lt=timezone.now() - RETRY_AFTER, purged_at=None)
    for generation in rows.select_related("image", "last_image").order_by("deleted_at")[:MAX_RETRIES_PER_RUN]:
        if not purge(generation):
            return
