"""Test the sandbox as a server of Ark's wire: creates, task objects and videos."""

import io
import re
from typing import Any

import av
import httpx
import pytest

from generations.catalog import video_models
from generations.upstream.novita.liveness import BOGUS_KEY
from tests.deploy.sandbox.conftest import LIVE, METERED, MODEL, Ark, error_of
from tests.generations.media.test_images import png_header
from tests.support.images import data_uri, image_bytes

pytestmark = pytest.mark.story

IMAGE = data_uri(image_bytes())  # 16 by 9


def frame_of(role: str | None = None, url: Any = IMAGE) -> dict[str, Any]:
    """Return an image of `content`."""
    return {"type": "image_url", "image_url": {"url": url}, **({"role": role} if role else {})}


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic any", f"Bearer {BOGUS_KEY}"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_key_is_required(ark: Ark, method: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = httpx.request(method, f"{ark.url}/api/v3/contents/generations/tasks", headers=headers)
    assert error_of(answer) == (401, "AuthenticationError")
    assert answer.headers["x-error-code"] == "AuthenticationError"
    assert answer.json()["error"]["message"].endswith(f"Request id: {answer.headers['x-request-id']}")


@pytest.mark.parametrize(("tier", "pattern"), [("default", "cgt-"), ("flex", "cgt-batch-")])
def test_a_create_answers_with_an_id_of_the_upstreams_form(ark: Ark, tier: str, pattern: str) -> None:
    answer = ark.post(service_tier=tier, safety_identifier="a" * 32)
    assert re.fullmatch(rf"{pattern}[0-9]{{14}}-[a-z0-9]{{5}}", answer.json()["id"])
    assert answer.json()["safety_identifier"] == "a" * 32
    assert re.fullmatch(r"02[0-9]{13}[0-9a-f]{38}", answer.headers["x-request-id"])


@pytest.mark.parametrize("base", ["/api/v3", METERED])
def test_a_task_goes_its_way_and_ends_with_a_video_of_the_table(ark: Ark, base: str) -> None:
    ark = ark.at(base)
    task_id = ark.create(
        "a ship [wait 500] [run 500]", ratio="9:16", duration=2, seed=5, generate_audio=True, safety_identifier="r" * 32
    )
    queued = ark.get(task_id)
    assert queued == {
        "id": task_id,
        "model": MODEL,
        "status": "queued",
        "error": None,
        "created_at": queued["created_at"],
        "updated_at": queued["created_at"],
        "service_tier": "default",
        "execution_expires_after": 172800,
        "generate_audio": True,
        "safety_identifier": "r" * 32,
    }
    ark.put_clock_forward(500)
    running = ark.get(task_id)
    assert running == {**queued, "status": "running", "updated_at": running["updated_at"]}
    ark.put_clock_forward(500)
    done = ark.wait(task_id, "succeeded")
    url = done.pop("content")["video_url"]
    tokens = 72 * 128 * (24 * 2 + 1) // 1024
    assert done == {
        **queued,
        "status": "succeeded",
        "updated_at": done["updated_at"],
        "seed": 5,
        "resolution": "480p",
        "ratio": "9:16",
        "duration": 2,
        "framespersecond": 24,
        "usage": {"completion_tokens": tokens, "total_tokens": tokens},
    }
    assert done["created_at"] + 500 <= running["updated_at"] <= done["updated_at"] - 500
    with av.open(io.BytesIO(httpx.get(url).content)) as container:
        stream: Any = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames, len(container.streams)) == (72, 128, 49, 2)


def test_accounts_do_not_see_each_others_tasks(ark: Ark) -> None:
    assert error_of(ark.at(METERED).send("GET", ark.create())) == (404, "NotFound.Task")
    novitas = ark.at(METERED).create()
    assert error_of(ark.send("GET", novitas)) == (404, "NotFound.Task")
    answer = httpx.get(f"{ark.url}/v3/async/task-result?task_id={novitas}", headers={"Authorization": "any"})
    assert (answer.status_code, answer.json()["reason"]) == (404, "TASK_NOT_FOUND")


