"""Orphans: objects without a row are deleted, and objects in use or of unknown videos are not."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations.bucket import inputs, objects
from generations.media.images import inspect
from generations.models import Generation, MaintenanceCursor
from generations.ops.prune_run import CONTINUES, PruneRun
from tests.generations.test_lifecycle import put_in
from tests.support.factories import Caller
from tests.support.images import image_bytes
from tests.support.pruning import age_objects, days_ago, make_finished, prune

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bucket")]


def test_orphans_are_deleted_and_objects_in_use_or_unknown_are_not(
    alice: Caller, monkeypatch: Any, settings: Any
) -> None:
    served, deleted, expired = make_finished(alice, 1), make_finished(alice, 2), make_finished(alice, 40)
    copying = put_in(alice, Generation.Status.COPYING)[0]
    settings.VIDEO_DAYS = 30
    Generation.objects.filter(pk=deleted.pk).update(deleted_at=timezone.now(), purged_at=timezone.now())
    Generation.objects.filter(pk=expired.pk).update(expired_at=timezone.now())
    image = inputs.store(alice.tenant.pk, inspect(image_bytes()))
    orphans = [
        deleted.video_key,
        deleted.poster_key,
        expired.video_key,
        expired.poster_key,
        served.video_key.replace("-1.mp4", "-7.mp4"),  # of a worker that was killed
        f"inputs/{alice.tenant.pk}/{'0' * 64}",  # of a create that was killed before its row
    ]
    others = [
        served.video_key,
        served.poster_key,
        image.key,
        f"videos/1/2026/01/{copying.pk}-1.mp4",  # in progress
        "videos/1/2026/01/01a2128a-8ce7-7555-91ad-a6e727180044-1.mp4",  # no row: the database was restored
        "videos/readme.txt",  # not ours
        "backups/videos/1.mp4",
    ]
    for key in {*orphans, *others}:
        objects.put(key, b"bytes", "video/mp4")
    assert prune()["orphans"].count == 0  # all of them are young
    MaintenanceCursor.objects.all().delete()
    age_objects(monkeypatch, 8)
    dry = prune(dry=True)["orphans"]
    result = prune()["orphans"]
    assert (dry.count, result.count, result.bytes) == (6, 6, 30)
    assert result.note == "1 objects of videos without a row were not deleted"
    assert sorted(objects.list_keys("")) == sorted(others)
    assert "last search at" in prune()["orphans"].note  # no second search on the same day


def test_the_search_continues_where_the_last_run_stopped(monkeypatch: Any) -> None:
    age_objects(monkeypatch, 8)
    names = [f"inputs/1/{number:064d}" for number in range(5)]
    for name in names:
        objects.put(name, b"orphan", "image/png")
    MaintenanceCursor.objects.create(name="orphans", position=names[2])
    assert prune()["orphans"].count == 2
    assert sorted(objects.list_keys("")) == names[:3]
    cursor = MaintenanceCursor.objects.get(name="orphans")
    assert (cursor.position, bool(cursor.done_at)) == ("", True)
    MaintenanceCursor.objects.filter(name="orphans").update(done_at=days_ago(2))
    monkeypatch.setattr(PruneRun, "is_over", lambda self: True)
    assert prune()["orphans"].note == CONTINUES
    assert MaintenanceCursor.objects.get(name="orphans").position == names[2]


def test_uploads_that_were_never_completed_are_aborted(bucket: Any, settings: Any) -> None:
    bucket.create_multipart_upload(Bucket=settings.S3_BUCKET, Key="videos/1/parts.mp4")
    [upload] = bucket.list_multipart_uploads(Bucket=settings.S3_BUCKET)["Uploads"]
    started = upload["Initiated"]  # in 2010, as moto says of every upload
    with time_machine.travel(started + timedelta(days=6), tick=False):
        assert prune()["uploads"].count == 0
    with time_machine.travel(started + timedelta(days=8), tick=False):
        assert prune(dry=True)["uploads"].count == 1
        assert prune()["uploads"].count == 1
        assert prune()["uploads"].count == 0
    assert "Uploads" not in bucket.list_multipart_uploads(Bucket=settings.S3_BUCKET)
