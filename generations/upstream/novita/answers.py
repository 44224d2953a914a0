"""Parse Novita's answers into outcomes. The wire format is at https://novita.ai/docs/api-reference/."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from generations.outbound import http_dates
from generations.upstream.errors import UpstreamError
from generations.upstream.outcomes import (
    Created,
    Failed,
    InDoubt,
    NotCreated,
    PollOutcome,
    Refused,
    Rendered,
    Rendering,
    SubmitOutcome,
)

MAX_RETRY_AFTER_SECONDS = 300.0  # a longer Retry-After is cut to this

# The documented errors. Content: the caller's fault, refused for good. Account: ours, and never the caller's fault.
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
# Their names say "not created", but no document says whether they were billed: never sent again.
BROKEN_REASONS = {"CREATE_TASK_FAILED", "BILLING_FAILED", "TASK_FAILED"}


@dataclass(frozen=True)
class Answer:
    """An answer as it came over HTTP."""

    status: int
    headers: Mapping[str, str]
    content: bytes  # unpacked; empty if it was too long


def parse_submit(answer: Answer) -> SubmitOutcome:
    """Return what the answer to a submit means. An answer that cannot be understood leaves the submit in doubt."""
    body = _json_object(answer)
    reason, message = _error_envelope(body)
    if answer.status == 200:
        upstream_id = body.get("task_id")
        if isinstance(upstream_id, str) and 0 < len(upstream_id) <= 200 and upstream_id.isprintable():
            return Created(upstream_id)
    elif reason and answer.status == 429:
        wait = http_dates.parse_retry_after(answer.headers.get("Retry-After", ""), MAX_RETRY_AFTER_SECONDS)
        return NotCreated(f"{reason}: {message}", wait)
    elif reason in CONTENT_REASONS:
        return Refused(reason, message)
    elif reason in BROKEN_REASONS:
        return Refused(reason, message, affects_all=True)
    elif reason in ACCOUNT_REASONS or (reason and answer.status in (401, 403, 404)):
        return NotCreated(f"{reason}: {message}")
    elif reason and answer.status in (400, 413, 422):  # undocumented reasons: these statuses blame this request
        return Refused(reason, message)
    elif answer.status == 404 and b"route not found" in answer.content[:1000].lower():
        return NotCreated("the upstream no longer has this route")
    return InDoubt(f"HTTP {answer.status} without an answer that can be understood")


def parse_task(answer: Answer) -> PollOutcome:
    """Return what the answer to a poll means. Raise UpstreamError if it cannot be understood."""
    body = _json_object(answer)
    if answer.status != 200:
        raise UpstreamError(f"the poll was answered with HTTP {answer.status} {_error_envelope(body)[0]}".strip())
    task = _inner_object(body, "task")
    match task.get("status"):
        case "TASK_STATUS_SUCCEED":
            return _rendered(body)
        case "TASK_STATUS_FAILED":
            return Failed(_clean_text(task.get("reason")) or "the upstream gave no reason")
        case "TASK_STATUS_QUEUED" | "TASK_STATUS_PROCESSING":
            return Rendering(min(max(_parse_number(task.get("progress_percent")) or 0, 0), 99))
        case status:
            raise UpstreamError(f"the task has an unknown status: {str(status)[:50]!r}")


def check_unknown_task(answer: Answer) -> None:
    """Raise UpstreamError, with the upstream's reason, unless it answers that it has no such task."""
    reason, message = _error_envelope(_json_object(answer))
    if answer.status != 200 and reason != "TASK_NOT_FOUND":
        raise UpstreamError(f"HTTP {answer.status} {reason} {message}".strip())


def _rendered(body: dict[str, Any]) -> Rendered:
    """Return the outcome of a task that has succeeded. Raise UpstreamError if its answer names no video."""
    videos = body.get("videos")
    first = videos[0] if isinstance(videos, list) and videos else None
    url = first.get("video_url") if isinstance(first, dict) else None
    if not isinstance(url, str) or not url:
        raise UpstreamError("the task succeeded, but its answer names no video")
    return Rendered(url, _parse_number(_inner_object(body, "extra").get("seed")))


def _parse_number(value: Any) -> int | None:
    """Return an integer that fits 64 bits, sent as a number or as text. Return None for anything else."""
    try:
        number = int(str(value))
    except ValueError:
        return None
    return number if abs(number) < 2**63 else None


def _inner_object(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the JSON object of that name. Return an empty one if there is none."""
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _error_envelope(body: dict[str, Any]) -> tuple[str, str]:
    """Return reason and message of Novita's error envelope. Both are empty if the body is no such envelope."""
    reason = body.get("reason")
    return (_clean_text(reason) if isinstance(reason, str) else ""), _clean_text(body.get("message"))


def _clean_text(value: Any) -> str:
    """Return the upstream's text without NUL, which PostgreSQL cannot store, and at most 500 characters long."""
    return str(value or "").replace("\0", "")[:500]


def _json_object(answer: Answer) -> dict[str, Any]:
    """Return the answer's JSON object. Return an empty one if the answer is anything else."""
    try:
        body = msgspec.json.decode(answer.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
