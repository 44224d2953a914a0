"""Parse Novita's answers into outcomes. The wire format is at https://novita.ai/docs/api-reference/.

What is not plain is never believed: a submit is in doubt then, and a poll has no result yet.
"""

import re
from dataclasses import replace
from typing import Any

from generations.foreign_text import clean
from generations.upstream import task_ids
from generations.upstream.account_words import ABOUT_ACCOUNT
from generations.upstream.answers import Answer, in_doubt, is_http_url, parse_integer, retry_after, text_of
from generations.upstream.errors import AccountError, NoSuchTask, NoVideo, UpstreamError, WrongTask
from generations.upstream.json_bodies import decode
from generations.upstream.novita.reasons import (
    ACCOUNT_REASONS,
    ACCOUNT_STATUSES,
    CONTENT_REASONS,
    NOT_CREATED_REASONS,
    RATE_LIMIT,
    ROUTE_GONE,
    TASK_FAILED,
)
from generations.upstream.outcomes import (
    MAX_TOKENS,
    Created,
    CreateFailed,
    Failed,
    NotCreated,
    PollOutcome,
    Refused,
    Rendered,
    Rendering,
    RouteGone,
    SubmitOutcome,
)

PROGRESS = re.compile(r"[0-9]{1,9}(\.[0-9]*)?")


def parse_submit(answer: Answer) -> SubmitOutcome:
    """Return what the answer to a submit means. An answer that is not plain leaves the submit in doubt.

    Whatever else the answer says, it creates a task if it names one.
    """
    body = decode(answer.content)
    reason, message = _error_envelope(body.fields)
    named = task_ids.find(body, text_of(answer, limited=False))
    if named:
        is_plain = [body.fields.get("task_id")] == named and not (reason or body.repeated_names)
        if is_plain and 200 <= answer.status < 300:
            return Created(named[0])
        return in_doubt(answer, f"HTTP {answer.status} {reason} names a task, but not plainly".replace("  ", " "))
    outcome = _refusal(answer, reason, message)
    if outcome is None:
        return in_doubt(answer, f"HTTP {answer.status} without an answer that can be understood")
    return replace(outcome, answer=text_of(answer))


def _refusal(answer: Answer, reason: str, message: str) -> NotCreated | RouteGone | CreateFailed | Refused | None:
    """Return what an answer means that names no task. Return None if it does not say that none was created."""
    words = f"{reason}: {message}"
    if 200 <= answer.status < 300:
        return None
    if reason and answer.status == 429:
        return NotCreated(words, retry_after(answer))
    if answer.status == 404 and (reason == ROUTE_GONE or b"route not found" in answer.content[:1000].lower()):
        return RouteGone(words if reason else "the upstream no longer has this route")
    if reason in CONTENT_REASONS:
        return Refused(reason, message, is_about_content=not ABOUT_ACCOUNT.search(message))
    if reason in NOT_CREATED_REASONS:
        return CreateFailed(words)
    if reason == TASK_FAILED:
        return Refused(reason, message, affects_all=True, is_about_content=False)
    if reason in ACCOUNT_REASONS or (reason and answer.status in (*ACCOUNT_STATUSES, 404)):
        return NotCreated(words)
    if reason and answer.status in (400, 413, 422):  # undocumented reasons: these statuses blame this request
        return NotCreated(words) if ABOUT_ACCOUNT.search(words) else Refused(reason, message, is_about_content=False)
    return None


def parse_task(answer: Answer, upstream_id: str) -> PollOutcome:
    """Return what the answer to a poll of the task means.

    Raise UpstreamError if it cannot be understood, WrongTask if it is about another task, NoVideo if it is about this
    one and has no result that is known here, and AccountError if it is about our account.
    """
    body = decode(answer.content)
    reason, message = _error_envelope(body.fields)
    asks_to_wait = answer.status == 429 or reason == RATE_LIMIT or (answer.status == 503 and retry_after(answer))
    if asks_to_wait or answer.status in ACCOUNT_STATUSES or reason in ACCOUNT_REASONS:
        text = f"the poll was answered with HTTP {answer.status} {reason} {message}".strip()
        raise AccountError(text, is_rate_limit=bool(asks_to_wait), retry_after=retry_after(answer))
    if reason == "TASK_NOT_FOUND":
        raise NoSuchTask("the upstream knows no such task")
    if answer.status != 200 or reason:
        raise UpstreamError(f"the poll was answered with HTTP {answer.status} {reason}".strip())
    task = body.fields.get("task")
    if not isinstance(task, dict):
        raise UpstreamError("the answer names no task")
    _check_task_id(task.get("task_id"), upstream_id)
    if body.repeated_names:
        raise UpstreamError(f"the answer gives {clean(body.repeated_names[0], 50)!r} twice")
    match task.get("status"):
        case "TASK_STATUS_SUCCEED":
            return _rendered(body.fields)
        case "TASK_STATUS_FAILED":
            if body.fields.get("videos"):
                raise UpstreamError("the task has failed, but its answer names a video")
            return _failed(task.get("reason"))
        case "TASK_STATUS_QUEUED" | "TASK_STATUS_PROCESSING":
            return Rendering(_parse_progress(task.get("progress_percent")))
        case status:
            raise NoVideo(f"the task has an unknown status: {clean(status, 50)!r}")


