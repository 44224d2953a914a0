"""Ark's answers to a create: each documented code, and answers that are not plain."""

from typing import Any

import pytest

from generations.upstream import outcomes
from generations.upstream.answers import MAX_RETRY_AFTER_SECONDS
from generations.upstream.ark.answers import parse_submit
from generations.upstream.outcomes import Cause, Created, InDoubt, NotCreated, Refused, RouteGone
from tests.support.ark_answers import CONTENT, GONE, ID, LATER, MODERATED, OF_ACCOUNT, OTHER, REQUEST_ID, error, parsed


def submitted(status: int, body: Any, **headers: str) -> outcomes.SubmitOutcome:
    """Return the outcome of a create with that answer."""
    return parse_submit(parsed(status, body, **headers))


@pytest.mark.parametrize("more", [{}, {"safety_identifier": "a" * 32}, {"error": None}, {"error": {}}])
@pytest.mark.parametrize("task_id", [ID, "cgt-batch-20261129101500-ab1cd"])
def test_a_plain_id_means_created(task_id: str, more: Any) -> None:
    assert submitted(200, {"id": task_id, **more}) == Created(task_id)


@pytest.mark.parametrize("code", CONTENT)
def test_the_callers_content_is_refused_in_words_that_callers_may_read(code: str) -> None:
    outcome = submitted(400, error(code, "the parameter duration is wrong."))
    assert outcome == Refused(code, "the parameter duration is wrong.")
    assert (outcome.is_about_content, outcome.cause) == (True, Cause.OTHER)
    assert REQUEST_ID in outcome.answer


@pytest.mark.parametrize(
    "message",
    ["Your account 2100000000 has no access to the parameter.", "the parameter needs a plan", "your quota is used up"],
)
def test_a_refusal_that_speaks_of_our_account_is_for_operators(message: str) -> None:
    outcome = submitted(400, error("InvalidParameter", message))
    assert isinstance(outcome, Refused)
    assert not outcome.is_about_content
    assert outcome.message == f"{message} Request id: {REQUEST_ID}"


@pytest.mark.parametrize(
    "ending",
    [
        *(
            " Request id: 0217",
            ". Request ID: 0217",
            " (request id: 0217-ab.c)",
            ", request_id=0217",
            " request-id 0217.",
        ),
        *(
            " Request id\uff1a0217",
            ". Request id is 0217",
            ' {"request_id":"0217"}',
            " RequestId: 0217",
            " [log id: 0217]",
        ),
        *(
            " request id: `0217`",
            " Request  id - 0217",
            " X-Request-Id: 0217",
            " (Request ID # 0217)",
            " trace_id=0217",
        ),
        *(" reqId: 0217", " Request id: abcdef"),
    ],
)
def test_no_caller_reads_the_id_of_a_request(ending: str) -> None:
    outcome = submitted(400, {"error": {"code": "InvalidParameter", "message": f"too long{ending}"}})
    assert isinstance(outcome, Refused)
    assert outcome.message.rstrip(".") == "too long"


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ("task cgt-20261129101500-ab1cd has no text", "task has no text"),
        ("the endpoint `ep-20261129101500-ab1cd` takes no image", "the endpoint takes no image"),
        ("a step-by-step text of ep-isodes", "a step-by-step text of ep-isodes"),
    ],
    ids=["task", "endpoint", "words"],
)
def test_no_caller_reads_the_id_of_a_task_or_an_endpoint(message: str, read: str) -> None:
    outcome = submitted(400, {"error": {"code": "InvalidParameter", "message": message}})
    assert isinstance(outcome, Refused)
    assert outcome.message == read


@pytest.mark.parametrize("code", MODERATED)
def test_moderation_of_the_input_has_a_cause_and_words_for_operators_alone(code: str) -> None:
    outcome = submitted(400, error(code))
    assert isinstance(outcome, Refused)
    assert (outcome.cause, outcome.is_about_content) == (Cause.INPUT_MODERATED, False)
    assert (outcome.reason, outcome.message) == (code, f"about {code} Request id: {REQUEST_ID}")


@pytest.mark.parametrize(("status", "code"), OF_ACCOUNT)
def test_an_error_of_our_account_is_never_the_callers(status: int, code: str) -> None:
    outcome = submitted(status, error(code))
    assert isinstance(outcome, NotCreated)
    assert outcome.reason.startswith(f"{code}: ")


@pytest.mark.parametrize("code", LATER)
@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("", None), ("soon", None), ("99999", MAX_RETRY_AFTER_SECONDS)]
)
def test_too_many_requests_wait_as_long_as_the_answer_asks(code: str, value: str, seconds: float | None) -> None:
    outcome = submitted(429, error(code), **{"Retry-After": value})
    assert isinstance(outcome, NotCreated)
    assert outcome.retry_after == seconds


