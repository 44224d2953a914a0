"""One table of HTTP numbers, and it is whole."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import RequestFactory
from rest_framework.exceptions import ValidationError

from generations import errors
from seedance_service import request_id
from seedance_service.errors import field_errors, responses
from tenants.errors import Refusal


def subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


@pytest.mark.parametrize("kind", [kind for kind in subclasses(Refusal) if kind.__module__ != __name__])
def test_every_refusal_has_a_row_a_code_and_a_sentence(kind: type[Refusal]) -> None:
    assert kind in responses.TABLE
    assert kind.code == kind.code.lower()
    assert kind.__doc__


def test_no_two_refusals_have_the_same_code() -> None:
    codes = [kind.code for kind in subclasses(Refusal)]  # type: ignore[attr-defined]
    assert len(codes) == len(set(codes))


def test_novitas_reasons_are_those_of_its_page() -> None:
    documented = {
        "INVALID_API_KEY",
        "API_NOT_ALLOWED",
        "RATE_LIMIT_EXCEEDED",
        "BILLING_BALANCE_NOT_ENOUGH",
        "TASK_NOT_FOUND",
        "INVALID_IMAGE_FORMAT",
        "IMAGE_FILE_EXCEEDS_MAX_SIZE",
        "IMAGE_EXCEEDS_MAX_RESOLUTION",
        "INVALID_IMAGE_SIZE",
        "INVALID_REQUEST_BODY",
        "CREATE_TASK_FAILED",
    }
    assert {row.wire_reason for row in responses.TABLE.values()} <= documented


def test_a_failure_of_ours_is_said_in_the_format_of_its_entrance() -> None:
    wire = responses.server_error(RequestFactory().get("/v3/async/task-result"))
    own = responses.server_error(RequestFactory().get("/v1/generations"))
    assert json.loads(wire.content)["reason"] == "INTERNAL_ERROR"
    assert own["Content-Type"] == "application/problem+json"


def test_a_refusals_sentence_is_its_docstring_with_its_facts() -> None:
    assert str(errors.ImageTooSmall(side=12, limit=300)) == (
        "The image's shorter side is 12 pixels; it must be greater than 300."
    )


def test_problem_details_lead_to_the_page_of_their_code() -> None:
    with request_id.answering("mine"):
        body = responses.details(responses.plain("not_found"))
    assert body == {
        "type": "/docs/errors/not_found",
        "title": "Not found",
        "status": 404,
        "detail": "There is nothing at this address.",
        "code": "not_found",
        "request_id": "mine",
    }


def test_a_title_is_written_as_people_write() -> None:
    assert responses.title("invalid_api_key") == "Invalid API key"
    assert responses.title("image_url_refused") == "Image URL refused"


def test_a_method_that_is_refused_is_told_which_there_are() -> None:
    answer = responses.only_read(RequestFactory().put("/docs"))
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")


FAULTS: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "a field": ({"seed": ["No."]}, [("seed", "No.")]),
    "two of one field": ({"seed": ["No.", "Never."]}, [("seed", "No."), ("seed", "Never.")]),
    "a sentence without a list": ({"seed": "No."}, [("seed", "No.")]),
    "a field within a field": ({"metadata": {"a": ["No."]}}, [("metadata.a", "No.")]),
    "names that a fault has too": (
        {"metadata": {"message": ["No."], "code": ["Never."]}},
        [
            ("metadata.message", "No."),
            ("metadata.code", "Never."),
        ],
    ),
    "deep within": ({"a": {"b": {"c": [{"d": ["No."]}]}}}, [("a.b.c.0.d", "No.")]),
    "some rows of a list": ({"urls": [{}, {"url": ["No."]}]}, [("urls.1.url", "No.")]),
    "items by their number": ({"urls": {0: ["No."], 2: ["Never."]}}, [("urls.0", "No."), ("urls.2", "Never.")]),
    "a whole": ({"non_field_errors": ["No.", "Never."]}, [("", "No."), ("", "Never.")]),
    "a whole within": ({"extra": {"non_field_errors": ["No."]}}, [("extra", "No.")]),
    "a bare list": (["No.", "Never."], [("", "No."), ("", "Never.")]),
    "a bare sentence": ("No.", [("", "No.")]),
    "nothing": ({}, []),
}


@pytest.mark.parametrize(("detail", "found"), FAULTS.values(), ids=FAULTS)
def test_faults_are_flat_and_name_their_field(detail: Any, found: list[tuple[str, str]]) -> None:
    problem = responses.of(ValidationError(detail, code="wrong"))
    assert problem is not None
    assert problem.fields == [{"field": field, "detail": told, "code": "wrong"} for field, told in found]
    assert (problem.status, problem.code) == (400, "invalid_request")
    assert problem.detail == " ".join(f"{field}: {told}" if field else told for field, told in found)
    named = {field for field, _ in found if field}
    assert set(responses.envelope(problem)["metadata"]) == named


def test_a_fault_of_the_whole_is_told_without_a_field() -> None:
    assert (
        field_errors.sentence([field_errors.fault("", "No.", "wrong"), field_errors.fault("a", "Never.", "wrong")])
        == "No. a: Never."
    )