@pytest.mark.parametrize("task_id", ["unknown", "cgt-20260101000000-aaaaa", "%00"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_task_is_not_found(ark: Ark, method: str, task_id: str) -> None:
    assert error_of(ark.send(method, task_id))[0] == 404


@pytest.mark.parametrize(
    ("size", "ratio"), [((640, 360), "16:9"), ((400, 640), "9:16"), ((640, 600), "1:1"), (None, "16:9")], ids=str
)
def test_an_adaptive_ratio_becomes_the_nearest_to_the_images(ark: Ark, size: Any, ratio: str) -> None:
    images = [frame_of(url=data_uri(image_bytes(*size)))] if size else []
    task_id = ark.create(content=[{"type": "text", "text": "a ship"}, *images], ratio="adaptive")
    assert ark.wait(task_id, "succeeded")["ratio"] == ratio


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a ship --rs 720p --dur 3 --rt 1:1", ("720p", 3, "1:1")),
        ("a ship --resolution 720P --duration 2 --ratio 9:16", ("720p", 2, "9:16")),
        ("a ship --rs 8k --dur 99", ("480p", 1, "16:9")),
        ("a ship--rs 720p", ("480p", 2, "16:9")),
    ],
)
def test_flags_in_the_text_change_the_video_as_for_older_clients(ark: Ark, text: str, expected: Any) -> None:
    done = ark.wait(ark.create(text, resolution="480p", duration=2, ratio="16:9"), "succeeded")
    assert (done["resolution"], done["duration"], done["ratio"]) == expected


@pytest.mark.parametrize(
    ("wrong", "status", "code", "param"),
    [
        ({"model": ...}, 400, "MissingParameter", "model"),
        ({"model": "seedance-0"}, 404, "InvalidEndpointOrModel.NotFound", "model"),
        ({"model": 5}, 404, "InvalidEndpointOrModel.NotFound", "model"),
        ({"model": "seedance-0", "content": ...}, 404, "InvalidEndpointOrModel.NotFound", "model"),
        ({"content": ...}, 400, "MissingParameter", "content"),
        ({"content": []}, 400, "MissingParameter", "content"),
        ({"content": "a ship"}, 400, "InvalidParameter", "content"),
        ({"watermark": False}, 400, "InvalidParameter.UnsupportedParameter", "watermark"),
        ({"aspect_ratio": "16:9"}, 400, "InvalidParameter.UnsupportedParameter", "aspect_ratio"),
        ({"prompt": "a ship", "seed": -5}, 400, "InvalidParameter.UnsupportedParameter", "prompt"),
        ({"resolution": "4k"}, 400, "InvalidParameter", "resolution"),
        ({"ratio": "2:1"}, 400, "InvalidParameter", "ratio"),
        ({"duration": 7}, 400, "InvalidParameter", "duration"),
        ({"duration": "5"}, 400, "InvalidParameter", "duration"),
        ({"seed": 2**31}, 400, "InvalidParameter", "seed"),
        ({"camera_fixed": "yes"}, 400, "InvalidParameter", "camera_fixed"),
        ({"callback_url": "ftp://a"}, 400, "InvalidParameter", "callback_url"),
        ({"safety_identifier": "x" * 65}, 400, "InvalidParameter", "safety_identifier"),
    ],
    ids=str,
)
def test_a_body_that_the_model_does_not_take_is_refused(
    ark: Ark, wrong: dict[str, Any], status: int, code: str, param: str
) -> None:
    before = ark.count_paid()
    answer = ark.post(**wrong)
    assert error_of(answer) == (status, code)
    assert answer.json()["error"]["param"] == param
    assert answer.headers["x-error-code"] == code
    assert ark.count_paid() == before


def test_a_field_that_is_null_counts_as_not_given_and_case_does_not_matter_for_resolutions(ark: Ark) -> None:
    done = ark.wait(ark.create(resolution="720P", watermark=None, frames=None, seed=None), "succeeded")
    assert done["resolution"] == "720p"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'"text"', b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(ark: Ark, content: bytes) -> None:
    assert error_of(ark.send("POST", content=content)) == (400, "InvalidParameter")


TEXT = {"type": "text", "text": "a ship"}