@pytest.mark.parametrize(("status", "code"), GONE)
def test_a_model_that_is_closed_or_not_open_is_a_route_that_is_gone(status: int, code: str) -> None:
    assert isinstance(submitted(status, error(code)), RouteGone)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *[(status, Refused) for status in (400, 413, 422)],
        *[(status, NotCreated) for status in (401, 402, 403, 429)],
        (404, RouteGone),
        *[(status, InDoubt) for status in (408, 409, 418, 499)],
    ],
)
def test_an_undocumented_code_is_decided_by_the_status(status: int, kind: type) -> None:
    outcome = submitted(status, error("SomethingNew"))
    assert type(outcome) is kind
    assert not (isinstance(outcome, Refused) and outcome.is_about_content)


def test_an_undocumented_code_that_names_our_balance_is_not_the_callers() -> None:
    assert isinstance(submitted(400, error("InsufficientBalance")), NotCreated)
    assert isinstance(submitted(400, error("SomethingNew", "my balance")), Refused)  # a caller's words, perhaps


def test_a_header_names_the_code_where_the_envelope_has_none() -> None:
    headers = {"X-Error-Code": "AuthenticationError"}
    for code in (None, ""):
        assert isinstance(submitted(401, error(code), **headers), NotCreated)
    assert isinstance(submitted(401, error(7), **headers), InDoubt)
    assert isinstance(submitted(401, {}, **headers), InDoubt)
    assert isinstance(submitted(401, b"no", **headers), InDoubt)
    assert isinstance(submitted(400, error("InvalidParameter"), **headers), Refused)  # the body's is believed


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize(
    "code", ["InternalServiceError", "ServerOverloaded", "InvalidParameter", "AuthenticationError", "SomethingNew"]
)
def test_a_failure_of_the_upstream_is_in_doubt_whatever_its_code(status: int, code: str) -> None:
    assert isinstance(submitted(status, error(code)), InDoubt)


UNPLAIN: dict[str, tuple[int, Any]] = {
    "an empty object": (200, {}),
    "an empty id": (200, {"id": ""}),
    "no id": (200, {"id": None}),
    "a list": (200, [{"id": ""}]),
    "an error with the status 200": (200, error("InvalidParameter")),
    "no JSON": (200, b"<html>"),
    "half a character": (200, b"\xff\xfe"),
    "nothing": (200, b""),
    "an id that is cut off": (200, b'{"id": "cgt-2026'),
    "a redirect": (302, b""),
    "no envelope": (400, b"Bad Request"),
    "an empty envelope": (400, {"error": {}}),
    "an error as text": (400, {"error": "InvalidParameter"}),
    "another envelope": (400, {"code": "InvalidParameter", "message": "no"}),
    "two codes": (400, b'{"error": {"code": "InvalidParameter", "code": "AuthenticationError"}}'),
    "two errors": (400, b'{"error": {"code": "InvalidParameter"}, "error": {"code": "AuthenticationError"}}'),
    "404 without an envelope": (404, b""),
    "429 without an envelope": (429, b"slow down"),
    "InternalServiceError with 400": (400, error("InternalServiceError")),
}


@pytest.mark.parametrize("name", UNPLAIN)
def test_an_answer_that_says_nothing_plain_is_in_doubt(name: str) -> None:
    outcome = submitted(*UNPLAIN[name])
    assert isinstance(outcome, InDoubt)
    assert outcome.upstream_id == ""


NAMING: dict[str, tuple[int, Any, str]] = {
    "two ids": (200, {"id": ID, "task": {"id": OTHER}}, ID),
    "an id twice": (200, f'{{"id": "{OTHER}", "id": "{ID}"}}'.encode(), OTHER),
    "an id of another form": (200, {"id": "task-77"}, "task-77"),
    "an id with a space": (200, {"id": f"{ID} "}, ""),
    "a number": (200, {"id": 77}, "77"),
    "an id within": (200, {"data": {"id": ID}}, ID),
    "an id under another name": (200, {"task_id": ID}, ID),
    "an id beside an error": (200, {"id": ID, **error("InternalServiceError")}, ID),
    "an id with 500": (500, {"id": ID}, ID),
    "an id with 400": (400, {"id": ID, **error("InvalidParameter")}, ID),
    "an id in JSON that is cut off": (200, f'{{"id": "{ID}", "safety_ide'.encode(), ID),
    "an id in a page": (502, f"<p>{ID}</p>".encode(), ID),
}


@pytest.mark.parametrize("name", NAMING)
def test_an_answer_that_names_a_task_but_not_plainly_is_in_doubt_with_its_id(name: str) -> None:
    status, body, upstream_id = NAMING[name]
    outcome = submitted(status, body)
    assert isinstance(outcome, InDoubt)
    assert outcome.upstream_id == upstream_id


def test_a_header_may_name_the_task_and_a_message_may_not() -> None:
    outcome = submitted(400, error("InvalidParameter"), Location=f"/api/v3/contents/generations/tasks/{ID}")
    assert isinstance(outcome, InDoubt)
    assert outcome.upstream_id == ID
    assert isinstance(submitted(400, error("InvalidParameter", f"the prompt {ID} is wrong")), Refused)
