"""An object that S3 does not delete holds back no other deletion, is shown to operators, and is tried ever later."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone

from generations.admin import tiles
from generations.bucket import inputs, objects, undeleted
from generations.media.images import inspect
from generations.models import Generation, InputImage, UndeletedObject
from generations.ops import deletion
from generations.ops.prune_run import PruneRun
from seedance_service import bucket_checks
from tests.support.factories import Caller
from tests.support.images import base64_of, image_bytes
from tests.support.prometheus import TOKEN, read_samples
from tests.support.pruning import days_ago, make_finished, nonzero_counts, prune
from tests.support.stores import Store

pytestmark = pytest.mark.django_db
REFUSED = "AccessDenied"


def make_deleted(caller: Caller, count: int) -> list[Generation]:
    """Return generations that were deleted in this order, an hour ago, and whose bytes are still there."""
    rows = [make_finished(caller, 1) for _ in range(count)]
    for number, row in enumerate(rows):
        Generation.objects.filter(pk=row.pk).update(
            created_at=days_ago(1).replace(year=2026, month=1), deleted_at=days_ago(1 / 24) + timedelta(seconds=number)
        )
    return [Generation.objects.get(pk=row.pk) for row in rows]


def purged(rows: list[Generation]) -> list[bool]:
    """Return of each generation whether all of its bytes are known to be deleted."""
    return [Generation.objects.get(pk=row.pk).purged_at is not None for row in rows]


@pytest.mark.parametrize("takes_many", [True, False])
def test_one_object_that_stays_holds_back_no_other_purge(alice: Caller, store: Store, takes_many: bool) -> None:
    store.takes_many = takes_many
    rows = make_deleted(alice, 4)
    store.undeletable = {rows[0].video_key}
    deletion.retry_purges()
    assert purged(rows) == [False, True, True, True]
    assert list(store.objects) == [rows[0].video_key]
    row = UndeletedObject.objects.get()
    assert (row.key, row.generation_id, row.reason, row.failures) == (rows[0].video_key, rows[0].pk, REFUSED, 1)


def test_generations_that_stay_are_not_always_the_first_of_a_run(
    alice: Caller, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "MAX_RETRIES_PER_RUN", 2)
    rows = make_deleted(alice, 8)
    store.undeletable = {row.video_key for row in rows[:5]}
    for _ in range(20):
        deletion.retry_purges()
    assert purged(rows) == [False] * 5 + [True] * 3


def test_each_further_try_is_later_and_success_ends_it(alice: Caller, store: Store) -> None:
    [row] = make_deleted(alice, 1)
    store.undeletable = {row.video_key}
    now, tries = timezone.now(), list[int]()
    with time_machine.travel(now, tick=False) as clock:
        for minute in range(0, 60 * 24 * 4, 30):
            before = len(store.refused_deletions)
            deletion.retry_purges()
            tries += [minute] * (len(store.refused_deletions) - before)
            clock.shift(30 * 60)
        waits = [later - earlier for earlier, later in itertools.pairwise(tries)]
        assert waits == sorted(waits)
        assert len(tries) < 15
        assert 60 * 10 < max(waits) <= 60 * 24 + 30
        store.undeletable = set()
        clock.shift(86_400)
        deletion.retry_purges()
    assert purged([row]) == [True]
    assert not UndeletedObject.objects.exists()
    assert store.objects == {}


def test_while_s3_is_away_a_run_ends_after_a_few_tries(alice: Caller, store: Store, settings: Any) -> None:
    rows = make_deleted(alice, 6)
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    deletion.retry_purges()
    assert UndeletedObject.objects.count() == deletion.MAX_FAILURES_IN_A_ROW
    settings.S3_ENDPOINT_URL = store.url
    deletion.retry_purges()
    assert purged(rows) == [True] * 6
    assert not UndeletedObject.objects.exists()


def test_an_input_image_that_stays_is_recorded_too(alice: Caller, store: Store) -> None:
    image = inputs.store(alice.tenant.pk, inspect(image_bytes()))
    [row] = make_deleted(alice, 1)
    Generation.objects.filter(pk=row.pk).update(image=image)
    store.undeletable = {image.key}
    deletion.retry_purges()
    assert purged([row]) == [False]
    assert list(store.objects) == [image.key]
    assert UndeletedObject.objects.get().key == image.key


def test_retention_and_the_search_for_orphans_go_on(
    alice: Caller, store: Store, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VIDEO_DAYS, settings.INPUT_DAYS = 30, 30
    monkeypatch.setattr(PruneRun, "batch_size", 2)
    rows = [make_finished(alice, 60 - number) for number in range(5)]
    image = inputs.store(alice.tenant.pk, inspect(image_bytes()))
    orphan, other = (f"inputs/1/{number:064d}" for number in range(2))
    for key in (orphan, other):
        objects.put(key, b"orphan", "image/png")
    InputImage.objects.update(created_at=days_ago(50))
    store.undeletable = {rows[0].video_key, image.key, orphan}
    store.uploads = ["stays", "goes"]
    store.undeletable.add("stays")
    results = prune()
    assert {what: result.failed for what, result in results.items() if result.failed} == {
        "videos": 1,
        "pictures": 1,
        "orphans": 3,  # those of before, and one more
        "uploads": 1,
    }
    assert nonzero_counts(results)["videos"] == 5
    assert set(store.objects) == {rows[0].video_key, image.key, orphan}
    assert store.uploads == ["stays"]
    assert set(UndeletedObject.objects.values_list("key", flat=True)) == store.undeletable
    store.undeletable = set()
    with time_machine.travel(timezone.now() + timedelta(days=2)):
        assert prune()["orphans"].count == 3
    assert store.objects == {}
    assert set(UndeletedObject.objects.values_list("key", flat=True)) == {"stays"}


def test_operators_see_what_stays(alice: Caller, store: Store, settings: Any, client: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert read_samples(client)["seedance_undeleted_objects",] == 0
    assert [finding.level for finding in bucket_checks.check_deletions()] == ["ok"]
    assert tiles.undeleted_tiles() == []
    [row] = make_deleted(alice, 1)
    store.undeletable = {row.video_key, row.poster_key}
    deletion.retry_purges()
    assert read_samples(client)["seedance_undeleted_objects",] == 2
    [finding] = bucket_checks.check_deletions()
    assert finding.level == "warning"
    assert finding.fact.startswith("2 objects could not be deleted")
    assert finding.fact.endswith(REFUSED)
    [tile] = tiles.undeleted_tiles()
    assert (tile.figure, tile.level, REFUSED in tile.note) == (2, "warn", True)


def test_a_create_with_an_image_whose_old_object_stays_is_accepted(
    alice: Caller, store: Store, body: dict[str, Any]
) -> None:
    image = inputs.store(alice.tenant.pk, inspect(image_bytes()))
    store.undeletable = {image.key}
    InputImage.objects.update(gone_at=timezone.now())
    answer = alice.http.post("/v1/generations", {**body, "image": base64_of(image_bytes())}, format="json")
    assert answer.status_code == 202
    assert UndeletedObject.objects.get().key == image.key
    image.refresh_from_db()
    assert objects.exists(image.key)


def test_an_object_that_no_search_finds_any_more_is_forgotten(store: Store) -> None:
    undeleted.record([objects.Undeleted("videos/1/gone.mp4", REFUSED)])
    prune()
    assert UndeletedObject.objects.count() == 1
    with time_machine.travel(timezone.now() + timedelta(days=30)):
        prune()
    assert not UndeletedObject.objects.exists()


@contextmanager
def locked_by_another(rows: Any) -> Iterator[None]:
    """Lock rows in a transaction of another connection while the block runs."""
    has_locked, ended = threading.Event(), threading.Event()

    def lock() -> None:
        with transaction.atomic():
            list(rows.select_for_update())
            has_locked.set()
            ended.wait(30)
        connection.close()

    thread = threading.Thread(target=lock)
    thread.start()
    assert has_locked.wait(10)
    yield
    ended.set()
    thread.join(10)


@pytest.mark.django_db(transaction=True)
def test_rows_that_others_have_locked_stay_and_the_rest_is_pruned(
    alice: Caller, store: Store, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("this is about PostgreSQL")
    monkeypatch.setattr(PruneRun, "batch_size", 1)
    rows = [make_finished(alice, 60 - number) for number in range(3)]
    images = [inputs.store(alice.tenant.pk, inspect(image_bytes(width=310 + number))) for number in range(3)]
    for number, image in enumerate(images):
        InputImage.objects.filter(pk=image.pk).update(created_at=days_ago(60 - number))
    settings.VIDEO_DAYS = 30
    with locked_by_another(Generation.objects.filter(pk=rows[0].pk)):
        assert nonzero_counts(prune())["videos"] == 2
    settings.INPUT_DAYS = 30
    with locked_by_another(InputImage.objects.filter(pk=images[0].pk)):
        results = nonzero_counts(prune())
    assert (results["videos"], results["pictures"]) == (1, 2)
    assert nonzero_counts(prune())["pictures"] == 1


def test_a_run_offers_each_row_once(
    alice: Caller, store: Store, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that the caller leaves, since they are locked, would else come again and again until the run is over."""
    at = days_ago(40)
    for _ in range(5):
        Generation.objects.filter(pk=make_finished(alice, 40).pk).update(finished_at=at)
    make_finished(alice, 50)
    monkeypatch.setattr(PruneRun, "batch_size", 2)
    run, result = PruneRun(), prune()["videos"]
    batches = list(run.take_batches(Generation.objects.all(), result, "finished_at"))
    assert [len(batch) for batch in batches] == [2, 2, 2]
    assert len({row.pk for batch in batches for row in batch}) == 6
