"""Calls to Novita over a socket: the outcome of each answer on the wire."""

import gzip
import time
import zlib
from typing import Any

import pytest

from generations import leases
from generations.upstream import answers, outcomes
from generations.upstream.errors import UpstreamError
from tests.support import novita_calls
from tests.support.patience import PATIENCE
from tests.support.upstream import Upstream, as_json, refusal, task

PATH = "/v3/async/seedance-v1-lite-i2v"


def submit() -> outcomes.SubmitOutcome:
    """Submit a request to the scripted upstream."""
    return novita_calls.submit(PATH, {"seed": 7})


def test_a_task_id_means_created(upstream: Upstream) -> None:
    assert submit() == outcomes.Created("upstream-1")
    assert upstream.submits == [{"seed": 7}]
    assert upstream.keys == {"Bearer upstream-key-of-the-tests"}


@pytest.mark.parametrize(
    "reason",
    [
        "INVALID_REQUEST_BODY",
        "IMAGE_FILE_EXCEEDS_MAX_SIZE",
        "INVALID_IMAGE_FORMAT",
        "IMAGE_EXCEEDS_MAX_RESOLUTION",
        "INVALID_IMAGE_SIZE",
        "ILLEGAL_PROMPT",
        "ILLEGAL_IMAGE_CONTENT",
    ],
)
def test_the_callers_content_is_refused_for_good(upstream: Upstream, reason: str) -> None:
    upstream.on_submit = refusal(400, reason)
    assert submit() == outcomes.Refused(reason, f"about {reason}")


@pytest.mark.parametrize("status", [500, 502, 503, 400, 409])
@pytest.mark.parametrize("reason", ["CREATE_TASK_FAILED", "BILLING_FAILED"])
def test_a_step_that_failed_before_the_create_may_be_sent_again(upstream: Upstream, reason: str, status: int) -> None:
    upstream.on_submit = refusal(status, reason)
    assert submit() == outcomes.CreateFailed(f"{reason}: about {reason}")


def test_a_task_that_failed_at_once_is_not_sent_again(upstream: Upstream) -> None:
    upstream.on_submit = refusal(500, "TASK_FAILED")
    assert submit() == outcomes.Refused("TASK_FAILED", "about TASK_FAILED", affects_all=True)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "BILLING_BALANCE_NOT_ENOUGH"),
        (403, "NOT_ENOUGH_BALANCE"),
        (403, "BILLING_AUTH_FAILED"),
        (401, "MISSING_API_KEY"),
        (403, "INVALID_API_KEY"),
        (403, "FEATURE_NOT_ALLOWED"),
        (403, "API_NOT_ALLOWED"),
        (403, "NEED_REAL_NAME_VERIFY"),
        (429, "RATE_LIMIT_EXCEEDED"),
    ],
)
def test_an_error_of_our_account_is_never_the_callers(upstream: Upstream, status: int, reason: str) -> None:
    upstream.on_submit = refusal(status, reason)
    outcome = submit()
    assert isinstance(outcome, outcomes.NotCreated)
    assert reason in outcome.reason


@pytest.mark.parametrize("status", [408, 409, 418, 499])
def test_a_refusal_that_does_not_say_whether_it_was_created_is_in_doubt(upstream: Upstream, status: int) -> None:
    upstream.on_submit = refusal(status, "SOMETHING_NEW")
    assert isinstance(submit(), outcomes.InDoubt)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_undocumented_reason_concerns_that_request_alone(upstream: Upstream, status: int) -> None:
    upstream.on_submit = refusal(status, "SOMETHING_NEW")
    assert submit() == outcomes.Refused("SOMETHING_NEW", "about SOMETHING_NEW")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("", None),
        ("soon", None),
        ("²", None),
        ("99999999", answers.MAX_RETRY_AFTER_SECONDS),
        ("Wed, 21 Oct 2099 07:28:00 GMT", answers.MAX_RETRY_AFTER_SECONDS),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Mon, 01 Jan 99999 00:00:00 GMT", None),
    ],
)
def test_a_retry_after_is_read_in_every_format(upstream: Upstream, value: str, seconds: float | None) -> None:
    upstream.on_submit = refusal(429, "RATE_LIMIT_EXCEEDED", **{"Retry-After": value.encode().decode("latin-1")})
    outcome = submit()
    assert isinstance(outcome, outcomes.NotCreated)
    assert outcome.retry_after == seconds


@pytest.mark.parametrize("answer", [(404, {}, b"404 route not found"), refusal(404, "API_NOT_FOUND")])
def test_a_removed_route_is_not_the_callers_fault(upstream: Upstream, answer: Any) -> None:
    upstream.on_submit = answer
    assert isinstance(submit(), outcomes.RouteGone)


@pytest.mark.parametrize("key", ["", "with a\nline"])
def test_with_a_key_that_no_header_can_carry_nothing_is_created(upstream: Upstream, settings: Any, key: str) -> None:
    settings.NOVITA_API_KEY = key
    assert isinstance(submit(), outcomes.NotCreated)
    assert upstream.submits == []


