"""Write a page about each error code, with an example that is rendered by the same code as the API's answers."""

import functools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from django.db import OperationalError
from rest_framework.exceptions import MethodNotAllowed, NotAcceptable, ParseError, UnsupportedMediaType, ValidationError

from generations.api.json_codec import BodyTooLarge
from generations.api.large_bodies import TooManyLargeBodies
from generations.bucket.errors import StorageError
from seedance_service import request_id
from seedance_service.docs.advice import Advice
from seedance_service.docs.error_advice import ADVICE
from seedance_service.errors import problems, responses, statuses
from seedance_service.errors.problems import Problem
from tenants.api.base import LengthRequired
from tenants.errors import Refusal

EXAMPLE_REQUEST_ID = "req_5f0c2b9e7d1a4c3e8b6f9a0d1c2e3f40"
# One example of each kind of exception that is not a Refusal.
OTHER_EXCEPTIONS: tuple[Exception, ...] = (
    ValidationError({"resolution": ["This must be one of 480p, 720p, 1080p."]}, "invalid_choice"),
    ParseError("The body is not a JSON object."),
    UnsupportedMediaType("text/plain"),
    NotAcceptable(),
    MethodNotAllowed("PUT"),
    BodyTooLarge(),
    LengthRequired(),
    OperationalError(),
    TooManyLargeBodies(),
    StorageError(),
)


class Code(NamedTuple):
    """An error code with its page's texts."""

    name: str
    means: str
    advice: Advice
    problem: Problem | None  # None: the code is only ever the `error.code` of a generation


@functools.cache
def all_codes() -> dict[str, Code]:
    """Return every code that a caller can meet: answers by HTTP status, then codes of failed generations only."""
    answers = {problem.code: (problem, sentence) for problem, sentence in _answers()}
    ordered = sorted(answers, key=lambda name: answers[name][0].status)
    nothing = (None, "")
    names = [*ordered, *(name for name in ADVICE if name not in answers)]
    return {name: _code(name, *answers.get(name, nothing)) for name in names if name in ADVICE}


def _answers() -> Iterator[tuple[Problem, str]]:
    """Yield every problem that the API answers with, and the docstring of its class."""
    for name in statuses.PLAIN:  # first: where a code comes twice, the framework's own replaces this one
        yield problems.plain(name), ""
    for error in OTHER_EXCEPTIONS:
        yield _problem(error), ""
    for kind in statuses.TABLE:
        if issubclass(kind, Refusal) and kind.code in ADVICE:
            yield _problem(kind(**ADVICE[kind.code].facts)), " ".join((kind.__doc__ or "").split())


def _problem(error: Exception) -> Problem:
    problem = problems.from_exception(error)
    assert problem is not None
    return problem


def _code(name: str, problem: Problem | None, sentence: str) -> Code:
    advice = ADVICE[name]
    return Code(name, advice.means or re.sub(r"\{(\w+)\}", r"*\1*", sentence), advice, problem)


def page(code: Code) -> str:
    """Return the page about a code in Markdown."""
    head = [f"# {problems.title(code.name)}", code.means, f"The code is `{code.name}`."]
    where = "\n".join(["| where | HTTP status | there |", "|---|---|---|", *_where(code)])
    return "\n\n".join([*head, where, "## What to do", code.advice.does, "## Example", *_examples(code)]) + "\n"


def _where(code: Code) -> Iterator[str]:
    if code.problem and "/v1/" in code.advice.apis:
        yield f"| `/v1/` | {code.problem.status} | `code` is `{code.name}` |"
    if code.problem and "/v3/" in code.advice.apis:
        yield f"| `/v3/` | {code.problem.wire_status} | `reason` is `{code.problem.wire_reason}` |"
    if code.advice.message:
        yield f"| a failed generation | 200 | `error.code` is `{code.name}`; `/v3/` has its sentence in `task.reason` |"


def _examples(code: Code) -> Iterator[str]:
    for api, body in bodies(code).items():
        yield from (f"Under `{api}`:", _json(body))
    if code.advice.message:
        yield from ("In a failed generation:", _json({"status": "failed", "error": _error(code)}))


def bodies(code: Code) -> dict[str, dict[str, Any]]:
    """Return an example body of the code for each API that answers with it, by path prefix."""
    if code.problem is None:
        return {}
    with request_id.answering(EXAMPLE_REQUEST_ID):
        every = {"/v1/": responses.details(code.problem), "/v3/": responses.envelope(code.problem)}
    return {api: every[api] for api in code.advice.apis}


def _error(code: Code) -> dict[str, str]:
    detail = code.problem.fields[0]["detail"] if code.problem and code.problem.fields else ""
    return {"code": code.name, "message": code.advice.message.format(detail)}


def _json(body: dict[str, Any]) -> str:
    return f"```json\n{msgspec.json.format(msgspec.json.encode(body), indent=2).decode()}\n```"


def index() -> str:
    """Return two tables of all codes in Markdown: answers and failed generations."""
    answers = ["| code | `/v1/` | `/v3/` | what it means |", "|---|---|---|---|", *map(_row, all_codes().values())]
    failed = [f"| {_link(code)} | {code.means} |" for code in all_codes().values() if code.advice.message]
    failed = ["| code | what it means |", "|---|---|", *failed]
    return "\n".join(["## Answers", "", *filter(None, answers), "", "## Failed generations", "", *failed, ""])


def _row(code: Code) -> str:
    problem = code.problem
    if problem is None or not code.advice.apis:
        return ""
    wire = f"{problem.wire_status} `{problem.wire_reason}`" if "/v3/" in code.advice.apis else ""
    return f"| {_link(code)} | {problem.status} | {wire} | {code.means} |"


def _link(code: Code) -> str:
    return f"[`{code.name}`](/docs/errors/{code.name})"
