"""The door to the upstream, Novita's asynchronous API. Wire format: https://novita.ai/docs/api-reference/.

What the upstream says comes back as one of a few outcomes; only what cannot be understood raises.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.conf import settings

from generations import leases
from generations.outbound import http_dates, transport
from generations.outbound.errors import FetchFailed
from generations.telemetry.failpoints import failpoint
from generations.upstream.errors import UpstreamError

LONGEST_WAIT = 300.0  # seconds that a Retry-After may ask for at once
HEAD, PIECE = 1024, 1024 * 1024  # bytes of a submit's body that are sent first, and then at a time
NOBODYS = "00000000-0000-0000-0000-000000000000"  # a task's id that no task has
MAX_ANSWER = 1024 * 1024  # bytes; a real answer has about one thousand

idle_connections = transport.Pool()  # for polls, which are many

# The page's table of errors. Content: the caller's, refused for good. Account: ours, and never the caller's fault.
CONTENT_REASONS = {
    "INVALID_REQUEST_BODY",
    "IMAGE_FILE_EXCEEDS_MAX_SIZE",
    "INVALID_IMAGE_FORMAT",
    "IMAGE_EXCEEDS_MAX_RESOLUTION",
    "INVALID_IMAGE_SIZE",
    "ILLEGAL_PROMPT",
    "ILLEGAL_IMAGE_CONTENT",
}
ACCOUNT_REASONS = {
    "BILLING_BALANCE_NOT_ENOUGH",
    "NOT_ENOUGH_BALANCE",
    "BILLING_AUTH_FAILED",
    "MISSING_API_KEY",
    "INVALID_API_KEY",
    "FEATURE_NOT_ALLOWED",
    "API_NOT_ALLOWED",
    "NEED_REAL_NAME_VERIFY",
    "API_NOT_FOUND",
}
# Named as "not created", but nobody documents whether they were billed: never sent again.
BROKEN_REASONS = {"CREATE_TASK_FAILED", "BILLING_FAILED", "TASK_FAILED"}


@dataclass(frozen=True)
class Created:
    upstream_id: str


@dataclass(frozen=True)
class NotCreated:
    """Surely not created, and not the caller's fault: may be sent again."""

    reason: str
    retry_after: float | None = None  # seconds


@dataclass(frozen=True)
class Refused:
    """Refused for good."""

    reason: str
    message: str
    ours: bool = False  # it fails all the same, but not for its content: others would fare no better


@dataclass(frozen=True)
class InDoubt:
    """It may or may not have been created: never sent again by itself."""

    reason: str


@dataclass(frozen=True)
class Rendering:
    progress_percent: int


@dataclass(frozen=True)
class Rendered:
    video_url: str  # signed, lives about an hour
    seed: int | None  # as the upstream reports it


@dataclass(frozen=True)
class Failed:
    reason: str


Submitted = Created | NotCreated | Refused | InDoubt
Polled = Rendering | Rendered | Failed


@dataclass(frozen=True)
class Account:
    """Where to send, and as whom."""

    base_url: str
    api_key: str = field(repr=False)


def account(*, test: bool) -> Account:
    """The sandbox for a test, whatever the live upstream is; its key is never the live one."""
    if test:
        return Account(settings.SANDBOX_BASE_URL, settings.SANDBOX_API_KEY)
    return Account(settings.NOVITA_BASE_URL, settings.NOVITA_API_KEY)


def submit(to: Account, path: str, body: dict[str, Any]) -> Submitted:
    """One POST on a fresh connection, without retries and redirects: what it may cost is paid at most once."""
    content = msgspec.json.encode(body)
    headers = {**_headers(to), "Content-Length": str(len(content))}
    budget, pieces = transport.Budget(leases.SUBMIT_CALL_SECONDS), _in_pieces(content)
    try:
        with transport.exchange("POST", to.base_url, headers, budget, path=path, content=pieces) as response:
            return _submitted(_read_answer(response))
    except FetchFailed as error:
        if error.is_unsent:
            return NotCreated(f"the upstream can not be reached: {error}")
        # The same error occurs with the whole POST received and with none of it: its name proves nothing.
        return InDoubt(f"the answer was lost: {error}")


def _in_pieces(content: bytes) -> Iterator[bytes]:
    yield content[:HEAD]
    failpoint("submit_half_sent")
    for start in range(HEAD, len(content), PIECE):
        yield content[start : start + PIECE]


def poll(to: Account, upstream_id: str) -> Polled:
    """Task Result of one task. Raises UpstreamError where the answer is none: that is "not yet", never a failure."""
    answer = _asked(to, upstream_id)
    body = _object(answer)
    if answer.status != 200:
        raise UpstreamError(f"the poll was answered with HTTP {answer.status} {_envelope(body)[0]}".strip())
    return _polled(body)


