"""Read Ark's task object: what it means to a poll, and the task as it is listed. Numbers may come as text.

A number that cannot be read is left out, and never guessed. The prompt and the images are not in the object.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from generations.foreign_text import clean
from generations.upstream.account_words import ABOUT_ACCOUNT
from generations.upstream.answers import is_http_url, parse_integer
from generations.upstream.ark import envelope
from generations.upstream.ark.codes import Meaning
from generations.upstream.errors import NoVideo, UpstreamError
from generations.upstream.outcomes import (
    MAX_TOKENS,
    Cancelled,
    Cause,
    Failed,
    PollOutcome,
    Rendered,
    Rendering,
    Shape,
)
from generations.upstream.protocol import ListedTask

RESOLUTION = re.compile(r"[0-9]{1,5}[a-z]")  # as "720p", or "4k"
RATIO = re.compile(r"[1-9][0-9]{0,3}:[1-9][0-9]{0,3}")
REFERENCE = re.compile(r"[!-~]{1,64}")
FRAMES_PER_SECOND = 24  # of each model
MAX_SECONDS = 2**15 - 1  # the column's of the duration
MAX_TIME = datetime(9999, 1, 1, tzinfo=UTC).timestamp()

Fields = Mapping[str, Any]


def read_outcome(task: Fields) -> PollOutcome:
    """Return what the task object means. Raise UpstreamError if it contradicts itself, and NoVideo if it has no video.

    NoVideo is also raised for a status that is not known here.
    """
    status = task.get("status")
    url, has_error = _video_url(task), _has_error(task.get("error"))
    if (status == "succeeded" and has_error) or (status != "succeeded" and url):
        named = "a video" if status != "succeeded" else "an error"
        raise UpstreamError(f"the task is {clean(status, 50)!r}, but its answer names {named}")
    match status:
        case "queued":
            return Rendering(None, is_waiting=True)
        case "running":
            return Rendering(None)
        case "succeeded":
            return _rendered(task, url)
        case "failed":
            return _failed(task.get("error"))
        case "expired":
            reason = "the upstream did not make the video within its time limit"
            return Failed(reason, is_about_content=False, cause=Cause.EXPIRED)
        case "cancelled":
            return Cancelled()
    raise NoVideo(f"the task has an unknown status: {clean(status, 50)!r}")


def read_listed(task: Fields, upstream_id: str) -> ListedTask:
    """Return the task as the upstream lists it, or shows it by its id."""
    reference = task.get("safety_identifier")
    return ListedTask(
        upstream_id=upstream_id,
        target=_text(task.get("model")),
        reference=reference if isinstance(reference, str) and REFERENCE.fullmatch(reference) else "",
        seed=_parse_drawn_seed(task.get("seed")),
        shape=_shape(task)[0],
        created_at=_parse_time(task.get("created_at")),
        status=_text(task.get("status")),
    )


def _rendered(task: Fields, url: Any) -> Rendered:
    """Return the outcome of a task that has succeeded. Raise NoVideo if it does not name a video."""
    if not isinstance(url, str) or not is_http_url(url):
        raise NoVideo("the task succeeded, but its answer names no video by an http(s) URL")
    shape, odd = _shape(task)
    seed, tokens = parse_integer(task.get("seed")), None
    if seed is None and task.get("seed") not in (None, ""):
        odd.append(f"the answer's seed is no integer: {clean(task['seed'], 50)!r}")
    usage = task.get("usage")
    if usage is not None:
        tokens = _parse_tokens(usage.get("completion_tokens") if isinstance(usage, dict) else None)
        if tokens is None:
            odd.append(f"the answer's usage has no count of tokens: {clean(usage, 50)!r}")
    return Rendered(url, seed, tokens, "; ".join(odd), shape)


def _failed(error: Any) -> Failed:
    """Return the outcome of a task that has failed. Its reason is the caller's to read unless it is about us."""
    fields = error if isinstance(error, dict) else {}
    found = envelope.make(fields.get("code"), fields.get("message"))
    if found is None:
        words = clean(fields.get("message") or (error if isinstance(error, str) else ""))
        if ABOUT_ACCOUNT.search(words):
            return Failed(words, is_about_content=False)
        return Failed(envelope.without_ids(words) or "the upstream gave no reason")
    match found.meaning:
        case Meaning.OUTPUT_MODERATED:
            return Failed(found.words, is_about_content=False, cause=Cause.OUTPUT_MODERATED)
        case Meaning.INPUT_MODERATED:
            return Failed(found.words, is_about_content=False, cause=Cause.INPUT_MODERATED)
        case Meaning.ACCOUNT:
            return Failed(found.words, is_about_content=False)
    if ABOUT_ACCOUNT.search(found.words):
        return Failed(found.words, is_about_content=False)
    return Failed(found.for_callers().words)


def _has_error(error: Any) -> bool:
    """Return whether a task's error says anything. Some encoders write an empty object where there is none."""
    return any(error.values()) if isinstance(error, dict) else bool(error)


def _video_url(task: Fields) -> Any:
    content = task.get("content")
    return content.get("video_url") if isinstance(content, dict) else None


def _shape(task: Fields) -> tuple[Shape, list[str]]:
    """Return the shape of the task's video in our words, and what of it is not understood."""
    odd = []
    resolution, ratio = _text(task.get("resolution")).lower(), _text(task.get("ratio"))
    if resolution and not RESOLUTION.fullmatch(resolution):
        odd.append(f"the answer's resolution is {resolution[:50]!r}")
        resolution = ""
    if ratio and not RATIO.fullmatch(ratio):  # "adaptive" too: the real one was to be expected
        odd.append(f"the answer's ratio is {ratio[:50]!r}")
        ratio = ""
    return Shape(resolution or None, ratio or None, _parse_seconds(task)), odd


def _parse_seconds(task: Fields) -> int | None:
    """Return the whole seconds of the video, by its duration, else by its frames: those of each second, and one."""
    seconds, frames = _parse_whole(task.get("duration")), _parse_whole(task.get("frames"))
    if seconds is None and frames is not None and frames % FRAMES_PER_SECOND == 1:
        seconds = frames // FRAMES_PER_SECOND
    return seconds if seconds is not None and 1 <= seconds <= MAX_SECONDS else None


def _parse_whole(value: Any) -> int | None:
    """Return a whole number, such as 5, 5.0 or "5". Return None for anything else."""
    return parse_integer(int(value) if type(value) is float and value.is_integer() else value)


def _parse_drawn_seed(value: Any) -> int | None:
    """Return a seed. Return None for -1, which asks for one: a task that shows it has not drawn its own yet."""
    seed = parse_integer(value)
    return seed if seed is not None and seed >= 0 else None


def _parse_tokens(value: Any) -> int | None:
    tokens = parse_integer(value)
    return tokens if tokens is not None and 0 <= tokens <= MAX_TOKENS else None


def _parse_time(value: Any) -> datetime | None:
    """Return the time of a number of seconds since 1970. Return None for anything else."""
    seconds = parse_integer(value)
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None and 0 < seconds < MAX_TIME else None


def _text(value: Any) -> str:
    return clean(value, 100) if isinstance(value, str) else ""
