"""The JSON Schema of a model's create is exactly what a create takes, for every shipped model and every kind of rule.

Bodies are made from the model's row and beyond it. The serializer of /v1/ takes a body if and only if the schema does.
Written with the vendor's names, Novita's route takes the same ones.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.conf import settings as django_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from generations.api import model_pages
from generations.api.create_generation import read_request
from generations.api.request_bodies import NativeCreate, NovitaCreate
from generations.catalog import json_schema, video_models
from generations.catalog.video_models import VideoModel
from tests.support.model_bodies import JUNK, OPTIONAL_IMAGE, RULES, URL, bodies, theirs_for_ours, to_wire

pytestmark = pytest.mark.one_database
COMMON: dict[str, list[Any]] = {
    "external_id": ["", "order-4711", "x" * 255, "x" * 256, "a\nb", "a\n", None, 5],
    "metadata": [{}, {"a": "b"}, {"a": 5}, {"": "b"}, {"x" * 65: "b"}, {"a": "x" * 513}, {"a": "a\0"}, {"a\n": "a\n"}],
    "webhook_url": [
        "",
        "https://example.com/hook",
        "ftp://example.com/",
        "https://a.local",
        "https://a.b\n",
        "x",
        None,
    ],
}
COMMON["metadata"] += [None, [], "x"]
COMMON["webhook_url"] += [5, f"{URL}{'x' * 2000}"]


@pytest.fixture(scope="session")
def catalog_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder of the catalogue with models that have every kind of rule."""
    folder: Path = tmp_path_factory.mktemp("catalog")
    (folder / "ruled.toml").write_text(RULES)
    (folder / "both.toml").write_text(OPTIONAL_IMAGE)
    return str(folder)


@pytest.fixture(autouse=True)
def _catalog(catalog_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(django_settings, "CATALOG_DIR", catalog_dir)


each_model = pytest.mark.parametrize("model_id", [*video_models.models(), "ruled-1-i2v", "both-1"])
thorough = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def native(model: VideoModel, body: dict[str, Any]) -> Mapping[str, str] | None:
    """Return the errors by field with which /v1/ refuses the body; None if it takes it."""
    return refused(NativeCreate, body)


def refused(kind: Any, body: dict[str, Any], **context: Any) -> Mapping[str, str] | None:
    try:
        read_request(kind, copy.deepcopy(body), **context)
    except ValidationError as error:
        details: Any = error.detail
        return {name: str(texts) for name, texts in details.items()}
    return None


def schema_of(model: VideoModel) -> dict[str, Any]:
    return json_schema.create_body(model, model_pages.common_fields())


def is_valid(schema: dict[str, Any], body: dict[str, Any]) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(body)


def named_by_schema(schema: dict[str, Any], body: dict[str, Any]) -> set[str]:
    """Return the fields that are wrong by themselves: missing, unknown or of a wrong value."""
    names = set()
    for error in jsonschema.Draft202012Validator({**schema, "allOf": []}).iter_errors(body):
        names |= {str(error.path[0])} if error.path else set()
        missing = [name for name in schema["required"] if name not in body]
        names |= {*missing, *(body.keys() - schema["properties"].keys())}
    return names


@each_model
@thorough
@given(data=st.data())
def test_a_create_takes_a_body_if_and_only_if_the_schema_does(model_id: str, data: st.DataObject) -> None:
    model = video_models.models()[model_id]
    body = data.draw(bodies(model, may_be_wrong=True))
    if not (model_id == video_models.DEFAULT_ID and data.draw(st.booleans())):
        body["model"] = model_id
    for name in data.draw(st.lists(st.sampled_from(sorted(COMMON)), max_size=1)):
        body[name] = data.draw(st.sampled_from(COMMON[name]))
    if data.draw(st.integers(0, 9)) == 0:
        body[data.draw(st.sampled_from(["audo", "fields", "watermark", "extra", "id", "Prompt"]))] = data.draw(JUNK)
    schema, errors = schema_of(model), native(model, body)
    assert is_valid(schema, body) == (errors is None), errors
    if errors is not None:
        wrong = named_by_schema(schema, body)
        assert wrong & errors.keys() or not wrong, (wrong, errors)
        assert errors.keys() <= {*wrong, *model.fields}


@each_model
@thorough
@given(data=st.data())
def test_right_values_are_refused_by_rules_alone(model_id: str, data: st.DataObject) -> None:
    model = video_models.models()[model_id]
    body = {"model": model_id, **data.draw(bodies(model, may_be_wrong=False))}
    schema, errors = schema_of(model), native(model, body)
    assert is_valid({**schema, "allOf": []}, body)
    assert is_valid(schema, body) == (errors is None), errors
    assert errors is None or "allOf" in schema


@each_model
@thorough
@given(data=st.data())
def test_novitas_route_takes_the_same_bodies(model_id: str, data: st.DataObject) -> None:
    model = video_models.models()[model_id]
    body = data.draw(bodies(model, may_be_wrong=True))
    if theirs_for_ours(model, body):
        return
    errors = native(model, {"model": model_id, **body})
    for wire in to_wire(model, body):
        on_wire = refused(NovitaCreate, {**wire, "unknown_to_all": 5}, model=model)
        assert (on_wire is None) == (errors is None), (wire, errors, on_wire)
        if on_wire is not None:
            paths = {name: ".".join(field.path) for name, field in model.fields.items()}
            paths |= {name: row.wire for row in model.row.derived for name in row.from_}
            assert on_wire.keys() == {paths[name] for name in errors or {}}


def test_novitas_route_refuses_a_forbidden_field() -> None:
    model = video_models.models()["ruled-1-i2v"]
    body = {"image": URL, "watermark": True}
    assert (refused(NovitaCreate, body, model=model) or {}).keys() == {"watermark"}
    assert (native(model, {"model": model.id, **body}) or {}).keys() == {"watermark"}
    assert refused(NovitaCreate, {"image": URL, "watermark": None}, model=model) is None


@pytest.mark.parametrize("rule", range(5))
def test_each_rule_decides_some_body(rule: int) -> None:
    """Without the rule, the schema takes a body that the model refuses."""
    model = video_models.models()["ruled-1-i2v"]
    refused_bodies: list[dict[str, Any]] = [
        {"last_image": URL, "audio": True},
        {"voice": "low", "duration": 5},
        {"mode": "best", "shots": 3},
        {"shots": 1, "voice": "low", "strength": 0.5},
        {"strength": 1},
    ]
    body = {"model": model.id, "image": URL, **refused_bodies[rule]}
    schema = schema_of(model)
    assert native(model, body) is not None
    assert not is_valid(schema, body)
    assert is_valid({**schema, "allOf": [part for number, part in enumerate(schema["allOf"]) if number != rule]}, body)


def test_a_rule_sees_the_default_and_not_that_of_a_forbidden_field() -> None:
    model = video_models.models()["ruled-1-i2v"]
    schema = schema_of(model)
    with_sound = {"model": model.id, "image": URL, "voice": "high"}  # audio is true by default, so strength is required
    without = {**with_sound, "last_image": URL}  # the first rule takes the default away
    for body, is_right in ((with_sound, False), (without, True), ({**with_sound, "strength": 0.5}, True)):
        assert is_valid(schema, body) is is_right
        assert (native(model, body) is None) is is_right


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "For both-1, prompt is required where image is not given."),
        ({"prompt": ""}, "For both-1, prompt is required where image is not given."),
        ({"image": None, "prompt": None}, "For both-1, prompt is required where image is not given."),
        ({"prompt": "a", "last_image": URL}, "For both-1, image is required where last_image is given."),
        (
            {"prompt": "a", "duration": 10},
            "For both-1, aspect_ratio must be one of 16:9, 1:1 where duration is 10 and image is not given and "
            "last_image is not given.",
        ),
        ({"prompt": "a", "duration": 10, "aspect_ratio": "1:1"}, None),
        ({"image": URL, "duration": 10}, None),
        ({"image": URL, "last_image": URL, "prompt": ""}, None),
        ({"prompt": "a"}, None),
    ],
)
def test_a_rule_may_ask_for_what_an_absent_image_makes_necessary(body: dict[str, Any], message: str | None) -> None:
    model = video_models.models()["both-1"]
    errors = native(model, {"model": model.id, **body})
    assert is_valid(schema_of(model), {"model": model.id, **body}) == (message is None)
    assert (message is None) == (errors is None)
    if message:
        assert any(message in text for text in (errors or {}).values())


