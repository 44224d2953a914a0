"""Retention: the deletion of data by age. Each function deletes one kind, and adds to the result of the run."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Q

from generations import ids, lifecycle, wakeups
from generations.bucket import inputs, objects
from generations.models import Attempt, AttemptSearch, Delivery, Event, Generation, MaintenanceCursor
from generations.ops.prune_run import BEFORE_ALL_DATA, PruneResult, PruneRun
from generations.reports import worker_hosts
from tenants import times
from tenants.limits import counters, refusals
from tenants.models import Tenant

EVENTS_CURSOR = "events"  # key of the MaintenanceCursor row; its position is a time in ISO format
MISMATCHED_VIDEO_AGE = timedelta(days=7)  # operators look at the file until then
FAILED_WAKE_UP_DAYS = 30  # django-q2 stores failed messages
SILENT_HOST_AFTER = timedelta(days=7)  # a worker host without a heartbeat for so long was removed


def delete_videos(run: PruneRun, result: PruneResult) -> None:
    """Delete videos, with their posters, whose generation finished before the tenant's cutoff (VIDEO_DAYS)."""
    for tenant, before in _cutoffs(run, "video_days", settings.VIDEO_DAYS):
        rows = Generation.objects.filter(
            tenant=tenant, status="succeeded", deleted_at=None, expired_at=None, finished_at__lt=before
        )
        for batch in run.take_batches(rows, result, "finished_at", "video_size"):
            expired = lifecycle.expire(
                batch, f"the video was deleted: the generation finished before {times.readable(before)} UTC"
            )
            keys = [key for generation in expired for key in (generation.video_key, generation.poster_key) if key]
            result.add_failures(objects.delete_many(keys))
            result.add(generation.video_size or 0 for generation in expired)


def delete_mismatched_videos(run: PruneRun, result: PruneResult) -> None:
    """Delete the files of videos that were never delivered, since they were far from what was requested."""
    rows = Generation.objects.filter(
        video_as_requested=False,
        finished_at__lt=run.now - MISMATCHED_VIDEO_AGE,
        status="failed",
        deleted_at=None,
        purged_at=None,
    )
    for batch in run.take_batches(rows, result, "finished_at", "video_size"):
        lifecycle.forget_mismatched_files(batch)
        keys = [key for generation in batch for key in (generation.video_key, generation.poster_key)]
        result.add_failures(objects.delete_many(keys))
        result.add(generation.video_size or 0 for generation in batch)


def delete_input_images(run: PruneRun, result: PruneResult) -> None:
    """Delete input images that no generation in progress uses, nor one created since the cutoff (INPUT_DAYS)."""
    for tenant, before in _cutoffs(run, "input_days", settings.INPUT_DAYS):
        rows = inputs.find_unused(tenant.pk, before)
        for batch in run.take_batches(rows, result, "created_at", "size"):
            deleted, failures = inputs.delete_unused(tenant.pk, [image.pk for image in batch], before)
            result.add_failures(failures)
            result.add(image.size for image in deleted)


def delete_events(run: PruneRun, result: PruneResult) -> None:
    """Delete all events, searches and answers of generations that finished before the cutoff (EVENT_DAYS).

    A cursor stores the finish time up to which events are deleted, so that no run reads earlier rows again.
    """
    before = run.cutoff(settings.EVENT_DAYS)
    cursor = MaintenanceCursor.objects.filter(pk=EVENTS_CURSOR).first()
    since = datetime.fromisoformat(cursor.position) if cursor and cursor.position else BEFORE_ALL_DATA
    rows = Generation.objects.filter(finished_at__gte=since, finished_at__lt=before).order_by("finished_at", "pk")
    if run.dry:
        result.count = Event.objects.filter(generation__in=rows.values("pk")).count()
        return
    while not run.is_over() and (batch := list(rows.values_list("pk", "finished_at")[: run.batch_size])):
        pks = [pk for pk, _ in batch]
        count, _ = Event.objects.filter(generation__in=pks).delete()
        Attempt.objects.filter(generation__in=pks).exclude(answer="").update(answer="")
        AttemptSearch.objects.filter(attempt__generation__in=pks).delete()
        result.count += count
        pk, last = batch[-1]
        assert last is not None
        MaintenanceCursor.objects.update_or_create(pk=EVENTS_CURSOR, defaults={"position": last.isoformat()})
        rows = rows.filter(Q(finished_at__gt=last) | Q(finished_at=last, pk__gt=pk))


def delete_deliveries(run: PruneRun, result: PruneResult) -> None:
    """Delete webhook deliveries that finished before the cutoff (DELIVERY_DAYS), with their attempts."""
    before = run.cutoff(settings.DELIVERY_DAYS)
    rows = Delivery.objects.filter(pk__lt=ids.smallest_at(before), finished_at__lt=before)
    for batch in run.take_batches(rows, result, "pk"):
        Delivery.objects.filter(pk__in=[delivery.pk for delivery in batch]).delete()
        result.count += len(batch)


def delete_minute_windows(run: PruneRun, result: PruneResult) -> None:
    """Delete the usage windows of past minutes."""
    result.count = counters.delete_old_minutes(run.now, dry=run.dry)


def delete_old_refusals(run: PruneRun, result: PruneResult) -> None:
    """Delete the counts of refused creates that no page shows any more."""
    run.delete(refusals.old(run.now), result)


def delete_failed_wake_ups(run: PruneRun, result: PruneResult) -> None:
    """Delete django-q2's rows of wake-ups that failed longer than FAILED_WAKE_UP_DAYS ago."""
    run.delete(wakeups.ended_before(run.now - timedelta(days=FAILED_WAKE_UP_DAYS)), result)


def delete_silent_hosts(run: PruneRun, result: PruneResult) -> None:
    """Delete the rows of worker hosts that are silent for SILENT_HOST_AFTER."""
    run.delete(worker_hosts.silent_since(run.now - SILENT_HOST_AFTER), result)


def delete_expired_sessions(run: PruneRun, result: PruneResult) -> None:
    """Delete expired sessions of the panel."""
    run.delete(Session.objects.filter(expire_date__lt=run.now), result)


def _cutoffs(run: PruneRun, field: str, default_days: int) -> Iterator[tuple[Tenant, datetime]]:
    """Yield each tenant with the cutoff by the tenant's own days in `field`, or by `default_days`."""
    for tenant in Tenant.objects.order_by("pk"):
        own_days = getattr(tenant, field)
        yield tenant, run.cutoff(default_days if own_days is None else own_days)
