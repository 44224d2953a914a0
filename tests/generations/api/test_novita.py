"""POST /v3/async/seedance-v1-lite-i2v: each rule of the endpoint's page, just inside and just outside."""

from typing import Any

import msgspec
import pytest
from django_q.models import OrmQ

from generations.models import Generation
from tests.support.factories import Caller
from tests.support.images import data_uri, image_bytes

PATH = "/v3/async/seedance-v1-lite-i2v"
pytestmark = [pytest.mark.usefixtures("bucket"), pytest.mark.one_database]


def send(caller: Caller, body: Any, path: str = PATH) -> Any:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return caller.http.generic("POST", path, content, content_type="application/json")


def accept(caller: Caller, body: dict[str, Any]) -> Generation:
    answer = send(caller, body)
    assert answer.status_code == 200, answer.content
    assert list(answer.json()) == ["task_id"]
    return Generation.objects.get(pk=answer.json()["task_id"])


def check_refused(caller: Caller, body: Any, reason: str = "INVALID_REQUEST_BODY", status: int = 400) -> str:
    answer = send(caller, body)
    envelope = answer.json()
    assert (answer.status_code, envelope["code"], envelope["reason"]) == (status, status, reason), envelope
    assert not Generation.objects.exists()
    assert envelope["message"]
    return str(envelope["message"])


def test_the_smallest_body_gets_a_task_id_and_the_pages_defaults(alice: Caller, body: dict[str, Any]) -> None:
    g = accept(alice, body)
    assert (g.tenant, g.api_key, g.status) == (alice.tenant, alice.key, "queued")
    assert (g.prompt, g.aspect_ratio, g.duration, g.camera_fixed) == ("", "16:9", 5, False)
    assert (g.seed_source, g.price_micro) == ("drawn", 88_209)
    assert OrmQ.objects.count() == 1  # a wake-up was sent


def test_every_field_is_recorded(alice: Caller, body: dict[str, Any]) -> None:
    fields = {"prompt": "a ship", "aspect_ratio": "21:9", "duration": 10, "camera_fixed": True, "seed": 5}
    g = accept(alice, {**body, **fields, "resolution": "1080p", "last_image": data_uri(image_bytes(400, 400))})
    assert {name: getattr(g, name) for name in fields} == fields
    assert (g.resolution, g.seed_source) == ("1080p", "caller")
    assert g.last_image is not None
    assert (g.last_image.width, g.last_image.height) == (400, 400)


def test_null_is_as_good_as_not_given(alice: Caller, body: dict[str, Any]) -> None:
    nothing = dict.fromkeys(["prompt", "aspect_ratio", "last_image", "camera_fixed", "seed", "duration"])
    g = accept(alice, {**body, **nothing})
    assert (g.prompt, g.aspect_ratio, g.duration, g.camera_fixed) == ("", "16:9", 5, False)


def test_a_field_that_novita_does_not_know_is_ignored(alice: Caller, body: dict[str, Any]) -> None:
    assert accept(alice, {**body, "extra": {"webhook": {"url": "https://example.com"}}, "loras": []})


@pytest.mark.parametrize("prompt", ["x" * 2000, "é" * 2000, "🚢" * 2000, "", " \n ", "\u202e right to left"])
def test_a_prompt_of_2000_characters_is_taken_as_it_is(alice: Caller, body: dict[str, Any], prompt: str) -> None:
    assert accept(alice, {**body, "prompt": prompt}).prompt == prompt


@pytest.mark.parametrize("prompt", ["x" * 2001, "🚢" * 2001, 5, ["x"], {"a": 1}, True, "nul \u0000"])
def test_another_prompt_is_refused(alice: Caller, body: dict[str, Any], prompt: Any) -> None:
    assert "prompt" in check_refused(alice, {**body, "prompt": prompt})


