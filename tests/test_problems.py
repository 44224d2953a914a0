"""One table of HTTP numbers, and it is whole."""

from collections.abc import Iterator

import pytest
from django.test import RequestFactory

from generations import errors
from seedance_service import problems
from tenants.errors import Refusal


def subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


@pytest.mark.parametrize("kind", [kind for kind in subclasses(Refusal) if kind.__module__ != __name__])
def test_every_refusal_has_a_row_a_code_and_a_sentence(kind: type[Refusal]) -> None:
    assert kind in problems.TABLE
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
    assert {row.wire_reason for row in problems.TABLE.values()} <= documented


def test_a_failure_of_ours_is_said_in_the_format_of_its_entrance() -> None:
    wire = problems.server_error(RequestFactory().get("/v3/async/task-result"))
    own = problems.server_error(RequestFactory().get("/v1/generations"))
    assert b'"reason": "INTERNAL_ERROR"' in wire.content  # type: ignore[attr-defined]
    assert own["Content-Type"] == "application/problem+json"


def test_a_refusals_sentence_is_its_docstring_with_its_facts() -> None:
    assert str(errors.ImageTooSmall(side=12, limit=300)) == (
        "The image's shorter side is 12 pixels; it must be greater than 300."
    )