@thorough
@given(prompt=st.text("-\uff0d\ufe63aZ\uff21\uff5a5\u00e9 \n\0", min_size=1, max_size=12))
def test_a_prompt_with_a_flag_is_refused(prompt: str) -> None:
    model = video_models.models()["both-1"]
    body = {"model": model.id, "prompt": prompt}
    hyphens = prompt.translate(dict.fromkeys(map(ord, "\uff0d\ufe63"), "-"))
    has_flag = any(f"--{letter}" in hyphens for letter in "aZ\uff21\uff5a")
    errors = native(model, body)
    assert (errors is None) == (not has_flag and "\0" not in prompt)
    assert is_valid(schema_of(model), body) == (errors is None)


@pytest.mark.parametrize(
    "flag",
    ["--\U0001d5ff\U0001d600", "--\u24e1s", "--\u02b3\u02e2", "-\u200b-rs", "--\u2060rs", "-\u00ad\uff0drs"],
    ids=ascii,
)
def test_a_flag_in_other_letters_or_with_signs_that_show_nothing_is_refused(flag: str) -> None:
    """An upstream may normalize a text before it reads it."""
    model = video_models.models()["both-1"]
    assert native(model, {"model": model.id, "prompt": f"a boat {flag} 1080p"})


@pytest.mark.parametrize(
    "prompt", ["a boat \u2014 at sea", "caf\u00e9 -- 5", "-\u200ba", "\U0001f468\u200d\U0001f469 -x"], ids=ascii
)
def test_a_text_that_is_no_flag_in_any_letters_is_taken(prompt: str) -> None:
    model = video_models.models()["both-1"]
    assert native(model, {"model": model.id, "prompt": prompt}) is None


def test_the_refusal_of_a_flag_says_why() -> None:
    model = video_models.models()["both-1"]
    text = "For both-1, prompt must not hold flags such as --rs: they could change what is paid for."
    assert text in (native(model, {"model": model.id, "prompt": "a boat --dur 12"}) or {})["prompt"]
    assert text in (refused(NovitaCreate, {"prompt": "a boat --dur 12"}, model=model) or {})["prompt"]


def test_the_schema_of_the_default_model_needs_no_name() -> None:
    schema = schema_of(video_models.default())
    assert "model" not in schema["required"]
    assert is_valid(schema, {"image": URL, "resolution": "480p"})
    assert is_valid(schema, {"model": None, "image": URL, "resolution": "480p", "seed": None})
    other = schema_of(video_models.models()["kling-v3.0-std-i2v"])
    assert not is_valid(other, {"image": URL, "prompt": "x"})
    assert not is_valid(other, {"model": None, "image": URL, "prompt": "x"})