@pytest.mark.parametrize("resolution", ["480p", "720p", "1080p"])
@pytest.mark.parametrize("ratio", ["21:9", "16:9", "4:3", "1:1", "3:4", "9:16"])
@pytest.mark.parametrize("duration", [5, 10])
def test_all_36_combinations_are_taken(
    alice: Caller, body: dict[str, Any], resolution: str, ratio: str, duration: int
) -> None:
    g = accept(alice, {**body, "resolution": resolution, "aspect_ratio": ratio, "duration": duration})
    assert (g.resolution, g.aspect_ratio, g.duration) == (resolution, ratio, duration)


@pytest.mark.parametrize("resolution", ["360p", "4k", "", "480P", 480, None, ["480p"]])
def test_another_resolution_is_refused(alice: Caller, body: dict[str, Any], resolution: Any) -> None:
    assert "resolution" in check_refused(alice, {**body, "resolution": resolution})


@pytest.mark.parametrize("ratio", ["9:21", "16/9", "adaptive", "", 1.78, ["16:9"]])
def test_another_aspect_ratio_is_refused(alice: Caller, body: dict[str, Any], ratio: Any) -> None:
    assert "aspect_ratio" in check_refused(alice, {**body, "aspect_ratio": ratio})


@pytest.mark.parametrize("duration", [4, 6, 9, 11, 0, -5, "5", 5.5, True, [5]])
def test_another_duration_is_refused(alice: Caller, body: dict[str, Any], duration: Any) -> None:
    assert "duration" in check_refused(alice, {**body, "duration": duration})


def test_a_whole_number_may_be_written_as_any_json_number(alice: Caller, body: dict[str, Any]) -> None:
    g = accept(alice, {**body, "duration": 10.0, "seed": 7.0})
    assert (g.duration, g.seed) == (10, 7)


@pytest.mark.parametrize("value", [0, 1, "true", "false", "", [], {}])
def test_camera_fixed_is_true_or_false(alice: Caller, body: dict[str, Any], value: Any) -> None:
    assert "camera_fixed" in check_refused(alice, {**body, "camera_fixed": value})


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_a_callers_seed_is_recorded(alice: Caller, body: dict[str, Any], seed: int) -> None:
    g = accept(alice, {**body, "seed": seed})
    assert (g.seed, g.seed_source) == (seed, "caller")


@pytest.mark.parametrize("fields", [{}, {"seed": None}, {"seed": -1}])
def test_without_a_seed_one_is_drawn(alice: Caller, body: dict[str, Any], fields: dict[str, Any]) -> None:
    seeds = {accept(alice, {**body, **fields}).seed for _ in range(3)}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize("seed", [-2, 2**31, 2**32, 2**63, 10**300, 1e300, "5", 1.5, True, [1]])
def test_another_seed_is_refused(alice: Caller, body: dict[str, Any], seed: Any) -> None:
    content = msgspec.json.encode({**body, "seed": "SEED"}).replace(b'"SEED"', str(seed).encode())
    if not isinstance(seed, int) or isinstance(seed, bool):
        content = msgspec.json.encode({**body, "seed": seed})
    check_refused(alice, content)


def test_the_image_and_the_resolution_are_required(alice: Caller, body: dict[str, Any]) -> None:
    for name in ("image", "resolution"):
        assert name in check_refused(alice, {key: value for key, value in body.items() if key != name})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"image"',
        b"null",
        b"NaN",
        b'{"image": NaN}',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"prompt": "\\ud800", "image": "x", "resolution": "480p"}',
        b'{"prompt": "\xff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"seed": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(alice: Caller, content: bytes) -> None:
    check_refused(alice, content)


def test_a_body_over_the_limit_is_refused(alice: Caller, settings: Any, body: dict[str, Any]) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    check_refused(alice, body, status=413)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_another_content_type_is_refused(alice: Caller, kind: str) -> None:
    answer = alice.http.generic("POST", PATH, b"image=x", content_type=kind)
    assert (answer.status_code, answer.json()["code"]) == (415, 415)


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_another_method_is_refused(alice: Caller, method: str) -> None:
    answer = getattr(alice.http, method)(PATH)
    assert (answer.status_code, answer.json()["code"]) == (405, 405)