def greet(to: Account) -> datetime | None:
    """Whether it answers and takes our key, by asking for a task that is nobody's: nothing is paid for. Its clock.

    Raises UpstreamError, with the upstream's own reason where it gave one.
    """
    answer = _asked(to, NOBODYS)
    reason, message = _envelope(_object(answer))
    if answer.status != 200 and reason != "TASK_NOT_FOUND":
        raise UpstreamError(f"HTTP {answer.status} {reason} {message}".strip())
    return http_dates.parse_date(answer.headers.get("Date", ""))


def _asked(to: Account, upstream_id: str) -> "Answer":
    path, budget = (
        f"/v3/async/task-result?{urlencode({'task_id': upstream_id})}",
        transport.Budget(leases.POLL_CALL_SECONDS),
    )
    try:
        with transport.exchange("GET", to.base_url, _headers(to), budget, path=path, pool=idle_connections) as response:
            return _read_answer(response)
    except FetchFailed as error:
        raise UpstreamError(f"the poll failed: {error}") from error


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes  # empty where it is none of ours: too long, or compressed, which could be a bomb


def _read_answer(response: transport.Response) -> Answer:
    content = bytearray()
    if response.headers.get("Content-Encoding", "").lower() in ("", "identity"):
        for chunk in response.chunks:
            content += chunk
            if len(content) > MAX_ANSWER:
                content.clear()
                break
    return Answer(response.status, response.headers, bytes(content))


def _submitted(answer: Answer) -> Submitted:
    body = _object(answer)
    reason, message = _envelope(body)
    if answer.status == 200:
        upstream_id = body.get("task_id")
        if isinstance(upstream_id, str) and 0 < len(upstream_id) <= 200 and upstream_id.isprintable():
            return Created(upstream_id)
    elif reason and answer.status == 429:
        wait = http_dates.parse_retry_after(answer.headers.get("Retry-After", ""), LONGEST_WAIT)
        return NotCreated(f"{reason}: {message}", wait)
    elif reason in CONTENT_REASONS:
        return Refused(reason, message)
    elif reason in BROKEN_REASONS:
        return Refused(reason, message, ours=True)
    elif reason in ACCOUNT_REASONS or (reason and answer.status in (401, 403, 404)):
        return NotCreated(f"{reason}: {message}")
    elif reason and answer.status in (400, 413, 422):  # one that the page does not name: of this request, as they say
        return Refused(reason, message)
    elif answer.status == 404 and b"route not found" in answer.content[:1000].lower():
        return NotCreated("the upstream no longer has this route")
    return InDoubt(f"HTTP {answer.status} without an answer that can be understood")


def _polled(answer: dict[str, Any]) -> Polled:
    task = _inner(answer, "task")
    match task.get("status"):
        case "TASK_STATUS_SUCCEED":
            return _rendered(answer)
        case "TASK_STATUS_FAILED":
            return Failed(_words(task.get("reason")) or "the upstream gave no reason")
        case "TASK_STATUS_QUEUED" | "TASK_STATUS_PROCESSING":
            return Rendering(min(max(_number(task.get("progress_percent")) or 0, 0), 99))
        case status:
            raise UpstreamError(f"the task's status is {str(status)[:50]!r}, which is not known here")


def _rendered(answer: dict[str, Any]) -> Rendered:
    videos = answer.get("videos")
    first = videos[0] if isinstance(videos, list) and videos else None
    url = first.get("video_url") if isinstance(first, dict) else None
    if not isinstance(url, str) or not url:
        raise UpstreamError("the task succeeded, but its answer names no video")
    return Rendered(url, _number(_inner(answer, "extra").get("seed")))


def _number(value: Any) -> int | None:
    """Numbers come as strings or as numbers."""
    try:
        number = int(str(value))
    except ValueError:
        return None
    return number if abs(number) < 2**63 else None


def _inner(answer: dict[str, Any], name: str) -> dict[str, Any]:
    value = answer.get(name)
    return value if isinstance(value, dict) else {}


def _envelope(body: dict[str, Any]) -> tuple[str, str]:
    """(reason, message) of the upstream's error envelope; empty where the body is none."""
    reason = body.get("reason")
    return (_words(reason) if isinstance(reason, str) else ""), _words(body.get("message"))


def _words(value: Any) -> str:
    """What the upstream said, as PostgreSQL can store it and a person wants to read it."""
    return str(value or "").replace("\0", "")[:500]


def _object(answer: Answer) -> dict[str, Any]:
    """The answer's JSON object; an empty one where it is something else, which then says nothing."""
    try:
        body = msgspec.json.decode(answer.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _headers(to: Account) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {to.api_key}",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
    }
