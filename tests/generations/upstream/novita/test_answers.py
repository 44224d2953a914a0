"""Answers of any form, by Hypothesis: no error but the documented, nothing believed that is not plain, no id lost."""

import json
import string
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generations.upstream import outcomes
from generations.upstream.errors import AccountError, UpstreamError, WrongTask
from generations.upstream.novita.answers import Answer, in_doubt, parse_submit, parse_task
from generations.upstream.novita.reasons import ACCOUNT_REASONS, CONTENT_REASONS

ASKED, OTHER = "Task-a1", "task-b2"
STATUSES = ["TASK_STATUS_QUEUED", "TASK_STATUS_PROCESSING", "TASK_STATUS_SUCCEED", "TASK_STATUS_FAILED"]
REASONS = [*sorted(CONTENT_REASONS | ACCOUNT_REASONS), "TASK_FAILED", "CREATE_TASK_FAILED", "TASK_NOT_FOUND", "NEW", ""]

texts = st.text(st.characters(), max_size=20)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
ids = st.one_of(
    st.sampled_from([ASKED, OTHER, ASKED.lower(), f" {ASKED}", "", None, 7, [ASKED], {"id": ASKED}]), scalars
)
urls = st.one_of(st.sampled_from(["https://v/1.mp4", "http://[::1", "ftp://v", "//v", "https://", ""]), anything)
headers = st.dictionaries(
    st.sampled_from(["Content-Type", "Retry-After", "Location", "Content-Encoding", "X-Task-Id", "Set-Cookie"]),
    st.text(string.printable.strip(), max_size=30),
)
http_statuses = st.sampled_from([200, 200, 200, 201, 202, 204, 206, 302, 400, 401, 402, 403, 404, 409, 429, 500, 502])
videos = st.one_of(
    anything, st.lists(st.fixed_dictionaries({"video_url": urls}, optional={"video_type": anything}), max_size=3)
)
tasks = st.one_of(
    anything,
    st.fixed_dictionaries(
        {"status": st.sampled_from(STATUSES) | anything},
        optional={"task_id": ids, "reason": anything, "progress_percent": anything},
    ),
)


def members(**fields: Any) -> Any:
    """Return a strategy for the members of an object in any order, where names may be left out, or stand twice."""
    pairs = st.one_of([st.tuples(st.just(name), value) for name, value in fields.items()])
    return st.lists(pairs, max_size=len(fields) + 2)


def as_json(pairs: list[tuple[str, Any]]) -> bytes:
    """Return the members as a JSON object, which may have a name twice."""
    return b"{%s}" % b",".join(json.dumps(name).encode() + b":" + json.dumps(value).encode() for name, value in pairs)


results = members(task=tasks, extra=anything, videos=videos, reason=st.sampled_from(REASONS), message=anything)
bodies = st.one_of(results.map(as_json), anything.map(lambda value: json.dumps(value).encode()), st.binary(max_size=60))


@given(http_statuses, headers, bodies)
def test_any_answer_to_a_poll_is_an_outcome_or_not_yet(status: int, head: dict[str, str], content: bytes) -> None:
    try:
        outcome = parse_task(Answer(status, httpx.Headers(head), content), ASKED)
    except UpstreamError:
        return
    body = json.loads(content)
    assert status == 200
    assert body["task"]["task_id"] == ASKED
    match outcome:
        case outcomes.Rendering(progress):
            assert progress is None or 0 <= progress <= 99
            assert body["task"]["status"] in STATUSES[:2]
        case outcomes.Rendered(url, seed, tokens):
            assert body["task"]["status"] == "TASK_STATUS_SUCCEED"
            assert [video["video_url"] for video in body["videos"]] == [url]
            assert url.startswith(("https://", "http://"))
            assert seed is None or -(2**63) < seed < 2**63
            assert tokens is None or 0 <= tokens <= 2**53
        case outcomes.Failed(reason):
            assert body["task"]["status"] == "TASK_STATUS_FAILED"
            assert reason.encode()


def result(task_id: Any, **fields: Any) -> bytes:
    """Return a Task Result of a finished task."""
    task = {"task_id": task_id, "status": "TASK_STATUS_SUCCEED"}
    return json.dumps({"task": task, "videos": [{"video_url": "https://v/1.mp4"}], **fields}).encode()


@pytest.mark.parametrize("task_id", [OTHER, ASKED.lower(), ASKED.upper(), f"{ASKED} ", "", None, 7, [ASKED], True, {}])
def test_an_answer_about_another_task_or_about_none_is_not_yet(task_id: Any) -> None:
    with pytest.raises(WrongTask):
        parse_task(Answer(200, {}, result(task_id)), ASKED)


@pytest.mark.parametrize(
    "content",
    [
        b'{"videos": [{"video_url": "https://v/1.mp4"}], "task": {"status": "TASK_STATUS_SUCCEED"}}',
        b'{"task_id": "Task-a1", "status": "TASK_STATUS_SUCCEED", "videos": [{"video_url": "https://v/1.mp4"}]}',
        result(ASKED, task=None),
        result(ASKED, reason="INVALID_API_KEY"),
        result(ASKED, reason="SOMETHING_NEW"),
        result(ASKED)[:-1] + b', "videos": [{"video_url": "https://v/2.mp4"}]}',
        result(ASKED).replace(b'"task_id":', b'"task_id": "task-b2", "task_id":'),
        result(ASKED).replace(b'"status":', b'"status": "TASK_STATUS_FAILED", "status":'),
    ],
)
def test_an_answer_that_is_not_plain_is_not_yet(content: bytes) -> None:
    with pytest.raises(UpstreamError):
        parse_task(Answer(200, {}, content), ASKED)


