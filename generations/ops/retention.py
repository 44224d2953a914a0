"""What is kept for how long, and what goes: `manage.py prune`, and each hour by itself.

A row says first that its bytes are gone, so that nothing of it is served, and then they go; what a process that was
killed between the two leaves behind is an orphan, which goes later. Rows of generations, the ledger and the audit log
are never pruned.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from generations import ids, lifecycle, wakeups
from generations.bucket import inputs, object_keys, objects
from generations.bucket.errors import StorageError
from generations.models import Delivery, Event, Generation, InputImage, MaintenanceCursor
from generations.reports import worker_hosts
from tenants import times
from tenants.limits import counters
from tenants.models import Tenant

log = structlog.stdlib.get_logger(__name__)

AT_ONCE = 500  # rows and objects in one write
ORPHAN_AFTER = timedelta(days=7)  # an object without a row that wants it: a copy under way has none for minutes
ORPHANS_EVERY = timedelta(days=1)  # how often the whole bucket is looked through
QUEUE_DAYS = 30  # what django-q2 keeps of rings that failed
SILENT_HOST = timedelta(days=7)  # a worker host that was not seen for so long is gone
EVER = datetime(2000, 1, 1, tzinfo=UTC)  # nothing is older


@dataclass
class Pruned:
    """What went, or would."""

    what: str
    count: int = 0
    bytes: int = 0
    note: str = ""


class Prune:
    """One run. `dry`: nothing is changed. `seconds`: it stops after so many, and the next one goes on; 0: never."""

    def __init__(self, *, dry: bool = False, seconds: float = 0.0) -> None:
        self.dry, self.now = dry, timezone.now()
        self._ends = time.monotonic() + seconds if seconds else float("inf")

    def run(self) -> list[Pruned]:
        """Each kind for itself: S3 that does not answer keeps no row from going."""
        kinds: list[Callable[[], Pruned]] = [self.videos, self.pictures, self.orphans, self.uploads, self.events]
        kinds += [self.deliveries, self.minutes, self.rings, self.hosts, self.sessions]
        found = []
        for kind in kinds:
            try:
                found.append(kind())
            except StorageError as trouble:
                log.error("the bucket does not let it be pruned", what=kind.__name__, trouble=str(trouble))
                found.append(Pruned(kind.__name__, note=f"not done: {trouble}"))
        for one in found:
            if one.count and not self.dry:
                log.info("pruned", action=one.what, count=one.count, bytes=one.bytes)
        return found

    def videos(self) -> Pruned:
        """Of each tenant, by the age of the generation's end."""
        done = Pruned("videos")
        for tenant, before in self._bounds("video_days", settings.VIDEO_DAYS):
            rows = Generation.objects.filter(
                tenant=tenant, status="succeeded", deleted_at=None, expired_at=None, finished_at__lt=before
            )
            for batch in self._batches(rows.order_by("finished_at"), done, "video_size"):
                gone = lifecycle.expire(batch, f"its video was removed: it ended before {times.readable(before)} UTC")
                objects.delete_many([key for one in gone for key in (one.video_key, one.poster_key) if key])
                done.count += len(gone)
                done.bytes += sum(one.video_size or 0 for one in gone)
        return done

    def pictures(self) -> Pruned:
        """That no generation which is live, or was made since, was made from."""
        done = Pruned("pictures")
        for tenant, before in self._bounds("input_days", settings.INPUT_DAYS):
            rows = inputs.unused(tenant.pk, before)
            for batch in self._batches(rows.order_by("created_at"), done, "size"):
                gone = inputs.delete_unused(tenant.pk, [one.pk for one in batch], before)
                done.count += len(gone)
                done.bytes += sum(one.size for one in gone)
                if not gone:  # all of them are wanted again
                    break
        return done

    def orphans(self) -> Pruned:
        """Objects under this service's names that no row wants. A video whose row is not known is left, and told: it is
        paid for, and the database may have been restored from an older backup.
        """
        done, unknown = Pruned("orphans"), 0
        chore, _ = (None, None) if self.dry else MaintenanceCursor.objects.get_or_create(pk="orphans")
        if chore and chore.done_at and self.now - chore.done_at < ORPHANS_EVERY:
            done.note = f"looked for at {times.readable(chore.done_at)} UTC"
            return done
        for page in objects.list_pages([object_keys.INPUTS, object_keys.VIDEOS], after=chore.position if chore else ""):
            old = [one for one in page if self.now - one.modified > ORPHAN_AFTER]
            orphans, left = _orphans(old)
            unknown += left
            if not self.dry:
                objects.delete_many([one.key for one in orphans])
                MaintenanceCursor.objects.filter(pk="orphans").update(position=page[-1].key)
            done.count += len(orphans)
            done.bytes += sum(one.size for one in orphans)
            if self._is_over():
                done.note = "goes on in the next run"
                return done
        if not self.dry:
            MaintenanceCursor.objects.filter(pk="orphans").update(position="", done_at=timezone.now())
        if unknown:
            done.note = f"{unknown} objects of videos that are in no row were left"
        return done

    def uploads(self) -> Pruned:
        """In parts, begun and never ended. The service begins none."""
        return Pruned("uploads", objects.abort_uploads(self.now - ORPHAN_AFTER, dry=self.dry))

    def events(self) -> Pruned:
        """The moves of generations that ended long ago, all of one generation's together."""
        done, before = Pruned("events"), self._before(settings.EVENT_DAYS)
        chore = MaintenanceCursor.objects.filter(pk="events").first()
        since = datetime.fromisoformat(chore.position) if chore and chore.position else EVER
        ended = Generation.objects.filter(finished_at__gte=since, finished_at__lt=before).order_by("finished_at", "pk")
        if self.dry:
            done.count = Event.objects.filter(generation__in=ended.values("pk")).count()
            return done
        while not self._is_over() and (batch := list(ended.values_list("pk", "finished_at")[:AT_ONCE])):
            count, _ = Event.objects.filter(generation__in=[pk for pk, _ in batch]).delete()
            done.count += count
            pk, last = batch[-1]
            assert last is not None
            MaintenanceCursor.objects.update_or_create(pk="events", defaults={"position": last.isoformat()})
            ended = ended.filter(Q(finished_at__gt=last) | Q(finished_at=last, pk__gt=pk))
        return done

    def deliveries(self) -> Pruned:
        """Webhooks that were delivered or given up, with their attempts."""
        done, before = Pruned("deliveries"), self._before(settings.DELIVERY_DAYS)
        rows = Delivery.objects.filter(pk__lt=ids.floor(before), finished_at__lt=before).order_by("pk")
        for batch in self._batches(rows, done):
            Delivery.objects.filter(pk__in=[one.pk for one in batch]).delete()
            done.count += len(batch)
        return done

    def minutes(self) -> Pruned:
        return Pruned("minutes", counters.delete_old_minutes(self.now, dry=self.dry))

    def rings(self) -> Pruned:
        return self._removed("rings", wakeups.ended_before(self.now - timedelta(days=QUEUE_DAYS)))

    def hosts(self) -> Pruned:
        return self._removed("hosts", worker_hosts.silent_since(self.now - SILENT_HOST))

    def sessions(self) -> Pruned:
        """Of the panel."""
        return self._removed("sessions", Session.objects.filter(expire_date__lt=self.now))

    def _removed(self, what: str, rows: QuerySet[Any]) -> Pruned:
        return Pruned(what, rows.count() if self.dry else rows.delete()[0])

    def _bounds(self, field: str, default: int) -> Iterator[tuple[Tenant, datetime]]:
        """Each tenant, and before when what goes of it was made."""
        for tenant in Tenant.objects.order_by("pk"):
            own = getattr(tenant, field)
            yield tenant, self._before(default if own is None else own)

    def _before(self, days: int) -> datetime:
        """Return when what is kept for so many days was made at the latest. 0 days: it is kept for ever."""
        return self.now - timedelta(days=days) if days else EVER

    def _batches(self, rows: QuerySet[Any], done: Pruned, size: str = "") -> Iterator[list[Any]]:
        """What there is, until there is none or time is over. Dry, it is only counted."""
        if self.dry:
            done.count += rows.count()
            done.bytes += rows.aggregate(bytes=Sum(size, default=0))["bytes"] if size else 0
            return
        while batch := list(rows[:AT_ONCE]):
            yield batch
            if self._is_over():
                done.note = "goes on in the next run"
                return

    def _is_over(self) -> bool:
        return time.monotonic() > self._ends


def _orphans(found: Iterable[objects.ListedObject]) -> tuple[list[objects.ListedObject], int]:
    """Those that no row wants, and how many videos no row knows. What has none of our names is somebody else's."""
    videos = {one.key: (pk, one) for one in found if (pk := object_keys.generation_id(one.key))}
    pictures = {one.key: one for one in found if object_keys.is_input(one.key)}
    rows = Generation.objects.filter(pk__in={pk for pk, _ in videos.values()})
    known = {row.pk: row for row in rows.only("video_key", "poster_key", "deleted_at", "expired_at", "finished_at")}
    unknown = sum(1 for pk, _ in videos.values() if pk not in known)
    unwanted = [one for key, (pk, one) in videos.items() if pk in known and not _is_wanted(known[pk], key)]
    kept = set(InputImage.objects.filter(key__in=pictures, gone_at=None).values_list("key", flat=True))
    return unwanted + [one for key, one in pictures.items() if key not in kept], unknown


def _is_wanted(row: Generation, key: str) -> bool:
    if row.finished_at is None:
        return True
    return key in (row.video_key, row.poster_key) and row.deleted_at is None and row.expired_at is None