def test_a_nul_that_no_database_can_store_is_removed_from_the_upstreams_text(upstream: Upstream) -> None:
    body = {"code": 400, "reason": "ILLEGAL_PROMPT", "message": "a\0b", "metadata": {}}
    upstream.on_submit = as_json(body, 400)
    assert submit() == outcomes.Refused("ILLEGAL_PROMPT", "ab")
    upstream.on_poll = task("TASK_STATUS_FAILED", reason="c\0d")
    assert novita_calls.get_task("upstream-1") == outcomes.Failed("cd")


def test_a_poll_whose_answer_drips_ends_at_its_time_limit(upstream: Upstream, monkeypatch: Any) -> None:
    monkeypatch.setattr(leases, "POLL_CALL_SECONDS", 0.3)

    def drip(handler: Any) -> None:
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            for _ in range(1000):
                handler.wfile.write(b" ")
                time.sleep(0.1)
        except OSError:
            handler.close_connection = True

    upstream.on_poll = drip
    started = time.monotonic()
    with pytest.raises(UpstreamError):
        novita_calls.get_task("upstream-1")
    assert time.monotonic() - started < PATIENCE  # the whole answer would take 100 s


def test_a_pooled_connection_has_a_new_time_limit_with_each_poll(upstream: Upstream, monkeypatch: Any) -> None:
    monkeypatch.setattr(leases, "POLL_CALL_SECONDS", 0.9)
    for _ in range(3):
        assert novita_calls.get_task("upstream-1") == outcomes.Rendering(40)
        time.sleep(0.5)


def test_with_a_refused_connection_nothing_is_created(settings: Any) -> None:
    settings.NOVITA_BASE_URL = "http://127.0.0.1:9"
    assert isinstance(submit(), outcomes.NotCreated)


def cut_short(handler: Any) -> None:
    """Announce 100 bytes, send six and close the connection."""
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"task')
    handler.close_connection = True


@pytest.mark.parametrize(
    "answer",
    [
        lambda handler: None,
        cut_short,
        as_json({}),
        as_json({"task_id": ""}),
        as_json({"task_id": 7}),
        as_json({"task_id": "a\0b"}),
        as_json({"task_id": "x" * 201}),
        as_json(["task_id"]),
        (200, {}, b"<html>"),
        (200, {}, b"\xff\xfe"),
        (302, {"Location": "/elsewhere"}, b""),
        (400, {}, b"Bad Request"),
        (404, {}, b""),
        (429, {}, b"slow down"),
        (500, {}, b"Internal Server Error"),
        (502, {}, b"<html>Bad Gateway"),
        (503, {}, b""),
        (504, {}, b""),
        refusal(500, "SOMETHING_NEW"),
    ],
)
def test_everything_else_is_in_doubt_and_sent_once(upstream: Upstream, answer: Any) -> None:
    upstream.on_submit = answer
    assert isinstance(submit(), outcomes.InDoubt)
    assert len(upstream.submits) == 1


def test_a_submit_that_hangs_ends_at_its_time_limit_and_is_in_doubt(upstream: Upstream, monkeypatch: Any) -> None:
    monkeypatch.setattr(leases, "SUBMIT_CALL_SECONDS", 0.3)

    def hang(handler: Any) -> None:
        for _ in range(100):
            handler.wfile.write(b"H")
            time.sleep(0.02)

    upstream.on_submit = hang
    assert isinstance(submit(), outcomes.InDoubt)


