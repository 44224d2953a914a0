"""Pruning runs: dry runs, a bucket that fails, and the hourly task."""

from typing import Any

import pytest
from django.db import OperationalError, connection
from django_q.models import Schedule

from generations import tasks
from generations.bucket import inputs, objects
from generations.bucket.errors import StorageError
from generations.media.images import inspect
from generations.models import Event, Generation, InputImage, MaintenanceCursor
from tests.support.factories import Caller
from tests.support.images import image_bytes
from tests.support.pruning import age_objects, days_ago, make_finished, nonzero_counts, prune

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bucket")]


def test_a_dry_run_reports_what_would_be_deleted_and_changes_nothing(alice: Caller, settings: Any) -> None:
    settings.VIDEO_DAYS, settings.INPUT_DAYS, settings.EVENT_DAYS = 30, 30, 30
    image = inputs.store(alice.tenant.pk, inspect(image_bytes()))
    InputImage.objects.update(created_at=days_ago(50))
    old = make_finished(alice, 40, image=image)
    models = (Generation, InputImage, Event, MaintenanceCursor)
    rows = {model: list(model.objects.order_by("pk").values()) for model in models}
    keys = sorted(objects.list_keys(""))
    dry = prune(dry=True)
    assert nonzero_counts(dry) == {"videos": 1, "pictures": 1, "events": 5}
    assert (dry["videos"].bytes, dry["pictures"].bytes) == (old.video_size, image.size)
    assert {model: list(model.objects.order_by("pk").values()) for model in models} == rows
    assert sorted(objects.list_keys("")) == keys
    assert nonzero_counts(prune()) == {"videos": 1, "pictures": 1, "events": 6}
    assert objects.list_keys("") == []


def test_a_failing_bucket_does_not_stop_the_deletion_of_rows(alice: Caller, settings: Any, monkeypatch: Any) -> None:
    settings.VIDEO_DAYS, settings.EVENT_DAYS = 30, 30
    row = make_finished(alice, 40)

    def fail(*args: Any, **options: Any) -> Any:
        """Fail as S3 does during an outage."""
        raise StorageError("S3 does not answer")

    with monkeypatch.context() as outage:
        outage.setattr(objects, "delete_many", fail)
        outage.setattr(objects, "list_pages", fail)
        results = prune()
    assert results["videos"].note == results["orphans"].note == "failed: S3 does not answer"
    assert results["events"].count == 6
    row.refresh_from_db()
    assert row.expired_at  # the video is not served, and its objects are orphans
    age_objects(monkeypatch, 8)
    assert prune()["orphans"].count == 2
    assert objects.list_keys("") == []


@pytest.mark.django_db(transaction=True)
def test_a_deadlock_in_one_kind_does_not_stop_the_others(alice: Caller, settings: Any) -> None:
    settings.VIDEO_DAYS, settings.EVENT_DAYS = 30, 30
    make_finished(alice, 40)

    def execute(statement: Any, sql: str, *args: Any) -> Any:
        if sql.startswith("DELETE") and "generations_event" in sql:
            raise OperationalError("deadlock detected")
        return statement(sql, *args)

    with connection.execute_wrapper(execute):
        results = prune()
    assert (results["events"].note, results["events"].failed) == ("failed: OperationalError", 1)
    assert results["videos"].count == 1
    assert results["sessions"].note == ""


def test_the_worker_prunes_each_hour(alice: Caller, settings: Any) -> None:
    schedule = Schedule.objects.get(name="prune")
    assert (schedule.func, schedule.schedule_type, schedule.repeats) == ("generations.tasks.prune", "H", -1)
    settings.VIDEO_DAYS = 30
    make_finished(alice, 40)
    assert tasks.prune()["videos"] == 1
