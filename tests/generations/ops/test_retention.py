"""Retention: data is deleted after its days, and data in use is not."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from django_q.models import Task

from generations import ids, lifecycle, wakeups
from generations.bucket import inputs, objects
from generations.errors import InputsGone
from generations.media.images import inspect
from generations.models import Attempt, Delivery, DeliveryAttempt, Generation, InputImage, Worker
from generations.ops import deletion
from generations.ops.prune_run import PruneRun
from generations.reports import worker_hosts
from generations.webhooks import deliveries
from tenants.models import LedgerEntry, RefusalCount, Window
from tests.generations.test_lifecycle import VIDEO
from tests.support.factories import Caller, make_generation
from tests.support.images import image_bytes
from tests.support.pruning import days_ago, make_finished, nonzero_counts, prune, set_retention

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bucket")]


def test_videos_and_images_are_never_deleted_by_default(alice: Caller) -> None:
    row = make_finished(alice, 5000)
    assert nonzero_counts(prune()) == {"events": 5}  # after 400 days
    assert objects.exists(row.video_key)


def test_videos_are_deleted_after_their_tenants_days(alice: Caller, bob: Caller, settings: Any) -> None:
    settings.VIDEO_DAYS = 30
    set_retention(bob.tenant, 100)
    old, young, bobs = make_finished(alice, 31), make_finished(alice, 29), make_finished(bob, 99)
    result = prune()["videos"]
    assert (result.count, result.bytes) == (1, VIDEO.size)
    assert not objects.exists(old.video_key)
    assert not objects.exists(old.poster_key)
    assert objects.exists(young.video_key)
    assert objects.exists(bobs.video_key)
    assert LedgerEntry.objects.filter(generation_id=old.pk).count() == 2
    assert prune()["videos"].count == 0


def test_callers_read_that_a_video_has_expired(alice: Caller, settings: Any) -> None:
    settings.VIDEO_DAYS = 30
    old = make_finished(alice, 31)
    prune()
    row = alice.http.get(f"/v1/generations/{old.pk}").json()
    assert (row["status"], row["video"], row["poster"], row["deleted_at"]) == ("succeeded", None, None, None)
    assert row["expired_at"]
    refused = alice.http.get(f"/v1/generations/{old.pk}/video")
    assert (refused.status_code, refused.json()["code"]) == (410, "video_deleted")
    wire = alice.http.get("/v3/async/task-result", {"task_id": str(old.pk)}).json()
    assert (wire["task"]["status"], wire["videos"]) == ("TASK_STATUS_SUCCEED", [])
    last = old.events.last()
    assert last is not None
    assert last.message.startswith("the video was deleted: the generation finished before")


def test_a_tenant_may_keep_videos_forever(alice: Caller, settings: Any) -> None:
    settings.VIDEO_DAYS = 1
    set_retention(alice.tenant, 0)
    make_finished(alice, 5000)
    assert prune()["videos"].count == 0


def test_a_caller_can_delete_a_generation_whose_video_has_expired(alice: Caller, settings: Any) -> None:
    settings.VIDEO_DAYS = 30
    row = make_finished(alice, 40)
    prune()
    row.refresh_from_db()
    assert deletion.delete(row)
    assert objects.list_keys(f"videos/{row.tenant_id}") == []


def test_an_image_is_deleted_when_no_recent_generation_used_it(alice: Caller) -> None:
    set_retention(alice.tenant, 30, "input_days")
    generations = {}
    for name, width, days, user_days in (("old", 303, 90, 40), ("used again", 310, 90, 5), ("new", 320, 5, 40)):
        image = inputs.store(alice.tenant.pk, inspect(image_bytes(width=width)))
        InputImage.objects.filter(pk=image.pk).update(created_at=days_ago(days))
        generations[name] = image, make_finished(alice, user_days, image=image)
    queued_image = inputs.store(alice.tenant.pk, inspect(image_bytes(width=400)))
    InputImage.objects.filter(pk=queued_image.pk).update(created_at=days_ago(90))
    queued = make_generation(alice, last_image=queued_image)
    Generation.objects.filter(pk=queued.pk).update(created_at=days_ago(80))
    assert prune()["pictures"].count == 1
    assert [name for name, (image, _) in generations.items() if not objects.exists(image.key)] == ["old"]
    assert objects.exists(queued_image.key)
    _, old = generations["old"]
    answer = alice.http.post(f"/v1/generations/{old.pk}/rerun", {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, InputsGone.code)
    assert alice.http.get(f"/v1/generations/{old.pk}").json()["video"]["url"]  # the video stays
    again = inputs.store(alice.tenant.pk, inspect(image_bytes(width=303)))
    assert objects.exists(again.key)


def test_an_image_that_a_generation_uses_again_during_the_run_stays(alice: Caller) -> None:
    set_retention(alice.tenant, 30, "input_days")
    image = inputs.store(alice.tenant.pk, inspect(image_bytes()))
    InputImage.objects.update(created_at=days_ago(90))
    before = days_ago(30)
    assert list(inputs.find_unused(alice.tenant.pk, before)) == [image]
    make_generation(alice, image=image)
    assert inputs.delete_unused(alice.tenant.pk, [image.pk], before) == ([], [])
    assert objects.exists(image.key)


def test_all_events_of_an_old_generation_are_deleted_together(alice: Caller, settings: Any) -> None:
    settings.EVENT_DAYS = 10
    rows = [make_finished(alice, days) for days in (30, 20, 11, 9)]
    queued = make_generation(alice)
    Attempt.objects.update(answer="HTTP 502")
    assert prune(dry=True)["events"].count == prune()["events"].count == 15
    assert set(Attempt.objects.filter(generation__in=rows[:3]).values_list("answer", flat=True)) == {""}
    assert rows[3].attempts.get().answer == "HTTP 502"
    assert [row.events.count() for row in rows] == [0, 0, 0, 5]
    assert queued.events.count() == 1
    Generation.objects.filter(pk=rows[3].pk).update(finished_at=days_ago(10.5))
    assert prune()["events"].count == 5
    assert alice.http.get(f"/v1/generations/{rows[0].pk}/events").json() == {"events": []}


def test_events_of_many_generations_that_finished_at_the_same_time_are_deleted(
    alice: Caller, settings: Any, monkeypatch: Any
) -> None:
    """A bulk change by an operator, or a restore, leaves such rows: the cursor must still get past them."""
    settings.EVENT_DAYS = 10
    monkeypatch.setattr(PruneRun, "batch_size", 2)
    at = days_ago(30)
    for _ in range(5):
        Generation.objects.filter(pk=make_finished(alice, 30).pk).update(finished_at=at)
    checks = iter(range(20))
    monkeypatch.setattr(PruneRun, "is_over", lambda self: next(checks, None) is None)
    assert prune()["events"].count == 25
    assert next(checks, None) is not None, "the loop did not end by itself"


def test_old_deliveries_are_deleted_with_their_attempts(alice: Caller, settings: Any) -> None:
    settings.DELIVERY_DAYS = 10
    old, young, pending = (make_generation(alice, webhook_url="https://example.com/hook") for _ in range(3))
    for generation in (old, young, pending):
        lifecycle.cancel(generation, "not needed")
    for generation, days in ((old, 11), (young, 9)):
        delivery = Delivery.objects.get(generation=generation)
        assert deliveries.mark_delivered(
            delivery, deliveries.AttemptResult(DeliveryAttempt.Outcome.DELIVERED, milliseconds=5, status_code=200)
        )
        at = days_ago(days)
        pk = ids.new_at(at)
        DeliveryAttempt.objects.filter(delivery=delivery).update(delivery=pk)
        Delivery.objects.filter(pk=delivery.pk).update(id=pk, finished_at=at, created_at=at)
    Delivery.objects.filter(generation=pending).update(id=ids.new_at(days_ago(20)))
    assert prune(dry=True)["deliveries"].count == prune()["deliveries"].count == 1
    assert set(Delivery.objects.values_list("generation", flat=True)) == {young.pk, pending.pk}
    assert DeliveryAttempt.objects.get().delivery.generation_id == young.pk


def test_old_minutes_refusals_failed_wake_ups_silent_hosts_and_sessions_are_deleted(alice: Caller) -> None:
    for hours, name in ((3, "old"), (1, "new")):
        at = timezone.now() - timedelta(hours=hours)
        Window.objects.create(tenant=alice.tenant, kind="requests_per_minute", starts_at=at)
        Session.objects.create(
            session_key=name, session_data="", expire_date=timezone.now() + timedelta(hours=2 - hours)
        )
    for days in (40, 20):
        columns = {"func": "generations.tasks.sweep", "started": days_ago(days), "stopped": days_ago(days)}
        Task.objects.create(id=f"task{days}", name=f"task{days}", success=False, **columns)
        Worker.objects.create(host=f"pod-{days}", heartbeat_at=days_ago(days / 4), started_at=days_ago(days))
    worker_hosts.record_heartbeat()
    Worker.objects.create(host="just-started", started_at=timezone.now())
    for days in (40, 20):
        columns = {"tenant": alice.tenant, "api_key": alice.key, "limit_name": "per_day", "refused": 1}
        RefusalCount.objects.create(hour=days_ago(days), **columns)
    kinds = ("minutes", "refusals", "rings", "hosts", "sessions")
    assert [prune(dry=True)[kind].count for kind in kinds] == [1] * 5
    results = prune()
    assert [results[kind].count for kind in kinds] == [1] * 5
    assert set(Worker.objects.values_list("host", flat=True)) == {"pod-20", "just-started", wakeups.host()}
    assert list(Task.objects.values_list("id", flat=True)) == ["task20"]
    assert Window.objects.filter(kind="requests_per_minute").count() == 1
    assert Session.objects.get().session_key == "new"
