"""What S3 did not delete: each object is recorded with the reason, shown to operators, and tried again ever later.

So one object that cannot be deleted holds back no other deletion.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db.models import Count, Min, QuerySet

from generations.bucket import objects
from generations.bucket.errors import StorageError
from generations.bucket.objects import Undeleted
from generations.models import UndeletedObject
from generations.models.undeleted_object import NO_GENERATION
from tenants.db import clock

log = structlog.stdlib.get_logger(__name__)

FIRST_RETRY, LONGEST_RETRY = timedelta(minutes=1), timedelta(days=1)  # the wait doubles with each failure
MAX_DOUBLINGS = 20  # far above LONGEST_RETRY
MAX_REASON_CHARS, LOGGED_KEYS = 200, 3


@dataclass(frozen=True)
class Summary:
    """How many objects are not deleted, since when, and why."""

    count: int
    since: datetime | None
    reasons: list[str]  # the most frequent first


def record(failures: Sequence[Undeleted], generation_id: UUID = NO_GENERATION) -> None:
    """Record objects that S3 did not delete, of a deleted generation or of none. Each further try is due later."""
    now = clock.now()
    for failure in failures:
        row, is_new = UndeletedObject.objects.get_or_create(
            key=failure.key,
            generation_id=generation_id,
            defaults={"first_failed_at": now, "failed_at": now, "due_at": now, "reason": ""},
        )
        row.reason, row.failed_at = failure.reason[:MAX_REASON_CHARS], now
        if not is_new:
            row.failures += 1
            row.due_at = now + min(FIRST_RETRY * 2 ** min(row.failures, MAX_DOUBLINGS), LONGEST_RETRY)
        row.save()
    if failures:
        first = [failure.key for failure in failures[:LOGGED_KEYS]]
        reasons = sorted({failure.reason for failure in failures})
        log.error(
            "what was deleted is still in the bucket", count=len(failures), keys=first, trouble=", ".join(reasons)
        )


def delete_or_record(key: str) -> None:
    """Delete an object that a later search for orphans deletes as well. If S3 fails, record that and go on."""
    try:
        objects.delete(key)
    except StorageError as error:
        record([Undeleted(key, str(error))])


def forget(keys: Iterable[str]) -> None:
    """Forget objects of no generation that were deleted now."""
    UndeletedObject.objects.filter(generation_id=NO_GENERATION, key__in=list(keys)).delete()


def forget_generation(generation_id: UUID) -> None:
    """Forget the objects of a deleted generation, all of which were deleted now."""
    UndeletedObject.objects.filter(generation_id=generation_id).delete()


def forget_tried_before(moment: datetime) -> None:
    """Forget objects of no generation that the searches since then did not find: another program deleted them."""
    UndeletedObject.objects.filter(generation_id=NO_GENERATION, failed_at__lt=moment).delete()


def generations_that_wait() -> QuerySet[UndeletedObject, UUID]:
    """Return the ids of deleted generations whose next try is not yet due, as a query."""
    return UndeletedObject.objects.filter(due_at__gt=clock.now()).values_list("generation_id", flat=True)


def summarize() -> Summary:
    """Return how much is not deleted."""
    facts = UndeletedObject.objects.aggregate(count=Count("pk"), since=Min("first_failed_at"))
    reasons = UndeletedObject.objects.values("reason").annotate(count=Count("pk")).order_by("-count", "reason")
    return Summary(facts["count"], facts["since"], [row["reason"] for row in reasons[:LOGGED_KEYS]])