def test_a_limit_is_refused_with_its_name_and_when_to_come_back(alice: Caller, body: dict[str, Any]) -> None:
    alice.limit(per_day=1)
    accept(alice, body)
    answer = send(alice, body)
    assert (answer.status_code, answer.json()["reason"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert "per_day" in answer.json()["message"]
    assert 1 <= int(answer["Retry-After"]) <= 86_400
    assert Generation.objects.count() == 1


def test_a_budget_is_refused_in_novitas_words(alice: Caller, body: dict[str, Any]) -> None:
    alice.limit(usd_per_month_micro=88_208)
    check_refused(alice, body, "BILLING_BALANCE_NOT_ENOUGH")


def test_a_suspended_tenant_is_refused(alice: Caller, body: dict[str, Any]) -> None:
    from django.utils import timezone

    type(alice.tenant).objects.update(suspended_at=timezone.now())
    check_refused(alice, body, "API_NOT_ALLOWED", 403)


def test_a_store_that_is_down_refuses_for_now_and_creates_nothing(
    alice: Caller, body: dict[str, Any], settings: Any
) -> None:
    settings.S3_BUCKET = "not-there"
    answer = send(alice, body)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert not Generation.objects.exists()


def test_a_webhook_in_extra_gets_novitas_payload(alice: Caller, body: dict[str, Any], bucket: Any) -> None:
    extra = {"webhook": {"url": "https://hooks.example.com/novita", "test_mode": {"enabled": False}}, "other": 1}
    assert send(alice, {**body, "extra": extra}).status_code == 200
    generation = Generation.objects.get()
    assert (generation.webhook_url, generation.webhook_format) == ("https://hooks.example.com/novita", "novita")


@pytest.mark.parametrize("extra", [None, {}, [], "x", {"webhook": None}, {"webhook": {"url": ""}}])
def test_an_extra_without_a_webhook_is_ignored(alice: Caller, body: dict[str, Any], bucket: Any, extra: Any) -> None:
    assert send(alice, {**body, "extra": extra}).status_code == 200
    assert Generation.objects.get().webhook_url == ""


@pytest.mark.parametrize("webhook", ["x", {}, {"url": 5}, {"url": "http://127.0.0.1/"}, {"url": "https://10.0.0.1/"}])
def test_a_webhook_that_can_not_be_called_is_refused(alice: Caller, body: dict[str, Any], webhook: Any) -> None:
    answer = send(alice, {**body, "extra": {"webhook": webhook}})
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_REQUEST_BODY")
    assert "extra" in answer.json()["metadata"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"input": {"prompt": ""}}, "input.prompt"),
        ({"input": {"prompt": "a ship", "negative_prompt": 5}}, "input.negative_prompt"),
        ({"input": {"prompt": "a ship"}, "parameters": {"size": "1x1"}}, "parameters.size"),
        ({"input": {"prompt": "a ship"}, "parameters": "none"}, "parameters"),
        ({}, "input.prompt"),
    ],
)
def test_a_nested_field_is_named_by_its_path(alice: Caller, wrong: dict[str, Any], field: str) -> None:
    answer = send(alice, wrong, "/v3/async/wan2.6-t2v")
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_REQUEST_BODY")
    assert set(answer.json()["metadata"]) == {field, "request_id"}
    assert answer.json()["message"].startswith(f"{field}: For wan2.6-t2v, {field} ")


def test_a_model_takes_the_names_of_its_own_page(alice: Caller) -> None:
    body = {"prompt": "a ship", "sound": True, "cfg_scale": 1, "negative_prompt": None, "audio": "ignored"}
    answer = send(alice, body, "/v3/async/kling-v3.0-std-t2v")
    assert answer.status_code == 200, answer.content
    g = Generation.objects.get(pk=answer.json()["task_id"])
    assert (g.model, g.seed, g.resolution) == ("kling-v3.0-std-t2v", None, None)
    assert g.parameters == {"audio": True, "cfg_scale": 1.0}
