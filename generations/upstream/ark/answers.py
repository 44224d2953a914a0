"""Parse Ark's answers into outcomes. The format is on the maker's page "Create a video generation task".

What is not plain is never believed: a submit is in doubt then, and a poll has no result yet.
"""

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

from generations.foreign_text import clean
from generations.outbound import http_dates
from generations.upstream import task_ids
from generations.upstream.account_words import ABOUT_ACCOUNT
from generations.upstream.answers import Answer, in_doubt, parse_integer, retry_after, text_of
from generations.upstream.ark import codes, envelope, tasks
from generations.upstream.ark.codes import Meaning
from generations.upstream.ark.envelope import ArkError
from generations.upstream.errors import AccountError, NoSuchTask, UpstreamError, WrongTask
from generations.upstream.json_bodies import Body, decode
from generations.upstream.outcomes import (
    Cause,
    Created,
    NotCreated,
    PollOutcome,
    Refused,
    RouteGone,
    SubmitOutcome,
)
from generations.upstream.protocol import CancelRefused, ListedTask, ListPage

FORM_OF_ID = r"cgt-[A-Za-z0-9-]{1,150}"
ID = re.compile(FORM_OF_ID)
ID_IN_TEXT = re.compile(rf"\b{FORM_OF_ID}(?=[^A-Za-z0-9-])")  # with its end: an answer may be cut off within an id
ACCOUNT_STATUSES = (401, 402, 403)
REQUEST_STATUSES = (400, 413, 422)  # these blame the request


def parse_submit(answer: Answer) -> SubmitOutcome:
    """Return what the answer to a create means. An answer that is not plain leaves the create in doubt.

    Whatever else the answer says, it creates a task if it names one.
    """
    body = decode(answer.content)
    error = envelope.read(answer, body)
    named = find_ids(body, text_of(answer, limited=False))
    code = f" {error.code}" if error else ""
    if named or body.fields.get("id"):
        is_plain = [body.fields.get("id")] == named and ID.fullmatch(named[0])
        if is_plain and 200 <= answer.status < 300 and not (body.fields.get("error") or body.repeated_names):
            return Created(named[0])
        return in_doubt(answer, f"HTTP {answer.status}{code} names a task, but not plainly", find_ids)
    outcome = _refusal(answer, error) if error and 400 <= answer.status < 500 else None
    if outcome is None:
        return in_doubt(answer, f"HTTP {answer.status}{code} does not say whether a task was created", find_ids)
    return replace(outcome, answer=text_of(answer))


def find_ids(body: Body, text: str) -> list[str]:
    """Return the ids of the tasks that the answer names, each once. `text` is the whole answer, with its headers.

    In a body that is JSON only whole values count: an error's message may repeat a caller's words.
    """
    head = text.partition("\n\n")[0] + "\n"
    searched = head if body.fields else text[: task_ids.MAX_SEARCHED_CHARS]
    found = [value for _, value in body.pairs if isinstance(value, str) and ID.fullmatch(value)]
    found += ID_IN_TEXT.findall(searched)
    if task_ids.is_id(body.fields.get("id")):
        found.append(str(body.fields["id"]))
    return list(dict.fromkeys([*found, *task_ids.find(body, searched)]))


def _refusal(answer: Answer, error: ArkError) -> NotCreated | RouteGone | Refused | None:
    """Return what an error means that names no task. Return None if it does not say that none was created."""
    match error.meaning:
        case Meaning.CONTENT:
            return _refused_content(error)
        case Meaning.INPUT_MODERATED | Meaning.OUTPUT_MODERATED:  # nothing is made yet that an output could be
            return Refused(error.code, error.message, is_about_content=False, cause=Cause.INPUT_MODERATED)
        case Meaning.ACCOUNT | Meaning.LATER:
            return NotCreated(error.words, retry_after(answer))
        case Meaning.ROUTE_GONE:
            return RouteGone(error.words)
        case Meaning.UNDOCUMENTED:
            return _undocumented(answer, error)
    return None


def _refused_content(error: ArkError) -> Refused:
    """Return the refusal of a request. Callers read its words, unless they are about our account."""
    if ABOUT_ACCOUNT.search(error.words):
        return Refused(error.code, error.message, is_about_content=False)
    return Refused(error.code, error.for_callers().message)


def _undocumented(answer: Answer, error: ArkError) -> NotCreated | RouteGone | Refused | None:
    """Return what an error with a code that is not known here means, by the status and by the code's name alone.

    A message is not asked: it may repeat a caller's words, which must not stop the submits of all.
    """
    if answer.status in (*ACCOUNT_STATUSES, 429):
        return NotCreated(error.words, retry_after(answer))
    if answer.status == 404:
        return RouteGone(error.words)
    if answer.status in REQUEST_STATUSES:
        is_ours = ABOUT_ACCOUNT.search(error.code)
        return NotCreated(error.words) if is_ours else Refused(error.code, error.message, is_about_content=False)
    return None


