"""The OpenAPI document: it is the committed one, it is whole, and what it shows is what it says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
from django.core.management import call_command
from drf_spectacular.validation import validate_schema

from seedance_service.docs import error_pages
from seedance_service.docs.openapi import multipart
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


OPERATIONS = [Operation(path, method, one) for path, ones in DOCUMENT["paths"].items() for method, one in ones.items()]
each = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


def resolved(part: Any) -> Any:
    """What the part refers to within the document, or the part itself."""
    while "$ref" in part:
        _, *names = part["$ref"].split("/")
        part = DOCUMENT
        for name in names:
            part = part[name]
    return part


def responses(operation: Operation) -> dict[str, Any]:
    return {status: resolved(one) for status, one in operation.facts["responses"].items()}


def examples(operation: Operation) -> Iterator[Example]:
    for one in operation.facts.get("parameters", []):
        if "example" in one:
            yield Example(one["schema"], one["example"])
    for part in (operation.facts.get("requestBody", {}), *responses(operation).values()):
        for media in part.get("content", {}).values():
            yield from (Example(media["schema"], resolved(one)["value"]) for one in media.get("examples", {}).values())
        for header in map(resolved, part.get("headers", {}).values()):
            yield Example(header["schema"], header["example"])


def test_the_committed_document_is_the_one_that_the_code_makes(tmp_path: Path) -> None:
    """Byte for byte, as `make openapi` writes it: callers generate their clients from the document."""
    made = tmp_path / "openapi.json"
    call_command("spectacular", "--format", "openapi-json", "--file", str(made))
    assert made.read_bytes() == COMMITTED.read_bytes(), "openapi.json is not what the code says: run `make openapi`"


def test_it_is_valid() -> None:
    validate_schema(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")


def test_every_route_is_in_it() -> None:
    found = {(f"/{path}".replace("<str:", "{").replace(">", "}"), view) for path, view in routes()}
    wanted = {
        (path, method.lower()) for path, view in found if path.startswith(("/v1/", "/v3/")) for method in methods(view)
    }
    assert {(one.path, one.method) for one in OPERATIONS} == wanted


@each
def test_an_operation_says_what_it_does_and_how_it_can_be_refused(operation: Operation) -> None:
    assert operation.facts["summary"]
    assert operation.facts["operationId"]
    assert operation.facts["security"] == [{"apiKey": []}]
    assert len(operation.facts["tags"]) == 1
    told = responses(operation)
    assert {"400", "403", "406", "429", "500", "503"} <= set(told)
    assert ("401" in told) == operation.path.startswith("/v1/")
    assert ("404" in told) == ("{" in operation.path or "task_id" in str(operation.facts.get("parameters")))
    assert all(one["description"] for one in told.values())
    assert all("X-Request-Id" in one["headers"] for one in told.values())


@each
def test_every_body_and_answer_has_an_example(operation: Operation) -> None:
    for part in (operation.facts.get("requestBody", {}), *responses(operation).values()):
        assert all(media["examples"] for kind, media in part.get("content", {}).items() if kind != multipart.FORM)


@each
def test_every_example_is_as_its_schema_says(operation: Operation) -> None:
    for one in examples(operation):
        where_references_lead = {**one.schema, "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(where_references_lead).validate(one.value)


def test_every_code_that_an_answer_can_have_is_of_some_operation() -> None:
    named = {name for one in OPERATIONS for answer in responses(one).values() for name in _examples_of(answer)}
    wanted = {name for name, code in error_pages.all_codes().items() if code.problem and code.advice.apis}
    # The first two: no operation is at that address, or has that method.
    assert wanted - named == {"not_found", "method_not_allowed", "image_invalid"}


def _examples_of(answer: dict[str, Any]) -> set[str]:
    return {name for media in answer.get("content", {}).values() for name in media["examples"]}


def test_nothing_in_it_refers_to_nothing() -> None:
    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from ([part["$ref"]] if isinstance(part.get("$ref"), str) else [])
            part = list(part.values())
        if isinstance(part, list):
            for one in part:
                yield from references(one)

    assert all(resolved({"$ref": one}) for one in set(references(DOCUMENT)))
