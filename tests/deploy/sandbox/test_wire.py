"""Test the sandbox upstream as a server of Novita's wire format, through the service's own client and without it."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from deploy import stack, waiting
from generations.catalog import video_models
from generations.outbound import fetch
from generations.upstream import outcomes
from seedance_service import model_checks
from tests.conftest import CATALOG_DIR
from tests.generations.media.test_images import png_header
from tests.support import novita_calls
from tests.support.images import base64_of, data_uri, image_bytes

pytestmark = pytest.mark.story

PATH = "/v3/async/seedance-v1-lite-i2v"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import os

    folder: Path = tmp_path_factory.mktemp("sandbox")
    port = stack.free_port(10_005 + os.getpid() % 600 * 10)
    process = stack.sandbox(folder / "tasks", folder, port, 0.5, {**os.environ, "CATALOG_DIR": str(CATALOG_DIR)})
    try:
        waiting.until_answers(process, f"http://127.0.0.1:{port}/sandbox/tasks")
        yield f"http://127.0.0.1:{port}"
    finally:
        stack.stop([process])


@pytest.fixture
def sandbox(url: str, settings: Any) -> str:
    settings.NOVITA_BASE_URL = url
    settings.FETCH_ALLOW_HOSTS = [url.removeprefix("http://")]
    return url


@pytest.mark.parametrize(("prompt", "tokens"), [("a ship", 49_005), ("[usage 2]", 98_010), ("[usage 0]", 0)])
def test_a_model_that_settles_by_usage_reports_the_tokens_of_its_video(sandbox: str, prompt: str, tokens: int) -> None:
    """The tokens are the pixels of all frames by 1024: 864 * 480 * 121 / 1024."""
    created = novita_calls.submit("/v3/async/acme-tokens-1-t2v", {"prompt": prompt})
    assert isinstance(created, outcomes.Created)
    assert rendered(created.upstream_id)[0].tokens == tokens


def test_an_unknown_route_is_answered_as_novita_answers_one_that_is_gone(sandbox: str) -> None:
    answer = httpx.post(f"{sandbox}/v3/async/kling-v2.6-pro-i2v", json={})
    assert (answer.status_code, answer.json()["reason"]) == (404, "API_NOT_FOUND")
    gone = novita_calls.submit("/v3/async/kling-v2.6-pro-i2v", {"prompt": "a ship"})
    assert isinstance(gone, outcomes.RouteGone)


@pytest.mark.django_db
def test_the_doctor_finds_the_route_of_each_model_and_pays_for_nothing(sandbox: str) -> None:
    paid = httpx.get(f"{sandbox}/sandbox/tasks").json()
    findings = list(model_checks.check_routes())
    routes = {finding.name: finding.fact.partition(",")[0] for finding in findings if finding.name != "routes"}
    assert routes == {f"route of {model}": "lives" for model in video_models.models().values() if model.route}
    [unasked] = [finding.fact for finding in findings if finding.name == "routes"]  # Novita's account over Ark
    assert "no probe of a model is free there" in unasked
    assert httpx.get(f"{sandbox}/sandbox/tasks").json() == paid


def test_a_model_with_a_quote_reports_no_tokens(sandbox: str) -> None:
    assert rendered(post(sandbox, prompt="[usage 2]").json()["task_id"])[0].tokens is None


def post(sandbox: str, **changes: Any) -> httpx.Response:
    body = {"image": data_uri(image_bytes()), "resolution": "480p", **changes}
    return httpx.post(sandbox + PATH, json=body, headers={"Authorization": "Bearer any"})


def rendered(upstream_id: str) -> tuple[outcomes.Rendered, list[int]]:
    """Return the finished task and the progress of each poll before it."""
    progress_values: list[int] = []
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        match novita_calls.get_task(upstream_id):
            case outcomes.Rendering(progress):
                progress_values.append(progress)
                time.sleep(0.05)
            case outcomes.Rendered() as done:
                return done, progress_values
            case failed:
                raise AssertionError(failed)
    raise AssertionError("rendering takes too long")


def test_a_task_goes_its_way_and_ends_with_a_video_of_the_table(sandbox: str) -> None:
    body = {"image": data_uri(image_bytes()), "resolution": "480p", "seed": 5, "prompt": "a ship"}
    created = novita_calls.submit(PATH, body)
    assert isinstance(created, outcomes.Created)
    done, progress_values = rendered(created.upstream_id)
    assert progress_values == sorted(progress_values)
    assert done.seed == 5
    with av.open(io.BytesIO(fetch.read(done.video_url, limit=10**8, deadline=10))) as container:
        stream: Any = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames, stream.average_rate) == (864, 480, 121, 24)
        assert container.metadata["title"] == "a ship"


def test_a_videos_url_is_signed_and_the_video_is_there_only_with_it(sandbox: str) -> None:
    done, _ = rendered(post(sandbox).json()["task_id"])
    bare, _, _ = done.video_url.partition("?")
    assert httpx.get(bare).status_code == 403
    assert httpx.get(done.video_url.replace("signature=", "signature=0")).status_code == 403
    assert httpx.get(done.video_url).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": None},
        {"image": ""},
        {"resolution": "4k"},
        {"resolution": None},
        {"aspect_ratio": "2:1"},
        {"duration": 6},
        {"duration": "5"},
        {"prompt": "x" * 2001},
        {"camera_fixed": "yes"},
        {"seed": -2},
        {"seed": 2**31},
        {"last_image": 5},
        {"image": "https://127.0.0.1/a.png"},
    ],
)
def test_the_endpoints_rules_are_checked(sandbox: str, wrong: dict[str, Any]) -> None:
    answer = post(sandbox, **wrong)
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_REQUEST_BODY")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png_header(300, 300), "INVALID_IMAGE_SIZE"),
        (png_header(6000, 3000), "IMAGE_EXCEEDS_MAX_RESOLUTION"),
        (b"no image", "INVALID_IMAGE_FORMAT"),
    ],
)
def test_images_are_checked(sandbox: str, content: bytes, reason: str) -> None:
    assert post(sandbox, image=base64_of(content)).json()["reason"] == reason


def test_a_key_is_required(sandbox: str) -> None:
    answer = httpx.get(f"{sandbox}/v3/async/task-result?task_id=x")
    assert (answer.status_code, answer.json()["reason"]) == (403, "INVALID_API_KEY")


@pytest.mark.parametrize("task_id", ["unknown", "", "../secret", "%00"])
def test_an_unknown_task_is_not_found(sandbox: str, task_id: str) -> None:
    answer = httpx.get(f"{sandbox}/v3/async/task-result?task_id={task_id}", headers={"Authorization": "any"})
    assert (answer.status_code, answer.json()["reason"]) == (404, "TASK_NOT_FOUND")


def test_an_image_whose_pixels_do_not_decode_fails_its_task(sandbox: str) -> None:
    upstream_id = post(sandbox, image=base64_of(png_header(400, 400))).json()["task_id"]
    ends = time.monotonic() + 10
    while isinstance(outcome := novita_calls.get_task(upstream_id), outcomes.Rendering) and time.monotonic() < ends:
        time.sleep(0.05)
    assert isinstance(outcome, outcomes.Failed)


def test_a_prompt_can_ask_for_a_refusal(sandbox: str) -> None:
    assert post(sandbox, prompt="[refuse]").json()["reason"] == "ILLEGAL_PROMPT"


def test_the_list_of_tasks_counts_paid_submits(sandbox: str) -> None:
    before = len(httpx.get(f"{sandbox}/sandbox/tasks").json()["tasks"])
    post(sandbox, seed=99)
    post(sandbox, seed=-2)
    tasks = httpx.get(f"{sandbox}/sandbox/tasks").json()["tasks"]
    assert len(tasks) == before + 1
    assert tasks[-1]["seed"] == 99