def with_usage(usage: Any) -> Any:
    """Return the answer to a poll of a finished task with that usage."""
    return task("TASK_STATUS_SUCCEED", url="https://v", usage=usage)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (task("TASK_STATUS_QUEUED"), outcomes.Rendering(0)),
        (task("TASK_STATUS_PROCESSING", progress=40), outcomes.Rendering(40)),
        (task("TASK_STATUS_PROCESSING", progress="55"), outcomes.Rendering(55)),
        (task("TASK_STATUS_PROCESSING", progress=100), outcomes.Rendering(99)),
        (task("TASK_STATUS_PROCESSING", progress=None), outcomes.Rendering(None)),
        (task("TASK_STATUS_PROCESSING", progress=40.7), outcomes.Rendering(40)),
        (task("TASK_STATUS_PROCESSING", progress="40.7"), outcomes.Rendering(40)),
        (task("TASK_STATUS_PROCESSING", progress=-1), outcomes.Rendering(None)),
        (task("TASK_STATUS_PROCESSING", progress=True), outcomes.Rendering(None)),
        (task("TASK_STATUS_PROCESSING", progress=float("nan")), outcomes.Rendering(None)),
        (task("TASK_STATUS_PROCESSING", progress="soon"), outcomes.Rendering(None)),
        (task("TASK_STATUS_PROCESSING", progress=10**400), outcomes.Rendering(None)),
        (task("TASK_STATUS_PROCESSING", reason="in the queue"), outcomes.Rendering(0)),
        (task("TASK_STATUS_SUCCEED", url="https://v", seed="123"), outcomes.Rendered("https://v", 123)),
        (task("TASK_STATUS_SUCCEED", url="https://v", seed=123), outcomes.Rendered("https://v", 123)),
        (task("TASK_STATUS_SUCCEED", url="https://v"), outcomes.Rendered("https://v", None)),
        (task("TASK_STATUS_SUCCEED", url="https://v", seed="x"), outcomes.Rendered("https://v", None)),
        (task("TASK_STATUS_SUCCEED", url="https://v", seed="9" * 30), outcomes.Rendered("https://v", None)),
        (task("TASK_STATUS_SUCCEED", url="https://v", seed=1.0), outcomes.Rendered("https://v", None)),
        (task("TASK_STATUS_SUCCEED", url="https://v", seed=True), outcomes.Rendered("https://v", None)),
        (task("TASK_STATUS_SUCCEED", url="https://v", seed="1_2"), outcomes.Rendered("https://v", None)),
        (task("TASK_STATUS_SUCCEED", url="https://v", seed="-1"), outcomes.Rendered("https://v", -1)),
        (with_usage({"completion_tokens": 49_005}), outcomes.Rendered("https://v", None, 49_005)),
        (with_usage({"completion_tokens": 2**53}), outcomes.Rendered("https://v", None, 2**53)),
        (with_usage({"completion_tokens": 2**53 + 1}), outcomes.Rendered("https://v", None)),
        (with_usage({"completion_tokens": 49_005.0}), outcomes.Rendered("https://v", None)),
        (with_usage({"total_tokens": 49_005}), outcomes.Rendered("https://v", None)),
        (with_usage([49_005]), outcomes.Rendered("https://v", None)),
        (task("TASK_STATUS_FAILED", reason="no"), outcomes.Failed("no")),
    ],
)
def test_a_task_result_is_read_tolerantly(upstream: Upstream, answer: Any, outcome: outcomes.PollOutcome) -> None:
    upstream.on_poll = answer
    assert novita_calls.get_task("upstream-1") == outcome
    assert upstream.polls == ["upstream-1"]


@pytest.mark.parametrize(
    "answer",
    [
        task("TASK_STATUS_UNKNOWN"),
        task("SUCCEEDED"),
        task("TASK_STATUS_SUCCEED"),
        task("TASK_STATUS_SUCCEED", url="ftp://v"),
        task("TASK_STATUS_SUCCEED", url="v.mp4"),
        task("TASK_STATUS_SUCCEED", url="http:///v.mp4"),
        task("TASK_STATUS_SUCCEED", url="https://v", videos=2),
        task("TASK_STATUS_SUCCEED", url="https://v", video_type="gif"),
        task("TASK_STATUS_FAILED", url="https://v"),
        as_json({"task": None}),
        as_json({"task": {"status": ["TASK_STATUS_FAILED"]}}),
        as_json([]),
        as_json({}),
        (200, {}, b"garbage"),
        (200, {}, b""),
        refusal(404, "TASK_NOT_FOUND"),
        refusal(403, "INVALID_API_KEY"),
        refusal(500, "GET_RESULT_FAILED"),
        (503, {}, b""),
        lambda handler: None,
    ],
)
def test_an_unclear_answer_to_a_poll_is_not_yet_a_result(upstream: Upstream, answer: Any) -> None:
    upstream.on_poll = answer
    with pytest.raises(UpstreamError):
        novita_calls.get_task("upstream-1")


ENCODINGS = {"aws-chunked": bytes, "Identity": bytes, "utf-8": bytes, "GZIP": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_answer_may_have_a_content_encoding(upstream: Upstream, encoding: str) -> None:
    def encoded(answer: Any) -> Any:
        status, headers, body = answer
        return status, {**headers, "Content-Encoding": encoding}, ENCODINGS[encoding](body)

    upstream.on_submit = encoded(as_json({"task_id": "upstream-1"}))
    assert submit() == outcomes.Created("upstream-1")
    upstream.on_submit = encoded(refusal(400, "ILLEGAL_PROMPT"))
    assert submit() == outcomes.Refused("ILLEGAL_PROMPT", "about ILLEGAL_PROMPT")
    upstream.on_poll = encoded(task("TASK_STATUS_PROCESSING", progress=40, task_id="u"))
    assert novita_calls.get_task("u") == outcomes.Rendering(40)


def test_an_answer_that_is_not_compressed_as_it_says_is_read_as_it_is(upstream: Upstream) -> None:
    upstream.on_submit = as_json({"task_id": "upstream-1"}, **{"Content-Encoding": "gzip"})
    assert submit() == outcomes.Created("upstream-1")


def test_a_poll_of_an_upstream_that_is_down_is_not_yet_a_result(settings: Any) -> None:
    settings.NOVITA_BASE_URL = "http://127.0.0.1:9"
    with pytest.raises(UpstreamError, match="refused the connection"):
        novita_calls.get_task("upstream-1")


def test_an_invalid_base_url_is_an_upstream_that_is_down(settings: Any) -> None:
    settings.NOVITA_BASE_URL = "http://[::1"
    assert isinstance(submit(), outcomes.NotCreated)
    with pytest.raises(UpstreamError, match="URL is invalid"):
        novita_calls.get_task("upstream-1")
