"""The body of a create, as it is sent: its content, its flat fields, and nothing of a tenant."""

from typing import Any

import msgspec
import pytest

from generations.catalog.model_file import ModelRow
from generations.catalog.offers import Offer
from generations.catalog.video_models import VideoModel
from generations.upstream.ark.wire import WIRE
from generations.upstream.protocol import TaskRequest
from tests.support.ark_answers import MODEL

ROW = {
    "id": "acme-ark-1",
    "title": "Acme Ark 1",
    "wire": "ark",
    "task": "both",
    "offers": [{"account": "ark", "upstream_model": MODEL}],
    "fields": [
        {"name": "prompt", "type": "string", "default": ""},
        {"name": "image", "type": "image"},
        {"name": "last_image", "type": "image"},
        {"name": "resolution", "type": "enum", "enum": ["480p", "720p"], "default": "480p"},
        {"name": "aspect_ratio", "type": "enum", "enum": ["16:9", "9:16"], "default": "16:9", "wire": "ratio"},
        {"name": "duration", "type": "enum", "enum": [5, 10], "default": 5},
        {"name": "camera_fixed", "type": "boolean", "default": False},
        {"name": "seed", "type": "integer", "min": -1, "max": 2147483647, "default": -1},
        {"name": "sound", "type": "boolean", "wire": "generate_audio"},
    ],
    "price": {"kind": "per_token"},
}
VALUES = {"resolution": "720p", "aspect_ratio": "9:16", "duration": 5, "camera_fixed": False, "seed": 7}
FLAT = {"resolution": "720p", "ratio": "9:16", "duration": 5, "camera_fixed": False, "seed": 7}
TEXT = {"type": "text", "text": "A boat leaves."}


def encode(values: dict[str, Any], **facts: Any) -> Any:
    """Return the body of a request with these values and VALUES, decoded."""
    model = VideoModel(msgspec.convert(ROW, ModelRow))
    all_values = {**VALUES, **values}
    request = TaskRequest(model, model.offers[0], all_values, lambda image: f"data:image/png;base64,{image}", **facts)
    return msgspec.json.decode(WIRE.encode(request))


def image(text: str, role: str) -> dict[str, Any]:
    """Return the item of an image."""
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}, "role": role}


def test_a_prompt_alone_is_one_item_beside_flat_fields() -> None:
    assert encode({"prompt": "A boat leaves."}) == {"model": MODEL, "content": [TEXT], **FLAT}


@pytest.mark.parametrize("prompt", ["", None])
def test_an_empty_prompt_is_left_out(prompt: Any) -> None:
    body = encode({"prompt": prompt, "image": "first"})
    assert body == {"model": MODEL, "content": [image("first", "first_frame")], **FLAT}


def test_each_image_has_its_role() -> None:
    body = encode({"prompt": "A boat leaves.", "last_image": "last", "image": "first"})
    assert body["content"] == [TEXT, image("first", "first_frame"), image("last", "last_frame")]


def test_a_field_without_a_value_is_left_out_and_false_is_a_value() -> None:
    assert "generate_audio" not in encode({"sound": None})
    assert encode({"sound": False})["generate_audio"] is False


def test_the_model_is_the_offers() -> None:
    model = VideoModel(msgspec.convert(ROW, ModelRow))
    request = TaskRequest(model, Offer("novita", "ark", "another-id"), VALUES, str)
    assert msgspec.json.decode(WIRE.encode(request))["model"] == "another-id"


def test_the_attempts_id_and_the_callback_are_sent_if_there_are_any(settings: Any) -> None:
    reference, url = "0123456789abcdef" * 2, "https://gateway.example.com/hook/1"
    assert encode({}, reference=reference, callback_url=url) == {
        "model": MODEL,
        "content": [],
        **FLAT,
        "callback_url": url,
        "safety_identifier": reference,
    }
    settings.SAFETY_IDENTIFIER = False
    assert "safety_identifier" not in encode({}, reference=reference)
