"""The table of HTTP statuses is complete, and errors are rendered in both formats."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import RequestFactory
from rest_framework.exceptions import ValidationError

from generations import errors
from seedance_service import request_id
from seedance_service.docs import error_pages
from seedance_service.errors import field_errors, problems, responses, statuses, views
from tenants.errors import Refusal

PASSING = (402, 408, 429, 503)  # a budget's window ends too


def subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


@pytest.mark.parametrize("kind", [kind for kind in subclasses(Refusal) if kind.__module__ != __name__])
def test_every_refusal_has_a_row_a_code_and_a_sentence(kind: type[Refusal]) -> None:
    assert kind in statuses.TABLE
    assert kind.code == kind.code.lower()
    assert kind.__doc__


def test_no_two_refusals_have_the_same_code() -> None:
    codes = [kind.code for kind in subclasses(Refusal)]  # type: ignore[attr-defined]
    assert len(codes) == len(set(codes))


def test_every_refusal_for_the_moment_says_when_to_come_again() -> None:
    for_the_moment = [
        code for code in error_pages.all_codes().values() if code.problem and code.problem.status in PASSING
    ]
    assert len(for_the_moment) >= 12
    for code in for_the_moment:
        headers = code.problem.headers if code.problem else {}
        assert int(headers["Retry-After"]) >= 1, code.name


def test_reasons_on_novitas_wire_are_those_of_its_page() -> None:
    documented = {
        "INVALID_API_KEY",
        "API_NOT_ALLOWED",
        "API_NOT_FOUND",
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
    assert {row.wire_reason for row in statuses.TABLE.values()} <= documented


def test_an_internal_error_is_rendered_in_the_format_of_its_api() -> None:
    wire = views.server_error(RequestFactory().get("/v3/async/task-result"))
    own = views.server_error(RequestFactory().get("/v1/generations"))
    assert json.loads(wire.content)["reason"] == "INTERNAL_ERROR"
    assert own["Content-Type"] == "application/problem+json"


def test_a_refusals_sentence_is_its_docstring_with_its_facts() -> None:
    assert str(errors.ImageTooSmall(taker="a-model", side=12, limit="more than 300")) == (
        "The image's shorter side is 12 pixels; a-model takes more than 300."
    )


def test_problem_details_lead_to_the_page_of_their_code() -> None:
    with request_id.answering("mine"):
        body = responses.details(problems.plain("not_found"))
    assert body == {
        "type": "/docs/errors/not_found",
        "title": "Not found",
        "status": 404,
        "detail": "There is nothing at this address.",
        "code": "not_found",
        "request_id": "mine",
    }


def test_a_title_is_written_as_people_write() -> None:
    assert problems.title("invalid_api_key") == "Invalid API key"
    assert problems.title("image_url_refused") == "Image URL refused"


def test_a_refused_method_is_answered_with_the_allowed_ones() -> None:
    answer = views.method_not_allowed(RequestFactory().put("/docs"))
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")


FIELD_ERRORS: dict[str, tuple[Any, list[tuple[str, str]]]] = {
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


@pytest.mark.parametrize(("detail", "expected"), FIELD_ERRORS.values(), ids=FIELD_ERRORS)
def test_field_errors_are_flat_and_name_their_field(detail: Any, expected: list[tuple[str, str]]) -> None:
    problem = problems.from_exception(ValidationError(detail, code="wrong"))
    assert problem is not None
    assert problem.fields == [{"field": field, "detail": text, "code": "wrong"} for field, text in expected]
    assert (problem.status, problem.code) == (400, "invalid_request")
    assert problem.detail == " ".join(f"{field}: {text}" if field else text for field, text in expected)
    named = {field for field, _ in expected if field}
    assert set(responses.envelope(problem)["metadata"]) == named


def test_an_error_of_a_whole_body_is_joined_without_a_field() -> None:
    whole, field = (field_errors.field_error("", "No.", "wrong"), field_errors.field_error("a", "Never.", "wrong"))
    assert field_errors.join([whole, field]) == "No. a: Never."