@pytest.mark.parametrize(
    ("status", "reason", "is_rate_limit"),
    [
        (429, "RATE_LIMIT_EXCEEDED", True),
        (429, "", True),
        (503, "", True),
        (401, "", False),
        (402, "", False),
        (403, "INVALID_API_KEY", False),
        (400, "NOT_ENOUGH_BALANCE", False),
    ],
)
def test_trouble_with_our_account_is_told_from_other_errors_of_a_poll(
    status: int, reason: str, is_rate_limit: bool
) -> None:
    answer = Answer(status, {"Retry-After": "60"}, json.dumps({"reason": reason}).encode())
    with pytest.raises(AccountError) as caught:
        parse_task(answer, ASKED)
    assert (caught.value.is_rate_limit, caught.value.retry_after) == (is_rate_limit, 60.0)


plain_ids = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=40)
id_names = st.sampled_from(["task_id", "taskId", "TASK_ID", "task-id"])
wrappers = st.sampled_from(["data", "result", "output", "task", "metadata"])


@given(http_statuses, headers, bodies | members(task_id=ids, reason=st.sampled_from(REASONS)).map(as_json))
def test_any_answer_to_a_submit_is_an_outcome(status: int, head: dict[str, str], content: bytes) -> None:
    outcome = parse_submit(Answer(status, httpx.Headers(head), content))
    match outcome:
        case outcomes.Created(upstream_id):
            assert 200 <= status < 300
            assert json.loads(content)["task_id"] == upstream_id
            assert 0 < len(upstream_id) <= 200
        case outcomes.Refused(reason):
            assert reason in content.decode()
    for text in (getattr(outcome, "answer", ""), repr(outcome)):
        assert "\0" not in text
        text.encode()


@given(http_statuses, headers, st.sampled_from(REASONS), st.lists(wrappers, max_size=3), id_names, plain_ids)
def test_no_id_in_an_answer_to_a_submit_is_lost(
    status: int, head: dict[str, str], reason: str, path: list[str], name: str, task_id: str
) -> None:
    body: Any = {name: task_id}
    for wrapper in path:
        body = {wrapper: body}
    content = json.dumps({"code": status, "reason": reason, "message": "x", **body}).encode()
    outcome = parse_submit(Answer(status, httpx.Headers(head), content))
    match outcome:
        case outcomes.Created(upstream_id):
            assert (upstream_id, path, reason) == (task_id, [], "")
        case outcomes.InDoubt(_, upstream_id):
            assert upstream_id == task_id
            assert task_id in outcome.answer
        case _:
            raise AssertionError(outcome)


@given(http_statuses, st.lists(wrappers, max_size=2), id_names, plain_ids, st.data())
def test_no_id_in_an_answer_that_is_cut_off_is_lost(
    status: int, path: list[str], name: str, task_id: str, data: st.DataObject
) -> None:
    body: Any = {name: task_id, "more": "x" * 20}
    for wrapper in path:
        body = {"first": 1, wrapper: body}
    content = json.dumps(body).encode()
    behind_id = content.index(b": " + json.dumps(task_id).encode() + b",") + len(task_id) + 4
    cut = content[: data.draw(st.integers(behind_id, len(content) - 1))]
    outcome = in_doubt(Answer(status, {}, cut), "the answer was lost")
    assert (outcome.upstream_id, task_id in outcome.answer) == (task_id, True)


def test_of_several_ids_the_plain_one_is_offered_first_and_all_stand_in_the_answer() -> None:
    outcome = parse_submit(Answer(200, {}, b'{"task_id": "a-1", "data": {"task_id": "b-2"}}'))
    assert isinstance(outcome, outcomes.InDoubt)
    assert outcome.upstream_id == "a-1"
    assert "b-2" in outcome.answer


@pytest.mark.parametrize("task_id", ["", " ", "a\0b", "x" * 201, None, True, [], {}, 1.5])
def test_what_can_be_no_id_creates_nothing(task_id: Any) -> None:
    outcome = parse_submit(Answer(200, {}, json.dumps({"task_id": task_id}).encode()))
    assert isinstance(outcome, outcomes.InDoubt)
    assert outcome.upstream_id == ""


def test_an_id_that_holds_a_secret_is_not_offered(settings: Any) -> None:
    settings.NOVITA_API_KEY = "novita-key-0123456789"
    outcome = parse_submit(Answer(200, {}, b'{"data": {"task_id": "novita-key-0123456789"}}'))
    assert isinstance(outcome, outcomes.InDoubt)
    assert "0123456789" not in outcome.upstream_id + outcome.answer


@pytest.mark.parametrize(
    ("reason", "is_about_content"),
    [
        ("the image shows a face that is not allowed", True),
        ("the prompt is sensitive: violence", True),
        ("keyframes of the input differ too much", True),
        ("", True),
        ("insufficient balance of user 4711", False),
        ("invalid API-key", False),
        ("your plan allows two tasks at once, upgrade it", False),
        ("concurrency limit of the organisation", False),
        ("Rate limit reached", False),
        ("please pay $ 12.50", False),
        ("write to ops@company.example", False),
        ("with [hidden]", False),
    ],
)
def test_a_failed_tasks_reason_is_the_callers_unless_it_is_about_our_account(
    reason: str, is_about_content: bool
) -> None:
    task = {"task_id": ASKED, "status": "TASK_STATUS_FAILED", "reason": reason}
    outcome = parse_task(Answer(200, {}, json.dumps({"task": task}).encode()), ASKED)
    assert isinstance(outcome, outcomes.Failed)
    assert outcome.is_about_content == is_about_content
