"""What is kept for how long, and that nothing goes that is wanted."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.utils import timezone
from django_q.models import Schedule, Task

from generations import ids, lifecycle, tasks, wakeups
from generations.bucket import inputs
from generations.bucket import objects as bucket_objects
from generations.bucket.errors import StorageError
from generations.errors import InputsGone
from generations.media.images import inspect
from generations.models import Delivery, DeliveryAttempt, Event, Generation, InputImage, MaintenanceCursor, Worker
from generations.ops import deletion, retention
from generations.reports import worker_hosts
from generations.webhooks import deliveries
from tenants import actions
from tenants.models import LedgerEntry, Tenant, Window
from tests.generations.test_lifecycle import VIDEO, put_in
from tests.support.factories import ACTOR, Caller, make_generation
from tests.support.images import mp4, picture

pytestmark = pytest.mark.django_db
Status = Generation.Status


def days_ago(days: float) -> Any:
    return timezone.now() - timedelta(days=days)


@pytest.fixture
def finished(alice: Caller, bucket: Any) -> Any:
    """Makes one that succeeded so many days ago, with its objects in the bucket."""

    def make(days: float, caller: Caller = alice, **facts: Any) -> Generation:
        g, _ = put_in(caller, Status.SUCCEEDED)
        name = f"videos/{caller.tenant.pk}/2026/01/{g.pk}-1"
        bucket_objects.put(f"{name}.mp4", mp4(), "video/mp4")
        bucket_objects.put(f"{name}.jpg", b"poster", "image/jpeg")
        at = days_ago(days)
        Generation.objects.filter(pk=g.pk).update(
            **{"video_key": f"{name}.mp4", "poster_key": f"{name}.jpg", "finished_at": at, "created_at": at, **facts}
        )
        return Generation.objects.get(pk=g.pk)

    return make


def keep(tenant: Tenant, days: int | None, field: str = "video_days") -> None:
    actions.change_tenant(ACTOR, tenant, **{field: days})


def pruned(**options: Any) -> dict[str, retention.Pruned]:
    return {one.what: one for one in retention.Prune(**options).run()}


def aged(monkeypatch: Any, days: float) -> None:
    """As if so many days had gone by since anything was put into the bucket."""
    monkeypatch.setattr(retention, "ORPHAN_AFTER", retention.ORPHAN_AFTER - timedelta(days=days))


def test_nothing_of_a_caller_goes_unless_it_was_told_so(finished: Any) -> None:
    row = finished(5000)
    found = pruned()
    assert {name: one.count for name, one in found.items() if one.count} == {"events": 5}  # after 400 days
    assert bucket_objects.exists(row.video_key)


def test_videos_go_after_their_tenants_days(finished: Any, alice: Caller, bob: Caller, settings: Any) -> None:
    settings.VIDEO_DAYS = 30
    keep(bob.tenant, 100)
    old, young, his = finished(31), finished(29), finished(99, bob)
    done = pruned()["videos"]
    assert (done.count, done.bytes) == (1, VIDEO.size)
    assert not bucket_objects.exists(old.video_key)
    assert not bucket_objects.exists(old.poster_key)
    assert bucket_objects.exists(young.video_key)
    assert bucket_objects.exists(his.video_key)
    row = alice.http.get(f"/v1/generations/{old.pk}").json()
    assert (row["status"], row["video"], row["poster"], row["deleted_at"]) == ("succeeded", None, None, None)
    assert row["expired_at"]
    refused = alice.http.get(f"/v1/generations/{old.pk}/video")
    assert (refused.status_code, refused.json()["code"]) == (410, "video_deleted")
    wire = alice.http.get("/v3/async/task-result", {"task_id": str(old.pk)}).json()
    assert (wire["task"]["status"], wire["videos"]) == ("TASK_STATUS_SUCCEED", [])
    last = old.events.last()
    assert last is not None
    assert last.message.startswith("its video was removed: it ended before")
    assert LedgerEntry.objects.filter(generation_id=old.pk).count() == 2
    assert pruned()["videos"].count == 0


def test_a_tenant_may_keep_them_for_ever(finished: Any, alice: Caller, settings: Any) -> None:
    settings.VIDEO_DAYS = 1
    keep(alice.tenant, 0)
    finished(5000)
    assert pruned()["videos"].count == 0


def test_a_dry_run_says_what_would_go_and_changes_nothing(
    finished: Any, alice: Caller, settings: Any, monkeypatch: Any
) -> None:
    settings.VIDEO_DAYS, settings.INPUT_DAYS, settings.EVENT_DAYS = 30, 30, 30
    image = inputs.store(alice.tenant.pk, inspect(picture()))
    InputImage.objects.update(created_at=days_ago(50))
    old = finished(40, image=image)
    before = {
        model: list(model.objects.order_by("pk").values())
        for model in (Generation, InputImage, Event, MaintenanceCursor)
    }
    objects = sorted(bucket_objects.list_keys(""))
    dry = pruned(dry=True)
    assert {name: one.count for name, one in dry.items() if one.count} == {"videos": 1, "pictures": 1, "events": 5}
    assert (dry["videos"].bytes, dry["pictures"].bytes) == (old.video_size, image.size)
    assert {model: list(model.objects.order_by("pk").values()) for model in before} == before
    assert sorted(bucket_objects.list_keys("")) == objects
    done = pruned()
    assert {name: one.count for name, one in done.items() if one.count} == {"videos": 1, "pictures": 1, "events": 6}
    assert bucket_objects.list_keys("") == []


def test_a_picture_goes_when_nothing_was_made_of_it_for_so_long(finished: Any, alice: Caller) -> None:
    keep(alice.tenant, 30, "input_days")
    kept = {}
    for name, width, days, user_days in (("old", 303, 90, 40), ("used again", 310, 90, 5), ("new", 320, 5, 40)):
        image = inputs.store(alice.tenant.pk, inspect(picture(width=width)))
        InputImage.objects.filter(pk=image.pk).update(created_at=days_ago(days))
        kept[name] = image, finished(user_days, image=image)
    live = inputs.store(alice.tenant.pk, inspect(picture(width=400)))
    InputImage.objects.filter(pk=live.pk).update(created_at=days_ago(90))
    queued = make_generation(alice, last_image=live)
    Generation.objects.filter(pk=queued.pk).update(created_at=days_ago(80))
    assert pruned()["pictures"].count == 1
    assert [name for name, (image, _) in kept.items() if not bucket_objects.exists(image.key)] == ["old"]
    assert bucket_objects.exists(live.key)
    _, old = kept["old"]
    answer = alice.http.post(f"/v1/generations/{old.pk}/rerun", {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, InputsGone.code)
    assert alice.http.get(f"/v1/generations/{old.pk}").json()["video"]["url"]  # its video stays
    again = inputs.store(alice.tenant.pk, inspect(picture(width=303)))
    assert bucket_objects.exists(again.key)


def test_a_picture_that_is_used_again_meanwhile_stays(finished: Any, alice: Caller, monkeypatch: Any) -> None:
    keep(alice.tenant, 30, "input_days")
    image = inputs.store(alice.tenant.pk, inspect(picture()))
    InputImage.objects.update(created_at=days_ago(90))
    before = days_ago(30)
    assert [one.pk for one in inputs.unused(alice.tenant.pk, before)] == [image.pk]
    make_generation(alice, image=image)
    assert inputs.delete_unused(alice.tenant.pk, [image.pk], before) == []
    assert bucket_objects.exists(image.key)


def test_orphans_go_and_what_is_wanted_or_unknown_stays(
    finished: Any, alice: Caller, monkeypatch: Any, settings: Any
) -> None:
    served, deleted, expired = finished(1), finished(2), finished(40)
    live = put_in(alice, Status.COPYING)[0]
    settings.VIDEO_DAYS = 30
    Generation.objects.filter(pk=deleted.pk).update(deleted_at=timezone.now(), purged_at=timezone.now())
    Generation.objects.filter(pk=expired.pk).update(expired_at=timezone.now())
    image = inputs.store(alice.tenant.pk, inspect(picture()))
    orphans = [
        deleted.video_key,
        deleted.poster_key,
        expired.video_key,
        expired.poster_key,
        served.video_key.replace("-1.mp4", "-7.mp4"),  # of a turn that died
        f"inputs/{alice.tenant.pk}/{'0' * 64}",  # of a create that died before its row
    ]
    others = [
        served.video_key,
        served.poster_key,
        image.key,
        f"videos/1/2026/01/{live.pk}-1.mp4",  # under way
        "videos/1/2026/01/01a2128a-8ce7-7555-91ad-a6e727180044-1.mp4",  # in no row: of a database that was restored
        "videos/readme.txt",  # somebody else's
        "backups/videos/1.mp4",
    ]
    for key in {*orphans, *others}:
        bucket_objects.put(key, b"bytes", "video/mp4")
    assert pruned()["orphans"].count == 0  # all of them are young
    MaintenanceCursor.objects.all().delete()
    aged(monkeypatch, 8)
    dry = pruned(dry=True)["orphans"]
    done = pruned()["orphans"]
    assert (dry.count, done.count, done.bytes) == (6, 6, 30)
    assert done.note == "1 objects of videos that are in no row were left"
    assert sorted(bucket_objects.list_keys("")) == sorted(others)
    assert "looked for at" in pruned()["orphans"].note  # not again on the same day


def test_the_look_for_orphans_goes_on_where_it_stopped(bucket: Any, monkeypatch: Any) -> None:
    aged(monkeypatch, 8)
    names = [f"inputs/1/{number:064d}" for number in range(5)]
    for name in names:
        bucket_objects.put(name, b"orphan", "image/png")
    MaintenanceCursor.objects.create(name="orphans", position=names[2])
    assert pruned()["orphans"].count == 2
    assert sorted(bucket_objects.list_keys("")) == names[:3]
    chore = MaintenanceCursor.objects.get(name="orphans")
    assert (chore.position, bool(chore.done_at)) == ("", True)
    MaintenanceCursor.objects.filter(name="orphans").update(done_at=days_ago(2))
    monkeypatch.setattr(retention.Prune, "_is_over", lambda self: True)
    assert pruned()["orphans"].note == "goes on in the next run"
    assert MaintenanceCursor.objects.get(name="orphans").position == names[2]


def test_uploads_that_were_never_ended_are_aborted(bucket: Any, settings: Any) -> None:
    bucket.create_multipart_upload(Bucket=settings.S3_BUCKET, Key="videos/1/parts.mp4")
    [upload] = bucket.list_multipart_uploads(Bucket=settings.S3_BUCKET)["Uploads"]
    begun = upload["Initiated"]  # in 2010, as moto says of every one
    with time_machine.travel(begun + timedelta(days=6), tick=False):
        assert pruned()["uploads"].count == 0
    with time_machine.travel(begun + timedelta(days=8), tick=False):
        assert pruned(dry=True)["uploads"].count == 1
        assert pruned()["uploads"].count == 1
        assert pruned()["uploads"].count == 0
    assert "Uploads" not in bucket.list_multipart_uploads(Bucket=settings.S3_BUCKET)


def test_old_moves_go_all_of_a_generations_together(finished: Any, alice: Caller, settings: Any) -> None:
    settings.EVENT_DAYS = 10
    rows = [finished(days) for days in (30, 20, 11, 9)]
    live = make_generation(alice)
    assert pruned(dry=True)["events"].count == pruned()["events"].count == 15
    assert [row.events.count() for row in rows] == [0, 0, 0, 5]
    assert live.events.count() == 1
    Generation.objects.filter(pk=rows[3].pk).update(finished_at=days_ago(10.5))
    assert pruned()["events"].count == 5
    assert alice.http.get(f"/v1/generations/{rows[0].pk}/events").json() == {"events": []}


def test_old_deliveries_go_with_their_attempts(alice: Caller, settings: Any) -> None:
    settings.DELIVERY_DAYS = 10
    old, young, pending = (make_generation(alice, webhook_url="https://example.com/hook") for _ in range(3))
    for g in (old, young, pending):
        lifecycle.cancel(g, "no longer wanted")
    for g, days in ((old, 11), (young, 9)):
        delivery = Delivery.objects.get(generation=g)
        assert deliveries.mark_delivered(delivery, deliveries.AttemptResult("delivered", 200, 5))
        at = days_ago(days)
        then = ids.at(at)
        DeliveryAttempt.objects.filter(delivery=delivery).update(delivery=then)
        Delivery.objects.filter(pk=delivery.pk).update(id=then, finished_at=at, created_at=at)
    Delivery.objects.filter(generation=pending).update(id=ids.at(days_ago(20)))
    assert pruned(dry=True)["deliveries"].count == pruned()["deliveries"].count == 1
    assert set(Delivery.objects.values_list("generation", flat=True)) == {young.pk, pending.pk}
    assert DeliveryAttempt.objects.get().delivery.generation_id == young.pk


def test_minutes_failures_silent_hosts_and_sessions_go(alice: Caller) -> None:
    for hours, name in ((3, "old"), (1, "new")):
        at = timezone.now() - timedelta(hours=hours)
        Window.objects.create(tenant=alice.tenant, kind="requests_per_minute", starts_at=at)
        Session.objects.create(
            session_key=name, session_data="", expire_date=timezone.now() + timedelta(hours=2 - hours)
        )
    for days in (40, 20):
        facts = {"func": "generations.tasks.sweep", "started": days_ago(days), "stopped": days_ago(days)}
        Task.objects.create(id=f"task{days}", name=f"task{days}", success=False, **facts)
        Worker.objects.create(host=f"pod-{days}", heartbeat_at=days_ago(days / 4), started_at=days_ago(days))
    worker_hosts.record_heartbeat()
    Worker.objects.create(host="just-begun", started_at=timezone.now())
    kinds = ("minutes", "rings", "hosts", "sessions")
    assert [pruned(dry=True)[kind].count for kind in kinds] == [1, 1, 1, 1]
    done = pruned()
    assert [done[kind].count for kind in kinds] == [1, 1, 1, 1]
    assert set(Worker.objects.values_list("host", flat=True)) == {"pod-20", "just-begun", wakeups.host()}
    assert list(Task.objects.values_list("id", flat=True)) == ["task20"]
    assert Window.objects.filter(kind="requests_per_minute").count() == 1
    assert Session.objects.get().session_key == "new"


def test_a_bucket_that_does_not_answer_keeps_no_row_from_going(
    finished: Any, settings: Any, monkeypatch: Any, caplog: Any
) -> None:
    settings.VIDEO_DAYS, settings.EVENT_DAYS = 30, 30
    row = finished(40)

    def down(*args: Any, **options: Any) -> Any:
        raise StorageError("S3 does not answer")

    with monkeypatch.context() as away:
        away.setattr(bucket_objects, "delete_many", down)
        away.setattr(bucket_objects, "list_pages", down)
        found = pruned()
    assert found["videos"].note == found["orphans"].note == "not done: S3 does not answer"
    assert found["events"].count == 6
    row.refresh_from_db()
    assert row.expired_at  # nothing of it is served, and its bytes are orphans
    aged(monkeypatch, 8)
    assert pruned()["orphans"].count == 2
    assert bucket_objects.list_keys("") == []


def test_the_command_prints_lines_or_one_object(finished: Any, settings: Any) -> None:
    settings.VIDEO_DAYS = 30
    row = finished(40, video_size=1_234_567)
    out = StringIO()
    call_command("prune", "--dry-run", stdout=out)
    assert "videos             1 would go, 1.2 MB" in out.getvalue()
    assert bucket_objects.exists(row.video_key)
    out = StringIO()
    call_command("prune", "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert told["dry_run"] is False
    assert told["pruned"][0] == {"what": "videos", "count": 1, "bytes": 1_234_567, "note": ""}
    assert not bucket_objects.exists(row.video_key)


def test_the_worker_prunes_each_hour(finished: Any, settings: Any) -> None:
    schedule = Schedule.objects.get(name="prune")
    assert (schedule.func, schedule.schedule_type, schedule.repeats) == ("generations.tasks.prune", "H", -1)
    settings.VIDEO_DAYS = 30
    finished(40)
    assert tasks.prune()["videos"] == 1


def test_a_video_that_its_caller_deletes_later_is_removed_as_ever(finished: Any, settings: Any) -> None:
    settings.VIDEO_DAYS = 30
    row = finished(40)
    pruned()
    row.refresh_from_db()
    assert deletion.delete(row)
    assert bucket_objects.list_keys(f"videos/{row.tenant_id}") == []


def test_many_that_ended_at_one_moment_are_gone_through_once(finished: Any, settings: Any, monkeypatch: Any) -> None:
    """As a bulk change of ops, or of a restore, would leave them."""
    settings.EVENT_DAYS = 10
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    at = days_ago(30)
    for _ in range(5):
        Generation.objects.filter(pk=finished(30).pk).update(finished_at=at)
    looks = iter(range(20))
    monkeypatch.setattr(retention.Prune, "_is_over", lambda self: next(looks, None) is None)
    assert pruned()["events"].count == 25
    assert next(looks, None) is not None, "it never came to its end"
