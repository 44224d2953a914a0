"""The OpenAPI document is the committed one, is complete, names its schemas, and has examples that fit."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
from django.core.management import call_command
from drf_spectacular.validation import validate_schema

from generations.catalog import video_models
from generations.upstream import callbacks
from seedance_service.docs import error_pages
from seedance_service.docs.openapi import error_responses, multipart
from tests.generations.api.test_isolation import methods, routes

pytestmark = pytest.mark.one_database
COMMITTED = Path(__file__).parents[3] / "openapi.json"
DOCUMENT: dict[str, Any] = json.loads(COMMITTED.read_text())


class Operation(NamedTuple):
    path: str
    method: str
    facts: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"


class Example(NamedTuple):
    schema: Any
    value: Any


OPERATIONS = [
    Operation(path, method, facts) for path, item in DOCUMENT["paths"].items() for method, facts in item.items()
]
each = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


def resolve(part: Any) -> Any:
    """Return the part of the document that a reference names, or the part itself if it is no reference."""
    while "$ref" in part:
        _, *names = part["$ref"].split("/")
        part = DOCUMENT
        for name in names:
            part = part[name]
    return part


def responses(operation: Operation) -> dict[str, Any]:
    return {status: resolve(answer) for status, answer in operation.facts["responses"].items()}


def examples(operation: Operation) -> Iterator[Example]:
    for parameter in operation.facts.get("parameters", []):
        if "example" in parameter:
            yield Example(parameter["schema"], parameter["example"])
    for part in (operation.facts.get("requestBody", {}), *responses(operation).values()):
        for media in part.get("content", {}).values():
            values = [resolve(example)["value"] for example in media.get("examples", {}).values()]
            yield from (Example(media["schema"], value) for value in values)
        for header in map(resolve, part.get("headers", {}).values()):
            yield Example(header["schema"], header["example"])


def test_the_committed_document_is_the_one_that_the_code_makes(tmp_path: Path) -> None:
    """The bytes are those that `make openapi` writes: callers generate their clients from the document."""
    written = tmp_path / "openapi.json"
    call_command("spectacular", "--format", "openapi-json", "--file", str(written))
    assert written.read_bytes() == COMMITTED.read_bytes(), "openapi.json is out of date: run `make openapi`"


def test_the_document_is_valid() -> None:
    validate_schema(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")


def test_every_route_is_in_the_document() -> None:
    """But for the one that upstreams post to, which is no caller's."""
    retired = {route for route, model in video_models.by_route().items() if model.row.state == "retired"}
    views = {(f"/{path}".replace("<str:", "{").replace(">", "}"), view) for path, view in routes()}
    expected = {
        (path, method.lower())
        for path, view in views
        if path.startswith(("/v1/", "/v3/")) and path not in retired | {f"/{callbacks.PATH}{{reference}}"}
        for method in methods(view)
    }
    assert {(operation.path, operation.method) for operation in OPERATIONS} == expected


@each
def test_an_operation_says_what_it_does_and_how_it_can_be_refused(operation: Operation) -> None:
    assert operation.facts["summary"]
    assert operation.facts["operationId"]
    assert operation.facts["security"] == [{"apiKey": []}]
    assert len(operation.facts["tags"]) == 1
    answers = responses(operation)
    assert {"400", "403", "429", "500", "503"} <= set(answers)
    assert ("406" in answers) == (operation.facts["operationId"] not in error_responses.ANY_TYPE)
    assert ("401" in answers) == operation.path.startswith("/v1/")
    names_a_row = "{" in operation.path or "task_id" in str(operation.facts.get("parameters"))
    is_wire_create = operation.path.startswith("/v3/") and operation.method == "post"  # 404: the model is retired
    assert ("404" in answers) == (names_a_row or is_wire_create)
    assert all(answer["description"] for answer in answers.values())
    assert all("X-Request-Id" in answer["headers"] for answer in answers.values())


@each
def test_every_body_and_answer_has_an_example(operation: Operation) -> None:
    for part in (operation.facts.get("requestBody", {}), *responses(operation).values()):
        assert all(media["examples"] for kind, media in part.get("content", {}).items() if kind != multipart.FORM)


@each
def test_every_example_fits_its_schema(operation: Operation) -> None:
    for example in examples(operation):
        schema = {**example.schema, "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(schema).validate(example.value)


def test_every_error_code_is_documented_by_some_operation() -> None:
    answers = [answer for operation in OPERATIONS for answer in responses(operation).values()]
    documented = {name for answer in answers for name in _examples_of(answer)}
    expected = {name for name, code in error_pages.all_codes().items() if code.problem and code.advice.apis}
    # The first two are of no operation: the path, or its method, does not exist.
    assert expected - documented == {"not_found", "method_not_allowed", "image_invalid"}


def _examples_of(answer: dict[str, Any]) -> set[str]:
    return {name for media in answer.get("content", {}).values() for name in media["examples"]}


def test_every_reference_has_a_target() -> None:
    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from ([part["$ref"]] if isinstance(part.get("$ref"), str) else [])
            part = list(part.values())
        if isinstance(part, list):
            for item in part:
                yield from references(item)

    assert all(resolve({"$ref": reference}) for reference in set(references(DOCUMENT)))


def _parts(part: Any) -> Iterator[dict[str, Any]]:
    """Return every object of the document within the part."""
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from _parts(item)


SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
each_schema = pytest.mark.parametrize("name", SCHEMAS)


@each_schema
def test_every_enum_and_every_object_has_a_name(name: str) -> None:
    """A generator gives an anonymous enum or object a type of its own at each place."""
    inner = [part for value in SCHEMAS[name].values() for part in _parts(value)]
    assert not [part for part in inner if isinstance(part.get("enum"), list)]
    assert name == "ExceededLimit" or not [part for part in inner if part.get("type") == "object"]


@each
def test_every_body_has_a_name(operation: Operation) -> None:
    for part in (operation.facts.get("requestBody", {}), *responses(operation).values()):
        for kind, media in part.get("content", {}).items():
            assert "$ref" in media["schema"] or kind == "text/csv"
    assert not [part for part in _parts(operation.facts.get("parameters", [])) if isinstance(part.get("enum"), list)]


@each_schema
def test_an_enum_has_no_null_and_a_list_of_types_no_array(name: str) -> None:
    """openapi-python-client drops an operation for an array in a list of types."""
    assert None not in SCHEMAS[name].get("enum", [])
    for part in _parts(SCHEMAS[name]):
        assert not (isinstance(part.get("type"), list) and ("array" in part["type"] or "items" in part))


def test_null_fits_exactly_one_schema_where_it_is_one_of_several() -> None:
    """A null that fits two schemas of a `oneOf` is invalid."""
    choices = [part["oneOf"] for part in _parts(DOCUMENT) if {"type": "null"} in part.get("oneOf", [])]
    assert choices
    for choice in choices:
        jsonschema.Draft202012Validator({"oneOf": choice, "components": DOCUMENT["components"]}).validate(None)


@each
def test_no_field_of_a_body_has_a_default(operation: Operation) -> None:
    """openapi-typescript requires a field with a default."""
    for media in operation.facts.get("requestBody", {}).get("content", {}).values():
        assert not [part for part in resolve(media["schema"])["properties"].values() if "default" in part]
