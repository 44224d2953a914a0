"""DELETE /v1/generations/{id}: the video and the images are deleted, the row and the ledger stay."""

from typing import Any

import pytest

from generations import lifecycle
from generations.bucket import object_keys, objects
from generations.models import Generation, InputImage
from generations.ops import deletion
from tests.generations.api.test_generation_actions import delete, end_as, post_action, stored_image
from tests.generations.test_lifecycle import ledger_kinds, put_in
from tests.support.factories import Caller
from tests.support.images import image_bytes

pytestmark = pytest.mark.usefixtures("bucket")
ENDED = ["succeeded", "failed", "cancelled"]


def make_success(caller: Caller, *, content: bytes = b"abc") -> Generation:
    """Return a generation that succeeded, with all its objects and a leftover of a failed copy in the bucket."""
    g, _ = put_in(caller, "succeeded")
    g.image = stored_image(caller, content)
    g.video_key, g.poster_key = f"{object_keys.video_prefix(g)}4.mp4", f"{object_keys.video_prefix(g)}4.jpg"
    g.save()
    for key in (g.video_key, g.poster_key, f"{object_keys.video_prefix(g)}3.mp4"):
        objects.put(key, b"video", "video/mp4")
    return g


def test_a_delete_leaves_the_row_and_the_ledger_and_nothing_in_the_bucket(alice: Caller) -> None:
    g = make_success(alice)
    assert delete(alice, g).status_code == 204
    assert objects.list_keys("") == []
    row = alice.http.get(f"/v1/generations/{g.pk}").json()
    assert (row["status"], row["video"], row["poster"], row["expires_at"]) == ("succeeded", None, None, None)
    assert row["deleted_at"]
    assert row["image"]["sha256"] == g.image.sha256
    assert ledger_kinds(g) == ["hold", "capture"]
    assert alice.http.get(f"/v1/generations/{g.pk}/video").json()["code"] == "video_deleted"
    wire = alice.http.get(f"/v3/async/task-result?task_id={g.pk}").json()
    assert (wire["task"]["status"], wire["videos"]) == ("TASK_STATUS_SUCCEED", [])
    assert delete(alice, g).status_code == 204
    assert post_action(alice, g, "rerun").json()["code"] == "inputs_gone"


@pytest.mark.parametrize("status", ["queued", "submitting", "in_doubt", "running", "copying"])
def test_a_generation_that_has_not_ended_is_not_deleted(alice: Caller, status: str) -> None:
    g, _ = put_in(alice, status)
    answer = delete(alice, g)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_possible")
    assert alice.http.get(f"/v1/generations/{g.pk}").json()["deleted_at"] is None


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_generation_that_ended_without_a_video_can_be_deleted_too(alice: Caller, status: str) -> None:
    g = end_as(alice, status)
    stored_image(alice)
    assert delete(alice, g).status_code == 204
    assert objects.list_keys("") == []


def test_an_image_stays_while_another_generation_needs_it(alice: Caller) -> None:
    first, second = make_success(alice), make_success(alice)
    delete(alice, first)
    assert objects.exists(first.image.key)
    delete(alice, second)
    assert not objects.exists(first.image.key)


def test_an_image_that_was_deleted_is_stored_again_under_another_name(alice: Caller, body: dict[str, Any]) -> None:
    alice.http.post("/v1/generations", body, format="json")
    first = Generation.objects.get()
    lifecycle.cancel(first, "")
    old = first.image.key
    delete(alice, first)
    alice.http.post("/v1/generations", body, format="json")
    image = InputImage.objects.get()
    assert (image.gone_at, image.key != old, objects.exists(image.key)) == (None, True, True)
    assert objects.read(image.key) == image_bytes()
    deletion.purge(first)  # late, and again
    assert objects.exists(image.key)


def test_an_image_that_is_deleted_during_a_create_is_stored_again(
    alice: Caller, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.http.post("/v1/generations", body, format="json")
    first = Generation.objects.get()
    lifecycle.cancel(first, "")
    prepare, deleted = lifecycle.prepare_inserts, []

    def prepare_late(*args: Any) -> Any:
        if not deleted:
            deleted.append(True)
            assert deletion.delete(first)
        return prepare(*args)

    monkeypatch.setattr(lifecycle, "prepare_inserts", prepare_late)
    assert alice.http.post("/v1/generations", body, format="json").status_code == 202
    assert deleted
    assert objects.exists(InputImage.objects.get().key)


def test_an_object_that_s3_does_not_delete_is_deleted_later_by_the_worker(alice: Caller, settings: Any) -> None:
    g = make_success(alice)
    there, settings.S3_BUCKET = settings.S3_BUCKET, "no-such-bucket"
    answer = delete(alice, g)
    assert (answer.status_code, answer.json()["video"]) == (202, None)
    settings.S3_BUCKET = there
    deletion.retry_purges()
    assert objects.exists(g.video_key)  # the request that deletes it has a minute for its own try
    Generation.objects.filter(pk=g.pk).update(deleted_at="2026-01-01T00:00:00Z")
    deletion.retry_purges()
    assert objects.list_keys("") == []
    g.refresh_from_db()
    assert g.purged_at
