"""The actions on one generation: cancel, rerun, delete, list events, fetch video and poster."""

from typing import Any

import pytest

from generations import lifecycle
from generations.bucket import object_keys, objects
from generations.models import Generation, InputImage
from generations.ops import deletion
from tenants.models import LedgerEntry
from tenants.money import reconcile
from tests.generations.test_lifecycle import ledger_kinds, put_in
from tests.support.factories import Caller, make_generation, make_image
from tests.support.images import base64_of, image_bytes

pytestmark = pytest.mark.usefixtures("bucket")
ENDED = ["succeeded", "failed", "cancelled"]


def post_action(caller: Caller, generation: Generation, name: str, body: Any = None, **headers: str) -> Any:
    return caller.http.post(f"/v1/generations/{generation.pk}/{name}", body, format="json", headers=headers)


def ended(caller: Caller, status: str) -> Generation:
    if status == "cancelled":
        generation = make_generation(caller)
        assert lifecycle.cancel(generation, "Not needed.")
        return generation
    return put_in(caller, status)[0]


def test_a_cancel_before_the_submit_ends_the_generation_and_releases_its_hold(alice: Caller) -> None:
    g = make_generation(alice)
    answer = post_action(alice, g, "cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert ledger_kinds(g) == ["hold", "release"]
    again = post_action(alice, g, "cancel")  # the first answer may have been lost
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")
    assert reconcile.check(alice.tenant.pk) == []


@pytest.mark.parametrize("status", ["submitting", "in_doubt", "running", "copying", "succeeded", "failed"])
def test_a_generation_that_was_submitted_is_not_cancelled_and_the_answer_says_why(alice: Caller, status: str) -> None:
    g, _ = put_in(alice, status)
    answer = post_action(alice, g, "cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_possible")
    assert status in answer.json()["detail"]
    g.refresh_from_db()
    assert g.status == status


def test_a_rerun_has_the_same_images_fields_and_seed(alice: Caller, body: dict[str, Any]) -> None:
    fields = {
        **body,
        "prompt": "a ship",
        "seed": 5,
        "last_image": base64_of(image_bytes(400, 320)),
        "external_id": "one",
    }
    first = alice.http.post("/v1/generations", {**fields, "metadata": {"a": "b"}}, format="json").json()
    image_count = InputImage.objects.count()
    answer = post_action(alice, Generation.objects.get(), "rerun")
    again = answer.json()
    same = ("model", "prompt", "resolution", "aspect_ratio", "duration", "camera_fixed", "seed", "image", "last_image")
    assert answer.status_code == 202
    assert answer["Location"] == f"/v1/generations/{again['id']}"
    assert {name: again[name] for name in same} == {name: first[name] for name in same}
    assert (again["rerun_of"], again["external_id"], again["metadata"]) == (first["id"], "", {})
    assert again["id"] != first["id"]
    assert InputImage.objects.count() == image_count
    assert LedgerEntry.objects.filter(kind="hold").count() == 2


def test_a_rerun_takes_another_seed_and_overrides(alice: Caller) -> None:
    g = make_generation(alice, prompt="a ship", seed=7, image=_stored(alice))
    drawn = post_action(alice, g, "rerun", {"seed": -1}).json()
    assert (drawn["seed_source"], drawn["prompt"]) == ("drawn", "a ship")
    changed = post_action(alice, g, "rerun", {"prompt": "a boat", "resolution": "720p", "metadata": {"a": "b"}}).json()
    assert (changed["prompt"], changed["resolution"], changed["seed"]) == ("a boat", "720p", 7)
    assert changed["metadata"] == {"a": "b"}
    assert post_action(alice, g, "rerun", {"sede": 1}).json()["errors"][0]["field"] == "sede"


@pytest.mark.parametrize("name", ["seed", "image", "resolution", "model", "external_id", "metadata", "webhook_url"])
def test_null_in_a_rerun_is_not_given(alice: Caller, name: str) -> None:
    facts = {"external_id": "one", "metadata": {"a": "b"}, "webhook_url": "https://hooks.example.com/1"}
    g = make_generation(alice, image=None, image_url="https://images.example.com/a.png", **facts)
    row = post_action(alice, g, "rerun", {name: None}).json()
    assert (row["seed"], row["external_id"], row["metadata"], row["webhook_url"]) == (g.seed, "", {}, "")


def test_a_rerun_is_created_once_for_one_key(alice: Caller) -> None:
    g, other = (make_generation(alice, image=_stored(alice)) for _ in range(2))
    answers = [post_action(alice, g, "rerun", **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[1]["Idempotent-Replayed"] == "true"
    assert Generation.objects.count() == 3
    assert post_action(alice, other, "rerun", **{"Idempotency-Key": "k"}).status_code == 422


def test_a_rerun_is_admitted_as_any_create(alice: Caller) -> None:
    g = make_generation(alice, image=_stored(alice))
    alice.limit(in_flight=1)
    assert post_action(alice, g, "rerun").json()["code"] == "limit_reached"


def test_a_rerun_of_a_url_that_was_never_read_reads_it_then(alice: Caller) -> None:
    g = make_generation(alice, image=None, image_url="https://images.example.com/a.png")
    assert post_action(alice, g, "rerun").json()["image"] == {"url": "https://images.example.com/a.png"}


def test_a_rerun_of_images_that_were_deleted_is_refused(alice: Caller) -> None:
    g, _ = put_in(alice, "failed")  # its image was never in this bucket
    answer = post_action(alice, g, "rerun")
    assert (answer.status_code, answer.json()["code"]) == (409, "inputs_gone")
    assert Generation.objects.count() == 1


def test_events_are_listed_in_order(alice: Caller) -> None:
    g, _ = put_in(alice, "succeeded")
    events = alice.http.get(f"/v1/generations/{g.pk}/events").json()["events"]
    assert [event["sequence"] for event in events] == [1, 2, 3, 4, 5]
    assert [event["status"] for event in events] == ["queued", "submitting", "running", "copying", "succeeded"]
    assert all(event["created_at"].endswith("Z") for event in events)


@pytest.mark.parametrize("name", ["video", "poster"])
def test_video_and_poster_lead_to_a_fresh_signed_url(alice: Caller, name: str) -> None:
    g, _ = put_in(alice, "succeeded")
    answer = alice.http.get(f"/v1/generations/{g.pk}/{name}")
    assert answer.status_code == 302
    assert f"videos/1.{'mp4' if name == 'video' else 'jpg'}" in answer["Location"]
    assert "Signature" in answer["Location"]
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("name", ["video", "poster"])
def test_without_a_video_the_answer_says_whether_there_will_be_one(alice: Caller, name: str) -> None:
    early = alice.http.get(f"/v1/generations/{make_generation(alice).pk}/{name}")
    assert (early.status_code, early.json()["code"]) == (409, "video_not_ready")
    assert 1 <= int(early["Retry-After"]) <= 60
    for status in ("failed", "cancelled"):
        never = alice.http.get(f"/v1/generations/{ended(alice, status).pk}/{name}")
        assert (never.status_code, never.json()["code"]) == (409, "no_video")
        assert "Retry-After" not in never


def delete(caller: Caller, generation: Generation) -> Any:
    return caller.http.delete(f"/v1/generations/{generation.pk}")


def _stored(caller: Caller, content: bytes = b"abc") -> InputImage:
    """Return an image whose bytes are in the bucket."""
    image = make_image(caller.tenant, content)
    objects.put(image.key, content, "image/jpeg")
    return image


def _done(caller: Caller, *, content: bytes = b"abc") -> Generation:
    """Return a generation that succeeded, with all its objects and a leftover of a failed copy in the bucket."""
    g, _ = put_in(caller, "succeeded")
    g.image = _stored(caller, content)
    g.video_key, g.poster_key = f"{object_keys.video_prefix(g)}4.mp4", f"{object_keys.video_prefix(g)}4.jpg"
    g.save()
    for key in (g.video_key, g.poster_key, f"{object_keys.video_prefix(g)}3.mp4"):
        objects.put(key, b"video", "video/mp4")
    return g


def test_a_delete_leaves_the_row_and_the_ledger_and_nothing_in_the_bucket(alice: Caller) -> None:
    g = _done(alice)
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
    g = ended(alice, status)
    _stored(alice)
    assert delete(alice, g).status_code == 204
    assert objects.list_keys("") == []


def test_an_image_stays_while_another_generation_needs_it(alice: Caller) -> None:
    first, second = _done(alice), _done(alice)
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
    g = _done(alice)
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


def test_a_key_without_the_scope_changes_nothing(alice: Caller) -> None:
    reader = alice.with_key(scopes=["generations:read"])
    g = make_generation(alice)
    answers = [post_action(reader, g, "cancel"), post_action(reader, g, "rerun"), delete(reader, g)]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(403, "scope_missing")] * 3
