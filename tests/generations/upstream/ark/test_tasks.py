"""Ark's task object: each status and code, its numbers as text, and answers that are not plain."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from generations.upstream import outcomes
from generations.upstream.ark.answers import parse_callback, parse_listed_task, parse_task
from generations.upstream.errors import AccountError, NoVideo, UpstreamError, WrongTask
from generations.upstream.outcomes import Cause, Failed, Shape
from tests.support.ark_answers import (
    ID,
    LATER,
    MODEL,
    MODERATED,
    OF_ACCOUNT,
    OTHER,
    OUTPUT_MODERATED,
    REQUEST_ID,
    error,
    parsed,
    rendered,
    task_object,
)
from tests.support.upstream import ASKED

URL = "https://videos.example.com/1.mp4"


def polled(body: Any) -> outcomes.PollOutcome:
    """Return the outcome of a poll that is answered with that task."""
    return parse_task(parsed(200, body), ASKED)


def test_a_task_that_waits_may_be_cancelled_and_one_that_runs_may_not() -> None:
    assert polled(task_object("queued", error=None)) == outcomes.Rendering(None, is_waiting=True)
    assert polled(task_object("running")) == outcomes.Rendering(None)
    assert polled(task_object("cancelled")) == outcomes.Cancelled()


def test_a_task_that_has_expired_has_a_cause() -> None:
    outcome = polled(task_object("expired"))
    assert isinstance(outcome, Failed)
    assert (outcome.cause, outcome.is_about_content) == (Cause.EXPIRED, False)


def test_a_rendered_task_is_read_as_the_makers_page_shows_it() -> None:
    shape = Shape("720p", "16:9", 5)
    assert polled(rendered()) == outcomes.Rendered(URL, 42, 103818, shape=shape)
    assert polled(rendered()).odd == ""


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({"resolution": "720P"}, Shape("720p", "16:9", 5)),
        ({"resolution": "4K"}, Shape("4k", "16:9", 5)),
        ({"resolution": None}, Shape(None, "16:9", 5)),
        ({"resolution": "large"}, Shape(None, "16:9", 5)),
        ({"resolution": 720}, Shape(None, "16:9", 5)),
        ({"ratio": "9:16"}, Shape("720p", "9:16", 5)),
        ({"ratio": "adaptive"}, Shape("720p", None, 5)),
        ({"ratio": None}, Shape("720p", None, 5)),
        ({"duration": "5"}, Shape("720p", "16:9", 5)),
        ({"duration": 5.0}, Shape("720p", "16:9", 5)),
        ({"duration": 5.5}, Shape("720p", "16:9", None)),
        ({"duration": -1}, Shape("720p", "16:9", None)),
        ({"duration": "soon"}, Shape("720p", "16:9", None)),
        ({"duration": True}, Shape("720p", "16:9", None)),
        ({"duration": 10**9}, Shape("720p", "16:9", None)),
        ({"duration": None, "frames": 121}, Shape("720p", "16:9", 5)),
        ({"duration": None, "frames": "241"}, Shape("720p", "16:9", 10)),
        ({"duration": None, "frames": 125}, Shape("720p", "16:9", None)),
        ({"duration": None, "frames": 1}, Shape("720p", "16:9", None)),
    ],
)
def test_the_shape_of_a_video_is_read_in_our_words(fields: Any, shape: Shape) -> None:
    outcome = polled(rendered(**fields))
    assert isinstance(outcome, outcomes.Rendered)
    assert outcome.shape == shape


@pytest.mark.parametrize(
    ("fields", "seed", "tokens"),
    [
        ({"seed": "42"}, 42, 103818),
        ({"seed": 2**32 - 1}, 2**32 - 1, 103818),
        ({"seed": 1.5}, None, 103818),
        ({"seed": None}, None, 103818),
        ({"usage": {"completion_tokens": "103818"}}, 42, 103818),
        ({"usage": {"completion_tokens": 2**53}}, 42, 2**53),
        ({"usage": {"completion_tokens": 2**53 + 1}}, 42, None),
        ({"usage": {"completion_tokens": -1}}, 42, None),
        ({"usage": {"completion_tokens": 1.5}}, 42, None),
        ({"usage": {"completion_tokens": "many"}}, 42, None),
        ({"usage": {"total_tokens": 103818}}, 42, None),
        ({"usage": [103818]}, 42, None),
        ({"usage": None}, 42, None),
    ],
)
def test_numbers_may_be_text_and_what_is_none_is_left_out(fields: Any, seed: int | None, tokens: int | None) -> None:
    outcome = polled(rendered(**fields))
    assert isinstance(outcome, outcomes.Rendered)
    assert (outcome.seed, outcome.tokens) == (seed, tokens)
    is_odd = (seed is None and "seed" in fields) or (tokens is None and "usage" in fields)
    assert bool(outcome.odd) == bool(is_odd and None not in fields.values())


def failed(code: str, message: str = "no") -> Failed:
    """Return the outcome of a task that has failed with that code."""
    outcome = polled(task_object("failed", **error(code, message)))
    assert isinstance(outcome, Failed)
    return outcome


@pytest.mark.parametrize("code", OUTPUT_MODERATED)
def test_moderation_of_the_output_has_a_cause(code: str) -> None:
    assert failed(code) == Failed(f"{code}: no Request id: {REQUEST_ID}", cause=Cause.OUTPUT_MODERATED)
    assert not failed(code).is_about_content


@pytest.mark.parametrize("code", MODERATED)
def test_moderation_of_the_input_may_come_late(code: str) -> None:
    assert (failed(code).cause, failed(code).is_about_content) == (Cause.INPUT_MODERATED, False)


@pytest.mark.parametrize("code", ["InternalServiceError", "InvalidParameter.TaskTypeMismatch", "SomethingNew"])
def test_callers_read_why_a_task_has_failed_but_not_the_id_of_a_request(code: str) -> None:
    assert failed(code) == Failed(f"{code}: no")
    assert failed(code).is_about_content
    assert not failed(code, "your account is overdue").is_about_content


@pytest.mark.parametrize("code", ["AccessDenied", "AccountOverdueError", "QuotaExceeded", "OperationDenied.X"])
def test_a_task_that_fails_for_our_account_says_nothing_to_callers(code: str) -> None:
    assert not failed(code).is_about_content


@pytest.mark.parametrize("given", [None, {}, {"code": "", "message": ""}, {"code": None}, [], ""])
def test_a_task_may_fail_without_a_reason(given: Any) -> None:
    assert polled({**task_object("failed"), "error": given}) == Failed("the upstream gave no reason")


@pytest.mark.parametrize(
    "given",
    [{"message": "too dark"}, "too dark", {"code": 7, "message": "too dark"}, "too dark. Request id: 0217ab"],
    ids=["no code", "text", "number", "id"],
)
def test_a_task_may_fail_without_a_code(given: Any) -> None:
    outcome = polled(task_object("failed", error=given))
    assert isinstance(outcome, Failed)
    assert outcome.reason.rstrip(".") == "too dark"


@pytest.mark.parametrize(
    "body",
    [
        task_object("deleted"),
        task_object("Succeeded", content={}),
        task_object(""),
        task_object(["failed"]),
        task_object("succeeded"),
        rendered("ftp://v"),
        rendered("v.mp4"),
        rendered("http:///v.mp4"),
        rendered(content=[URL]),
        rendered(content={"video_url": [URL]}),
    ],
    ids=str,
)
def test_a_status_that_is_not_known_and_a_success_without_a_video_have_no_video(body: Any) -> None:
    with pytest.raises(NoVideo):
        polled(body)


@pytest.mark.parametrize(
    "content",
    [
        rendered(status="failed"),
        rendered(status="running"),
        rendered(error={"code": "InternalServiceError"}),
        json.dumps(rendered()).replace('"status":', '"status": "failed", "status":').encode(),
        error("InternalServiceError"),
        [rendered()],
        b"garbage",
        b"",
    ],
    ids=str,
)
def test_an_answer_that_is_not_plain_is_not_yet(content: Any) -> None:
    with pytest.raises(UpstreamError) as caught:
        polled(content)
    assert not isinstance(caught.value, NoVideo | WrongTask | AccountError)


@pytest.mark.parametrize("task_id", [OTHER, ASKED.upper(), f"{ASKED} ", "", 7, [ASKED], True])
def test_an_answer_about_another_task_is_not_yet(task_id: Any) -> None:
    with pytest.raises(WrongTask):
        polled(rendered(id=task_id))
    with pytest.raises(WrongTask):
        parse_listed_task(parsed(200, rendered(id=task_id)), ASKED)


@pytest.mark.parametrize("code", ["NotFound", "NotFound.Task", "InvalidEndpointOrModel.NotFound"])
def test_a_task_that_is_not_known_has_no_video(code: str) -> None:
    with pytest.raises(NoVideo):
        parse_task(parsed(404, error(code)), ASKED)


@pytest.mark.parametrize(
    ("status", "code", "is_rate_limit"),
    [
        *[(status, code, status == 429) for status, code in OF_ACCOUNT],
        *[(429, code, True) for code in LATER],
        (429, "", True),
        (401, "", False),
        (403, "SomethingNew", False),
        (503, "ServerOverloaded", True),
    ],
)
def test_a_poll_that_is_refused_for_our_account_is_about_the_account(
    status: int, code: str, is_rate_limit: bool
) -> None:
    with pytest.raises(AccountError) as caught:
        parse_task(parsed(status, error(code) if code else b"", **{"Retry-After": "7"}), ASKED)
    assert (caught.value.is_rate_limit, caught.value.retry_after) == (is_rate_limit, 7.0)


@pytest.mark.parametrize(("status", "code"), [(404, ""), (404, "ModelNotOpen"), (400, "InvalidParameter"), (500, "X")])
def test_other_refusals_of_a_poll_are_not_yet(status: int, code: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        parse_task(parsed(status, error(code) if code else b""), ASKED)
    assert not isinstance(caught.value, NoVideo | AccountError)


def test_a_task_is_read_in_any_state_with_what_identifies_it() -> None:
    task = rendered(safety_identifier="a" * 32, created_at="1795947300")
    listed = parse_listed_task(parsed(200, task), ASKED)
    assert (listed.upstream_id, listed.target, listed.reference) == (ASKED, MODEL, "a" * 32)
    assert (listed.seed, listed.shape, listed.status) == (42, Shape("720p", "16:9", 5), "succeeded")
    assert listed.created_at == datetime(2026, 11, 29, 10, 15, tzinfo=UTC)


@pytest.mark.parametrize("fields", [{}, {"safety_identifier": 7, "created_at": "soon", "seed": [], "status": {}}])
def test_what_a_task_does_not_say_is_empty(fields: Any) -> None:
    listed = parse_listed_task(parsed(200, {"id": ASKED, "status": None, **fields}), ASKED)
    assert (listed.target, listed.reference, listed.seed, listed.created_at) == ("", "", None, None)
    assert (listed.shape, listed.status) == (Shape(), "")


@pytest.mark.parametrize("seconds", [0, -1, 2**62, 1.5, True, "253402214400"])
def test_a_time_that_is_none_is_left_out(seconds: Any) -> None:
    assert parse_listed_task(parsed(200, rendered(created_at=seconds)), ASKED).created_at is None


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (json.dumps({"id": ID, "status": "running"}).encode(), ID),
        (json.dumps({"id": f"cgt-{'a' * 151}"}).encode(), ""),
        (json.dumps({"id": "task-77"}).encode(), ""),
        (json.dumps({"id": f"{ID}\n"}).encode(), ""),
        (json.dumps({"id": f"{ID}/../{OTHER}"}).encode(), ""),
        (json.dumps({"id": 7}).encode(), ""),
        (json.dumps({"task": {"id": ID}}).encode(), ""),
        (f'{{"id": "{ID}", "id": "{OTHER}"}}'.encode(), ""),
        (json.dumps([ID]).encode(), ""),
        (b"garbage", ""),
        (b"", ""),
    ],
    ids=range(11),
)
def test_a_callback_names_a_task_or_none(content: bytes, named: str) -> None:
    assert parse_callback(content) == named


@pytest.mark.parametrize(("shown", "seed"), [(0, 0), ("42", 42), (-1, None), ("-1", None), (None, None)])
def test_a_listed_task_that_shows_no_drawn_seed_has_none(shown: Any, seed: int | None) -> None:
    assert parse_listed_task(parsed(200, task_object("queued", seed=shown)), ASKED).seed == seed
