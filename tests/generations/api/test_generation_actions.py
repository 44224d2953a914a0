"""The actions on one generation: cancel, rerun, list events, fetch video and poster."""

from typing import Any

import pytest

from generations import lifecycle
from generations.bucket import objects
from generations.models import Generation, InputImage
from tenants.models import LedgerEntry
from tenants.money import reconcile
from tests.generations.test_lifecycle import ledger_kinds, put_in
from tests.support.factories import Caller, make_generation, make_image
from tests.support.images import base64_of, image_bytes

pytestmark = pytest.mark.usefixtures("bucket")
ENDED = ["succeeded", "failed", "cancelled"]


def post_action(caller: Caller, generation: Generation, name: str, body: Any = None, **headers: str) -> Any:
    return caller.http.post(f"/v1/generations/{generation.pk}/{name}", body, format="json", headers=headers)


def end_as(caller: Caller, status: str) -> Generation:
    if status == "cancelled":
        generation = make_generation(caller)
        assert lifecycle.cancel(generation, "Not needed.")
        return generation
    return put_in(caller, status)[0]


def delete(caller: Caller, generation: Generation) -> Any:
    return caller.http.delete(f"/v1/generations/{generation.pk}")


def stored_image(caller: Caller, content: bytes = b"abc") -> InputImage:
    """Return an image whose bytes are in the bucket."""
    image = make_image(caller.tenant, content)
    objects.put(image.key, content, "image/jpeg")
    return image


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
    g = make_generation(alice, prompt="a ship", seed=7, image=stored_image(alice))
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
    g, other = (make_generation(alice, image=stored_image(alice)) for _ in range(2))
    answers = [post_action(alice, g, "rerun", **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[1]["Idempotent-Replayed"] == "true"
    assert Generation.objects.count() == 3
    assert post_action(alice, other, "rerun", **{"Idempotency-Key": "k"}).status_code == 422


def test_a_rerun_is_admitted_as_any_create(alice: Caller) -> None:
    g = make_generation(alice, image=stored_image(alice))
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
        never = alice.http.get(f"/v1/generations/{end_as(alice, status).pk}/{name}")
        assert (never.status_code, never.json()["code"]) == (409, "no_video")
        assert "Retry-After" not in never


def test_a_key_without_the_scope_changes_nothing(alice: Caller) -> None:
    reader = alice.with_key(scopes=["generations:read"])
    g = make_generation(alice)
    answers = [post_action(reader, g, "cancel"), post_action(reader, g, "rerun"), delete(reader, g)]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(403, "scope_missing")] * 3
