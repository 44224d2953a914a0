"""A page of each error code, made from what is answered: of each, an example is rendered as the API renders it."""

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
from seedance_service.docs.error_advice import ADVICE, Advice
from seedance_service.errors import problems, responses, statuses
from seedance_service.errors.problems import Problem
from tenants.api.base import LengthRequired
from tenants.errors import Refusal

EXAMPLES_ID = "req_5f0c2b9e7d1a4c3e8b6f9a0d1c2e3f40"
# Of each kind that is no Refusal, one that is answered as the API answers it.
OTHERS: tuple[Exception, ...] = (
    ValidationError({"resolution": ["One of 480p, 720p, 1080p is wanted."]}, "invalid_choice"),
    ParseError("The body is not a JSON object."),
    UnsupportedMediaType("text/plain"),
    NotAcceptable(),
    MethodNotAllowed("PUT"),
    BodyTooLarge(),
    LengthRequired(),
    TooManyLargeBodies(),
    OperationalError(),
    StorageError(),
)


class Code(NamedTuple):
    name: str
    means: str
    advice: Advice
    problem: Problem | None  # none: it is only ever the `error.code` of a generation


@functools.cache
def known() -> dict[str, Code]:
    """Every code that a caller can meet: answers by their HTTP status, then those of generations alone."""
    answers = {problem.code: (problem, sentence) for problem, sentence in _answers()}
    ordered = sorted(answers, key=lambda name: answers[name][0].status)
    nothing = (None, "")
    names = [*ordered, *(name for name in ADVICE if name not in answers)]
    return {name: _code(name, *answers.get(name, nothing)) for name in names if name in ADVICE}


def _answers() -> Iterator[tuple[Problem, str]]:
    """Each with its class's sentence."""
    for name in statuses.PLAIN:  # first: of two alike, the framework's own is the one that callers meet
        yield problems.plain(name), ""
    for error in OTHERS:
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
    """In Markdown."""
    head = [f"# {problems.title(code.name)}", code.means, f"The code is `{code.name}`."]
    where = "\n".join(["| where | HTTP status | there |", "|---|---|---|", *_where(code)])
    return "\n\n".join([*head, where, "## What to do", code.advice.does, "## Example", *_examples(code)]) + "\n"


def _where(code: Code) -> Iterator[str]:
    if code.problem and "/v1/" in code.advice.entrances:
        yield f"| `/v1/` | {code.problem.status} | `code` is `{code.name}` |"
    if code.problem and "/v3/" in code.advice.entrances:
        yield f"| `/v3/` | {code.problem.wire_status} | `reason` is `{code.problem.wire_reason}` |"
    if code.advice.message:
        yield f"| a failed generation | 200 | `error.code` is `{code.name}`; `/v3/` has its sentence in `task.reason` |"


def _examples(code: Code) -> Iterator[str]:
    for entrance, body in bodies(code).items():
        yield from (f"Under `{entrance}`:", _json(body))
    if code.advice.message:
        yield from ("In a failed generation:", _json({"status": "failed", "error": _error(code)}))


def bodies(code: Code) -> dict[str, dict[str, Any]]:
    """Return the body of an answer with the code at each entrance that has it."""
    if code.problem is None:
        return {}
    with request_id.answering(EXAMPLES_ID):
        every = {"/v1/": responses.details(code.problem), "/v3/": responses.envelope(code.problem)}
    return {entrance: every[entrance] for entrance in code.advice.entrances}


def _error(code: Code) -> dict[str, str]:
    told = code.problem.fields[0]["detail"] if code.problem and code.problem.fields else ""
    return {"code": code.name, "message": code.advice.message.format(told)}


def _json(body: dict[str, Any]) -> str:
    return f"```json\n{msgspec.json.format(msgspec.json.encode(body), indent=2).decode()}\n```"


def index() -> str:
    """All of them in two tables, in Markdown."""
    answers = ["| code | `/v1/` | `/v3/` | what it means |", "|---|---|---|---|", *map(_row, known().values())]
    failed = [f"| {_link(code)} | {code.means} |" for code in known().values() if code.advice.message]
    failed = ["| code | what it means |", "|---|---|", *failed]
    return "\n".join(["## Answers", "", *filter(None, answers), "", "## Failed generations", "", *failed, ""])


def _row(code: Code) -> str:
    problem = code.problem
    if problem is None or not code.advice.entrances:
        return ""
    wire = f"{problem.wire_status} `{problem.wire_reason}`" if "/v3/" in code.advice.entrances else ""
    return f"| {_link(code)} | {problem.status} | {wire} | {code.means} |"


def _link(code: Code) -> str:
    return f"[`{code.name}`](/docs/errors/{code.name})"
