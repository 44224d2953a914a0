"""The bodies of the OpenAPI document are those that models take: of any model under /v1/, of one on Novita's wire."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generations.catalog import request_check, video_models
from generations.catalog.request_check import BadRequest
from generations.catalog.request_fields import RequestField, read_path, write_path
from generations.catalog.video_models import VideoModel
from seedance_service.docs.openapi import field_schemas, model_fields, wire_examples
from seedance_service.docs.openapi.wire_bodies import WireBody
from tests.service.docs.test_openapi import DOCUMENT
from tests.support import model_bodies

pytestmark = pytest.mark.one_database
ROOT = Path(__file__).parents[3]
MODELS = list(video_models.models().values())
FIELDS = [(model, name) for model in MODELS for name in model.fields]
each_model = pytest.mark.parametrize("model", MODELS, ids=str)
each_field = pytest.mark.parametrize(("model", "name"), FIELDS, ids=str)
each_model_on_the_wire = pytest.mark.parametrize("model", [model for model in MODELS if model.route], ids=str)
each_field_on_the_wire = pytest.mark.parametrize(("model", "name"), [pair for pair in FIELDS if pair[0].route], ids=str)
thorough = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
WRONG: tuple[Any, ...] = ("", " ", "no value", "x" * 10_001, "nul \0", 0, -2, 5.5, 10**12, 1e300, True, False, [], {})
CREATE: dict[str, Any] = DOCUMENT["components"]["schemas"]["GenerationCreate"]


def is_valid(schema: dict[str, Any], value: Any, named: dict[str, Any] | None = None) -> bool:
    components = {"schemas": {**DOCUMENT["components"]["schemas"], **(named or {})}}
    return bool(jsonschema.Draft202012Validator({**schema, "components": components}).is_valid(value))


def every_value(model: VideoModel) -> dict[str, Any]:
    """Return a value of each field, under /v1/'s names."""
    return {name: wire_examples._value(model, field) for name, field in model.fields.items()}


def is_taken_but_for_rules(model: VideoModel, body: dict[str, Any]) -> bool:
    """Return whether the model takes the body on the wire, but for its rules between fields: those are at its page."""
    try:
        request_check.check_wire(model, body)
    except BadRequest as error:
        return " where " in str(error)
    return True


def values_of(field: RequestField) -> Iterator[Any]:
    """Yield values that the field takes, to its bounds."""
    yield from field.values
    if field.row.type in ("integer", "number"):
        yield from (field.minimum, field.row.max, float(field.row.max or 0))
    if field.row.type == "string":
        yield "x" * field.max_length
        yield from [] if field.is_required else ["", None]
    if field.row.type == "boolean":
        yield from (True, False)
    yield from [] if field.is_required else [None]


@each_field
def test_the_create_takes_every_value_of_a_models_field(model: VideoModel, name: str) -> None:
    for value in values_of(model.fields[name]):
        body = {**every_value(model), "model": model.id, name: value}
        assert is_valid(CREATE, body), body
        assert is_valid(DOCUMENT["components"]["schemas"]["GenerationRerun"], {name: value})


@each_field
def test_a_field_says_which_models_take_it(model: VideoModel, name: str) -> None:
    assert f"`{model.id}`" in CREATE["properties"][name]["description"]


def test_nothing_is_required_of_all_models_and_no_other_field_is_taken() -> None:
    assert "required" not in CREATE
    assert CREATE["additionalProperties"] is False
    assert not is_valid(CREATE, {"sede": 1})
    assert not is_valid(CREATE, {"model": "no-such-model"})


def test_the_exact_values_of_a_field_are_united() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Duration"]["enum"] == list(range(2, 16))
    assert schemas["Resolution"]["enum"] == ["480p", "720p", "1080p", "768p"]
    assert schemas["AspectRatio"]["enum"][-1] == "adaptive"
    assert schemas["VideoModel"]["enum"][0] == "seedance-v1-lite-i2v"
    assert set(schemas["VideoModel"]["enum"]) == set(video_models.models())


@each_model_on_the_wire
def test_the_examples_on_the_wire_are_taken(model: VideoModel) -> None:
    body, examples = WireBody(model), wire_examples._bodies(model)
    assert "the required fields" in examples
    for example in examples.values():
        assert is_valid(body.schema, example, body.named), example
        request_check.check_wire(model, example)


@each_field_on_the_wire
def test_the_wire_takes_exactly_what_the_document_says(model: VideoModel, name: str) -> None:
    body, field = WireBody(model), model.fields[name]
    path = field.path or next(derived.wire.split(".") for derived in model.row.derived if name in derived.from_)
    [smallest] = [example for title, example in wire_examples._bodies(model).items() if "required" in title]
    ours = [field.to_wire(value) for value in values_of(field)]
    for value in (*ours, *WRONG, None):
        tried = json.loads(json.dumps(smallest))
        write_path(tried, path, value)
        assert is_valid(body.schema, tried, body.named) == is_taken_but_for_rules(model, tried), (path, value)
        assert read_path(tried, path) is not None