def parse_task(answer: Answer, upstream_id: str) -> PollOutcome:
    """Return what the answer to a poll of the task means.

    Raise UpstreamError if it cannot be understood, WrongTask if it is about another task, NoVideo if it is about this
    one and has no result that is known here, and AccountError if it is about our account.
    """
    return tasks.read_outcome(_read_task_object(answer, upstream_id))


def parse_listed_task(answer: Answer, upstream_id: str) -> ListedTask:
    """Return what the upstream says of the task in any state. Raise as `parse_task` does."""
    return tasks.read_listed(_read_task_object(answer, upstream_id), upstream_id)


def _read_task_object(answer: Answer, upstream_id: str) -> dict[str, Any]:
    """Return the task object of an answer about this task."""
    body = _read_success(answer)
    if not {"id", "status"}.intersection(body.fields):
        raise UpstreamError("the answer names no task")
    if (answered := body.fields.get("id")) != upstream_id:
        other = f"the task {clean(answered, 200)!r}" if answered else "no task"
        raise WrongTask(f"the answer is about {other} in place of {upstream_id!r}")
    _check_names(body)
    return body.fields


def parse_page(answer: Answer) -> ListPage:
    """Return a page of the list of tasks. Raise UpstreamError if any part of it cannot be read."""
    body = _read_success(answer)
    _check_names(body)
    items, total = body.fields.get("items"), parse_integer(body.fields.get("total"))
    if items is None and total == 0:  # as some encoders write an empty list
        items = []
    if not isinstance(items, list) or total is None or total < 0:
        raise UpstreamError("the answer is no page of the list of tasks")
    return ListPage([_read_item(item) for item in items], total)


def _read_item(item: Any) -> ListedTask:
    """Return a task of the list. Raise UpstreamError if it has no id."""
    upstream_id = item.get("id") if isinstance(item, dict) else None
    if not isinstance(upstream_id, str) or not task_ids.is_id(upstream_id):
        raise UpstreamError(f"the list of tasks has an item without an id: {clean(item, 100)!r}")
    return tasks.read_listed(item, upstream_id)


def check_cancelled(answer: Answer) -> None:
    """Raise CancelRefused unless the task is cancelled; UpstreamError if the answer does not say."""
    body = decode(answer.content)
    error = envelope.read(answer, body)
    words = f"HTTP {answer.status} {error.words if error else ''}".strip()
    if 400 <= answer.status < 500:
        raise CancelRefused(words)
    if answer.status != 200 or body.fields.get("error"):
        raise UpstreamError(f"the cancel was answered with {words}")


def check_unknown_task(answer: Answer) -> datetime | None:
    """Return the time of the answer, or None, if it says that there is no such task. Raise UpstreamError if not."""
    try:
        _read_success(answer)
    except NoSuchTask:
        return http_dates.parse_date(answer.headers.get("Date", ""))
    raise UpstreamError("a task that does not exist was answered with HTTP 200")


def parse_callback(content: bytes) -> str:
    """Return the id of the task that a callback names; "" if it names none plainly."""
    body = decode(content)
    named = body.fields.get("id")
    return named if isinstance(named, str) and ID.fullmatch(named) and not body.repeated_names else ""


def _read_success(answer: Answer) -> Body:
    """Return the body of an answer with the status 200. Raise UpstreamError for any other."""
    body = decode(answer.content)
    if answer.status != 200:
        raise _failure(answer, envelope.read(answer, body))
    if not body.fields:
        raise UpstreamError("the answer is no JSON object")
    return body


def _failure(answer: Answer, error: ArkError | None) -> UpstreamError:
    """Return the error that an answer to a question about tasks means."""
    meaning, pause = error.meaning if error else None, retry_after(answer)
    text = f"the call was answered with HTTP {answer.status} {error.words if error else ''}".strip()
    asks_to_wait = answer.status == 429 or meaning == Meaning.LATER or (answer.status == 503 and pause is not None)
    if asks_to_wait or answer.status in ACCOUNT_STATUSES or meaning == Meaning.ACCOUNT:
        return AccountError(text, is_rate_limit=asks_to_wait, retry_after=pause)
    if answer.status == 404 and error and codes.is_no_such_task(error.code):
        return NoSuchTask(f"the upstream knows no such task: {error.words}")
    return UpstreamError(text)


def _check_names(body: Body) -> None:
    """Raise UpstreamError if a name stands twice in an object: it is not known which of the two holds."""
    if body.repeated_names:
        raise UpstreamError(f"the answer gives {clean(body.repeated_names[0], 50)!r} twice")
