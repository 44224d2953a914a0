"""GET /v3/async/task-result: each status as Novita's clients expect it."""

from typing import Any
from uuid import uuid4

import pytest

from generations.models import Generation
from tests.generations.test_lifecycle import put_in
from tests.support.factories import Caller

pytestmark = pytest.mark.usefixtures("bucket")


def result(caller: Caller, task_id: Any) -> Any:
    return caller.http.get("/v3/async/task-result", {"task_id": str(task_id)})


@pytest.mark.parametrize(
    ("status", "wire", "progress"),
    [
        ("queued", "TASK_STATUS_QUEUED", 0),
        ("submitting", "TASK_STATUS_QUEUED", 0),
        ("in_doubt", "TASK_STATUS_QUEUED", 0),
        ("running", "TASK_STATUS_PROCESSING", 0),
        ("copying", "TASK_STATUS_PROCESSING", 99),
        ("failed", "TASK_STATUS_FAILED", 0),
    ],
)
def test_a_status_is_translated_to_novitas(alice: Caller, status: str, wire: str, progress: int) -> None:
    g, _ = put_in(alice, status)
    assert result(alice, g.pk).json() == {
        "extra": {"seed": "7"},
        "task": {
            "task_id": str(g.pk),
            "task_type": "IMG_TO_VIDEO",
            "status": wire,
            "reason": "No." if status == "failed" else "",
            "eta": 0,
            "progress_percent": progress,
        },
        "images": [],
        "videos": [],
        "audios": [],
    }


def test_a_task_of_a_text_model_says_so_and_has_no_seed_if_the_model_has_none(alice: Caller) -> None:
    body = {"model": "kling-v3.0-std-t2v", "prompt": "a ship"}
    answer = result(alice, alice.http.post("/v1/generations", body, format="json").json()["id"]).json()
    assert (answer["task"]["task_type"], answer["extra"]) == ("TXT_TO_VIDEO", {})


@pytest.mark.parametrize(("image_url", "kind"), [("https://a.example/1.jpg", "IMG_TO_VIDEO"), ("", "TXT_TO_VIDEO")])
def test_the_task_of_a_model_that_left_the_catalogue_goes_by_its_image(
    alice: Caller, image_url: str, kind: str
) -> None:
    g, _ = put_in(alice, "failed")
    Generation.objects.filter(pk=g.pk).update(model="a-former-model", image=None, image_url=image_url)
    assert result(alice, g.pk).json()["task"]["task_type"] == kind


def test_a_success_has_a_signed_url_of_our_bucket(alice: Caller) -> None:
    g, _ = put_in(alice, "succeeded")
    answer = result(alice, g.pk).json()
    assert answer["task"]["status"] == "TASK_STATUS_SUCCEED"
    assert answer["extra"] == {"seed": "7"}
    [video] = answer["videos"]
    assert (video["video_type"], video["video_url_ttl"]) == ("mp4", "3600")
    assert "seedance-tests" in video["video_url"]
    assert "videos/1.mp4" in video["video_url"]
    assert "X-Amz-Expires=3600" in video["video_url"]


def test_another_tenants_an_unknown_and_a_malformed_id_are_the_same(alice: Caller, bob: Caller) -> None:
    mallory_has, _ = put_in(alice, "succeeded")
    ids = [mallory_has.pk, uuid4(), "x", "", "1", "\u0000", "%00", "a" * 5000, f"{{{mallory_has.pk}}}"]
    answers = {(answer.status_code, answer.content) for answer in (result(bob, row_id) for row_id in ids)}
    answers.add((lambda answer: (answer.status_code, answer.content))(bob.http.get("/v3/async/task-result")))
    [(status, content)] = answers
    assert status == 404
    assert b"TASK_NOT_FOUND" in content


def test_reading_a_task_counts_towards_no_limit(alice: Caller) -> None:
    g, _ = put_in(alice, "queued")
    alice.limit(requests_per_minute=0)
    assert result(alice, g.pk).status_code == 200
    assert Generation.objects.count() == 1