def check_unknown_task(answer: Answer) -> None:
    """Raise UpstreamError, with the upstream's reason, unless it answers that it has no such task."""
    reason, message = _error_envelope(decode(answer.content).fields)
    if answer.status != 200 and reason != "TASK_NOT_FOUND":
        raise UpstreamError(f"HTTP {answer.status} {reason} {message}".strip())


def status_and_reason(answer: Answer) -> tuple[int, str]:
    """Return the HTTP status, and the reason of Novita's error envelope; an empty one if the body is none."""
    return answer.status, _error_envelope(decode(answer.content).fields)[0]


def _check_task_id(task_id: Any, upstream_id: str) -> None:
    """Raise WrongTask unless the answer is about the task that was asked for. Every Task Result names its task."""
    if task_id != upstream_id:
        answered = f"the task {clean(task_id, 200)!r}" if task_id else "no task"
        raise WrongTask(f"the answer is about {answered} in place of {upstream_id!r}")


def _rendered(fields: dict[str, Any]) -> Rendered:
    """Return the outcome of a task that has succeeded. Raise NoVideo if its answer does not name one video."""
    videos = fields.get("videos")
    if not isinstance(videos, list) or len(videos) != 1:
        raise NoVideo("the task succeeded, but its answer does not name one video")
    video = videos[0] if isinstance(videos[0], dict) else {}
    url, kind = video.get("video_url"), video.get("video_type") or "mp4"
    if not isinstance(url, str) or not is_http_url(url):
        raise NoVideo("the task succeeded, but its answer names no video by an http(s) URL")
    if str(kind).lower().removeprefix("video/") != "mp4":
        raise NoVideo(f"the task succeeded, but its video has the type {clean(kind, 50)!r}")
    seed, odd_seed = _reported_seed(fields.get("extra"))
    tokens, odd_usage = _reported_tokens(fields.get("usage"))
    return Rendered(url, seed, tokens, "; ".join(odd for odd in (odd_seed, odd_usage) if odd))


def _reported_seed(extra: Any) -> tuple[int | None, str]:
    """Return the seed in the `extra` of an answer, None if there is none, and what of it is not understood."""
    if not isinstance(extra or {}, dict):
        return None, "the answer's `extra` is no object"
    seed = (extra or {}).get("seed")
    if seed in (None, ""):
        return None, ""
    parsed = parse_integer(seed)
    return parsed, "" if parsed is not None else f"the answer's seed is no integer: {clean(seed, 50)!r}"


def _reported_tokens(usage: Any) -> tuple[int | None, str]:
    """Return the tokens in the `usage` of an answer, None if there are none, and what of it is not understood."""
    if usage is None:
        return None, ""
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if type(tokens) is int and 0 <= tokens <= MAX_TOKENS:
        return tokens, ""
    return None, f"the answer's usage has no count of tokens: {clean(usage, 50)!r}"


def _failed(reason: Any) -> Failed:
    """Return the outcome of a task that has failed. Its reason is the caller's to read unless it is about us."""
    words = clean(reason or "")
    return Failed(words or "the upstream gave no reason", is_about_content=not ABOUT_ACCOUNT.search(words))


def _parse_progress(value: Any) -> int | None:
    """Return the progress, 0 to 99, sent as a number or as text. Return None for anything else."""
    if isinstance(value, str) and PROGRESS.fullmatch(value):
        value = float(value)
    if type(value) not in (int, float) or not 0 <= value < 2**63:
        return None
    return min(int(value), 99)


def _error_envelope(fields: dict[str, Any]) -> tuple[str, str]:
    """Return reason and message of Novita's error envelope. Both are empty if the body is no such envelope."""
    reason, message = fields.get("reason"), fields.get("message")
    return (clean(reason) if reason and isinstance(reason, str) else ""), (clean(message) if message else "")