@pytest.mark.parametrize(
    "content",
    [
        [TEXT, frame_of()],
        [frame_of()],
        [frame_of("first_frame"), TEXT],
        [frame_of("first_frame"), frame_of("last_frame"), TEXT],
        [frame_of("last_frame"), frame_of("first_frame")],
    ],
    ids=["no role", "no text", "first", "first and last", "last before first"],
)
def test_images_are_taken_by_their_roles(ark: Ark, content: Any) -> None:
    assert ark.wait(ark.create(content=content), "succeeded")["ratio"] == "16:9"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ([frame_of(), frame_of("last_frame")], "InvalidParameter"),
        ([frame_of("last_frame")], "InvalidParameter"),
        ([frame_of("first_frame"), frame_of("first_frame")], "InvalidParameter"),
        ([frame_of("first_frame"), frame_of("reference_image")], "InvalidParameter"),
        ([frame_of("reference_image")], "InvalidParameter"),
        ([frame_of("middle_frame")], "InvalidParameter"),
        ([TEXT, TEXT], "InvalidParameter"),
        ([TEXT, {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}], "InvalidParameter"),
        ([TEXT, {"type": "sound"}], "InvalidParameter"),
        ([{"type": "text"}], "MissingParameter"),
        ([{"type": "text", "text": 5}], "InvalidParameter"),
        ([{"type": "text", "text": "x" * 1001}], "InvalidParameter"),
        ([{"type": "image_url"}], "MissingParameter"),
        ([frame_of(url=5)], "InvalidParameter"),
        ([frame_of(url="")], "InvalidImageURL.EmptyURL"),
        ([frame_of(url="asset://a-person")], "InvalidImageURL.InvalidFormat"),
        ([frame_of(url=IMAGE.replace("data:image/", "data:IMAGE/"))], "InvalidImageURL.InvalidFormat"),
        ([frame_of(url=IMAGE.partition(",")[2])], "InvalidImageURL.InvalidFormat"),
        ([frame_of(url=data_uri(b"no image"))], "InvalidImageURL.InvalidFormat"),
        ([frame_of(url=data_uri(png_header(300, 300)))], "InvalidParameter"),
        ([frame_of(url=data_uri(png_header(4000, 1000)))], "InvalidParameter"),
        ([frame_of(url="https://127.0.0.1/a.png")], "InvalidParameter"),
    ],
)
def test_content_that_the_model_does_not_take_is_refused(ark: Ark, content: Any, code: str) -> None:
    assert error_of(ark.post(content=content)) == (400, code)


def test_an_image_whose_pixels_do_not_decode_fails_its_task(ark: Ark) -> None:
    failed = ark.wait(ark.create(content=[frame_of(url=data_uri(png_header(400, 400)))]), "failed")
    assert failed["error"]["code"] == "InternalServiceError"
    assert "usage" not in failed


def test_a_videos_url_is_valid_for_a_day(ark: Ark) -> None:
    task_id = ark.create()
    url = ark.wait(task_id, "succeeded")["content"]["video_url"]
    ark.put_clock_forward(86_000)
    assert httpx.get(url).status_code == 200
    ark.put_clock_forward(500)
    assert httpx.get(url).status_code == 403
    assert httpx.get(ark.get(task_id)["content"]["video_url"]).status_code == 200


@pytest.mark.parametrize("query", ["", "?seconds=", "?seconds=-5", "?seconds=x", "?seconds=1e9"])
def test_the_clock_goes_forward_only(ark: Ark, query: str) -> None:
    assert httpx.post(f"{ark.url}/sandbox/clock{query}").status_code == 400
    assert httpx.get(f"{ark.url}/sandbox/clock?seconds=5").status_code == 400


ARK_OFFERS = sorted(
    {
        (offer.account, offer.target)
        for model in video_models.load("").values()
        for offer in model.offers
        if offer.wire == "ark"
    }
)


@pytest.mark.parametrize(("account", "target"), ARK_OFFERS)
def test_each_model_of_the_catalogue_is_made_at_its_accounts(ark: Ark, account: str, target: str) -> None:
    at = ark.at({"ark": LIVE, "novita": METERED}[account])
    task_id = at.create("[wait 9000]", model=target)
    assert at.get(task_id)["model"] == target
    assert at.send("DELETE", task_id).status_code == 200  # so that no large video is rendered
