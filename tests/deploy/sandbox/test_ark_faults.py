"""Test the faults that a prompt asks the sandbox's Ark wire for, and its callbacks."""

import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.deploy.sandbox.conftest import Ark, error_of

pytestmark = pytest.mark.story


@pytest.mark.parametrize(
    ("prompt", "status", "code"),
    [
        ("[500]", 500, "InternalServiceError"),
        ("[429 QuotaExceeded]", 429, "QuotaExceeded"),
        ("[429 RateLimitExceeded.EndpointRPMExceeded]", 429, "RateLimitExceeded.EndpointRPMExceeded"),
        ("[429 ServerOverloaded]", 429, "ServerOverloaded"),
        ("[429 SetLimitExceeded]", 429, "SetLimitExceeded"),
        ("[overdue]", 403, "AccountOverdueError"),
        ("[closed]", 400, "InvalidEndpoint.ClosedEndpoint"),
        ("[not open]", 404, "ModelNotOpen"),
        ("[refuse]", 400, "InputTextSensitiveContentDetected"),
    ],
)
def test_a_prompt_can_ask_for_a_refusal_that_creates_nothing(ark: Ark, prompt: str, status: int, code: str) -> None:
    before = ark.count_paid()
    answer = ark.post(prompt)
    assert error_of(answer) == (status, code)
    assert answer.headers["x-error-code"] == code
    assert ark.count_paid() == before


@pytest.mark.parametrize(("kind", "words"), [("", "queued tasks"), (" trial", "free trial"), (" plan", "5-hour")])
def test_a_quota_has_three_meanings_by_its_message(ark: Ark, kind: str, words: str) -> None:
    assert words in ark.post(f"[429 QuotaExceeded{kind}]").json()["error"]["message"]


@pytest.mark.parametrize(("prompt", "created"), [("[lose]", 1), ("[lose before]", 0)])
def test_an_answer_can_be_lost_with_the_task_created_or_not(ark: Ark, prompt: str, created: int) -> None:
    before = ark.count_paid()
    answer = ark.post(prompt, safety_identifier="l" * 32)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (502, "text/html")
    assert "x-request-id" not in answer.headers
    assert ark.count_paid() == before + created
    if created:
        assert ark.list()["items"][0]["safety_identifier"] == "l" * 32


def test_a_500_can_hide_a_task_that_was_created(ark: Ark) -> None:
    before = ark.count_paid()
    assert error_of(ark.post("[500 created]")) == (500, "InternalServiceError")
    assert ark.count_paid() == before + 1


@pytest.mark.parametrize(
    ("prompt", "code"), [("[fail]", "InternalServiceError"), ("[moderate]", "OutputVideoSensitiveContentDetected")]
)
def test_a_task_can_fail(ark: Ark, prompt: str, code: str) -> None:
    failed = ark.wait(ark.create(prompt), "failed", "succeeded")
    assert failed["error"]["code"] == code
    assert "Request id: 02" in failed["error"]["message"]
    assert not failed.keys() & {"usage", "content", "seed", "resolution"}


def test_a_task_can_expire(ark: Ark) -> None:
    expired = ark.wait(ark.create("[expire]"), "expired", "succeeded")
    assert (expired["status"], expired["error"]) == ("expired", None)


TOKENS = 128 * 72 * 25 // 1024


@pytest.mark.parametrize(("prompt", "tokens"), [("a", TOKENS), ("[usage 3]", 3 * TOKENS), ("[usage 0]", 0)])
def test_usage_is_that_of_the_formula_or_of_the_prompt(ark: Ark, prompt: str, tokens: int) -> None:
    usage = ark.wait(ark.create(prompt), "succeeded")["usage"]
    assert usage == {"completion_tokens": tokens, "total_tokens": tokens}


def test_usage_can_be_missing(ark: Ark) -> None:
    assert "usage" not in ark.wait(ark.create("[no usage]"), "succeeded")


def test_numbers_can_be_texts(ark: Ark) -> None:
    done = ark.wait(ark.create("[text numbers]"), "succeeded")
    assert (done["duration"], done["usage"]["total_tokens"]) == ("1", str(TOKENS))


def test_the_safety_identifier_can_be_missing_everywhere(ark: Ark) -> None:
    answer = ark.post("[no echo]", safety_identifier="n" * 32)
    task_id = answer.json()["id"]
    assert "safety_identifier" not in answer.json()
    assert "safety_identifier" not in ark.get(task_id)
    assert "safety_identifier" not in ark.list(task_ids=[task_id])["items"][0]


def test_the_url_of_a_video_can_be_refused(ark: Ark) -> None:
    done = ark.wait(ark.create("[url expired]"), "succeeded")
    assert httpx.get(done["content"]["video_url"]).status_code == 403


class Receiver:
    """A server for callbacks, which answers the first `refusals` posts of each status with 500."""

    def __init__(self) -> None:
        self.posts: queue.Queue[dict[str, Any]] = queue.Queue()
        self.refusals: dict[str, int] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                task = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                left = receiver.refusals.get(task["status"], 0)
                receiver.refusals[task["status"]] = left - 1
                self.send_response(500 if left > 0 else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                receiver.posts.put({**task, "path": self.path})

            def log_message(self, *args: Any) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook/attempt"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def take(self) -> dict[str, Any]:
        """Return the next post."""
        return self.posts.get(timeout=20)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_each_change_is_posted_as_the_whole_task_object(ark: Ark, receiver: Receiver) -> None:
    task_id = ark.create(callback_url=receiver.url, safety_identifier="c" * 32)
    posts = [receiver.take() for _ in range(3)]
    assert [task["status"] for task in posts] == ["queued", "running", "succeeded"]
    assert {(task["id"], task["path"]) for task in posts} == {(task_id, "/hook/attempt")}
    url = posts[-1].pop("content")["video_url"].partition("?")[0]
    done = ark.get(task_id)
    assert done.pop("content")["video_url"].partition("?")[0] == url
    assert posts[-1] == {**done, "path": "/hook/attempt"}


@pytest.mark.parametrize(("refusals", "posts"), [(2, 3), (9, 4)])
def test_an_end_is_posted_up_to_three_more_times(ark: Ark, receiver: Receiver, refusals: int, posts: int) -> None:
    receiver.refusals = {"failed": refusals}
    ark.create("[fail]", callback_url=receiver.url)
    assert [receiver.take()["status"] for _ in range(2 + posts)] == ["queued", "running", *["failed"] * posts]


def test_a_change_before_the_end_is_posted_once(ark: Ark, receiver: Receiver) -> None:
    receiver.refusals = {"queued": 9}
    ark.create(callback_url=receiver.url)
    assert [receiver.take()["status"] for _ in range(3)] == ["queued", "running", "succeeded"]


def test_a_cancel_is_not_posted(ark: Ark, receiver: Receiver) -> None:
    task_id = ark.create("[wait 1000]", callback_url=receiver.url)
    assert receiver.take()["status"] == "queued"
    assert ark.send("DELETE", task_id).status_code == 200
    other = ark.create("[wait 2000]", callback_url=receiver.url)  # what comes next is of another task
    assert receiver.take()["id"] == other
