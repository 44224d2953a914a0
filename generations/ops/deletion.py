"""DELETE: a generation's bytes out of the bucket. Its row says so first, so that nothing of it is served meanwhile, and
what S3 does not do at once the worker does later.
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

LATER = timedelta(minutes=1)  # the request that deletes it has its own try first
AT_ONCE = 20  # of those that were left, in one sweep


def delete(generation: Generation) -> bool:
    """Whether its bytes are gone already; the worker sees to the rest. Raises NotPossible for one that is not over."""
    if not lifecycle.delete(generation):
        generation.refresh_from_db(fields=["status", "deleted_at", "purged_at"])
        if generation.deleted_at is None:
            raise NotPossible(
                reason=f"It is {generation.status}: cancel it, or wait for its end, before it is deleted."
            )
    return purge(generation)


def purge(generation: Generation) -> bool:
    try:
        for key in objects.list_keys(object_keys.video_prefix(generation)):  # of all copies: far below 1,000
            objects.delete(key)
        for image in filter(None, {generation.image, generation.last_image}):
            inputs.delete_unless_used(image)
    except StorageError as trouble:
        log.error("what was deleted is still in the bucket", trouble=str(trouble), generation=str(generation.pk))
        return False
    lifecycle.mark_purged(generation)
    return True


def purge_left() -> None:
    """What was deleted while S3 did not answer, or by a process that was killed amid it."""
    left = Generation.objects.filter(deleted_at__lt=timezone.now() - LATER, purged_at=None)
    for generation in left.select_related("image", "last_image").order_by("deleted_at")[:AT_ONCE]:
        if not purge(generation):
            return