@each_model
@thorough
@given(data=st.data())
def test_whatever_a_model_takes_fits_the_document(model: VideoModel, data: st.DataObject) -> None:
    body = {**data.draw(model_bodies.bodies(model, may_be_wrong=True)), "model": model.id}
    try:
        request_check.check(model, {name: value for name, value in body.items() if name != "model"})
    except BadRequest:
        return
    assert is_valid(CREATE, body), body


@each_model_on_the_wire
@thorough
@given(data=st.data())
def test_the_document_takes_on_the_wire_what_the_model_takes_but_for_its_rules(
    model: VideoModel, data: st.DataObject
) -> None:
    documented = WireBody(model)
    for body in model_bodies.to_wire(model, data.draw(model_bodies.bodies(model, may_be_wrong=True))):
        assert is_valid(documented.schema, body, documented.named) == is_taken_but_for_rules(model, body), body


@each_model_on_the_wire
def test_the_wire_requires_what_the_document_says(model: VideoModel) -> None:
    body = WireBody(model)
    assert is_valid(body.schema, {}, body.named) == (not any(field.is_required for field in model.fields.values()))
    with pytest.raises(BadRequest):
        request_check.check_wire(model, {})


ODD = """
id = "odd-v1.0"
title = "Odd"
task = "t2v"
wire = "novita-async"
route = "/v3/async/odd"
sound = "never"
state = "active"

[[fields]]
name = "duration"
wire = "config.duration"
type = "integer"
min = 5
max = 6
presence = "required"

[[fields]]
name = "fps"
type = "number"
min = 0.5
max = 60

[[fields]]
name = "service_tier"
type = "boolean"

[[fields]]
name = "video"
presence = "forbidden"

[[fields]]
name = "steps"
wire = "config.deep.steps"
type = "enum"
enum = ["1:1", "1*1"]

[price]
kind = "per_video"
"""


@pytest.fixture(scope="module")
def other_document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document of a catalogue in which every shipped model is active, and one has other types."""
    folder = tmp_path_factory.mktemp("catalogue")
    for path in video_models.SHIPPED.glob("*.toml"):
        text = re.sub(r'^(state = )"retired"', r'\1"active"', path.read_text(), flags=re.MULTILINE)
        text = re.sub(r"^(announced_at|retires_at|replacement) = .*$", "", text, flags=re.MULTILINE)
        (folder / path.name).write_text(text)
    (folder / "odd.toml").write_text(ODD.replace('name = "video"\n', 'name = "size"\n'))
    command = [sys.executable, "manage.py", "spectacular", "--format", "openapi-json", "--validate", "--fail-on-warn"]
    env = {"SECRET_KEY": "check", "S3_BUCKET": "check", "NOVITA_API_KEY": "check", "CATALOG_DIR": str(folder)}
    env |= {"DATABASE_URL": "sqlite://:memory:", "PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_document_is_that_of_the_catalogue_in_use(other_document: dict[str, Any]) -> None:
    validate_schema(other_document)
    submits = [path for path in other_document["paths"] if path.startswith("/v3/async/") and "task-result" not in path]
    assert set(submits) == {model.route for model in MODELS if model.route} | {"/v3/async/odd"}
    schemas = other_document["components"]["schemas"]
    wan = schemas["NovitaWan26T2VCreate"]
    assert wan["required"] == ["input"]
    assert schemas["NovitaWan26T2VInput"]["required"] == ["prompt"]
    assert "1280*720" in schemas["NovitaWan26T2VParametersSize"]["enum"]
    assert schemas["NovitaOddV10Create"]["required"] == ["config"]
    assert schemas["NovitaOddV10Create"]["properties"]["size"] == {"type": "null"}


def test_a_field_of_two_types_takes_the_values_of_both(other_document: dict[str, Any]) -> None:
    schemas = other_document["components"]["schemas"]
    properties = schemas["GenerationCreate"]["properties"]
    assert properties["fps"]["type"] == ["number", "null"]
    assert (properties["fps"]["minimum"], properties["fps"]["maximum"]) == (0.5, 60)
    assert properties["service_tier"]["type"] == ["boolean", "string", "null"]
    assert schemas["Generation"]["properties"]["service_tier"]["type"] == ["boolean", "string"]
    assert "x-enum-varnames" not in schemas["StepsChoice"]  # both members would have one name


def test_a_reference_of_each_enum_has_a_schema() -> None:
    named = model_fields.enums()
    assert {"Resolution", "AspectRatio", "Duration", "VideoModel"} <= set(named)
    assert field_schemas.alternatives(["a", "b", "c"]) == "a, b or c"
