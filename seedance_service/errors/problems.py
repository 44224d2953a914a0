"""Exceptions as problems: what an answer says of an error, before it is written in a caller's format."""

from http import HTTPStatus
from typing import Any, NamedTuple

from django.db import Error, OperationalError
from rest_framework.exceptions import APIException, UnsupportedMediaType, ValidationError

from generations import errors
from generations.bucket.errors import CannotSign, StorageError
from seedance_service.errors import field_errors, statuses
from seedance_service.errors.statuses import Row
from tenants.api.limits import render as render_limit
from tenants.db import clock
from tenants.db.engine import engine
from tenants.errors import BodyTooSlow, LimitReached, Refusal, TooManyBodies
from tenants.limits import ratelimit_headers

# The sentence repeats nothing that was sent.
JSON_REQUIRED = (
    "A body is application/json in UTF-8 or, for a create under /v1/, multipart/form-data; not encoded further."
)
RETRY_AFTER_SECONDS = 5  # where our database or storage fails
OPERATOR_SECONDS = 60  # where an operator has to act first, as for a model without a price
TITLE_WORDS = {"api": "API", "url": "URL", "base64": "Base64"}


class Problem(NamedTuple):
    """An error, ready to be rendered in either format."""

    status: int
    code: str
    detail: str
    wire_status: int
    wire_reason: str
    fields: list[field_errors.FieldError]
    headers: dict[str, str]
    limit: dict[str, Any] = {}  # the limit that refused the request, as GET /v1/limits renders it
    members: dict[str, str | None] = {}  # of the code alone


def from_exception(error: Exception) -> Problem | None:
    """Return the problem of an exception; None for an unexpected one, which is a 500."""
    match error:
        case LimitReached():
            return _limit_reached(error)
        case Refusal():
            return _refusal(error)
        case StorageError():
            sentence = "The storage does not answer; nothing was created. Try again."
            if isinstance(error, CannotSign):  # the generation is there, and so is its video
                sentence = "No URL of the video can be signed at present. Nothing has changed. Try again."
            row = statuses.TABLE[StorageError]
            return _problem(row, "storage_unavailable", sentence, retry_after=RETRY_AFTER_SECONDS)
        case Error() if engine.is_outage(error):
            sentence = "The database does not answer. Try again."
            row = statuses.TABLE[OperationalError]
            return _problem(row, "database_unavailable", sentence, retry_after=RETRY_AFTER_SECONDS)
        case ValidationError():
            fields = field_errors.from_validation(error)
            row = statuses.for_status(error.status_code)
            return _problem(row, "invalid_request", field_errors.join(fields), fields=fields)
        case APIException():
            detail = JSON_REQUIRED if isinstance(error, UnsupportedMediaType) else str(error.detail)
            wait = getattr(error, "wait", None)
            row = statuses.for_status(error.status_code)
            return _problem(row, str(error.default_code), detail, retry_after=wait)
    return None


def plain(code: str) -> Problem:
    """Return the problem of a code of `statuses.PLAIN`, which no exception of ours stands for."""
    status, sentence = statuses.PLAIN[code]
    return _problem(statuses.for_status(status), code, sentence)


def title(code: str) -> str:
    """Return an error code as a title: `invalid_api_key` is "Invalid API key"."""
    first, *others = (TITLE_WORDS.get(word, word) for word in code.split("_"))
    return " ".join([first[0].upper() + first[1:], *others])


def _refusal(error: Refusal) -> Problem:
    fields, sentence, wait = [], str(error), error.facts.get("retry_after")
    if isinstance(error, errors.BadImage):
        fields, sentence = [field_errors.field_error(error.field, sentence, error.code)], f"{error.field}: {sentence}"
    problem = _problem(statuses.TABLE[type(error)], error.code, sentence, fields=fields, retry_after=wait)
    if problem.status == 401:
        problem.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyBodies | BodyTooSlow):
        problem.headers["Connection"] = "close"  # the rest of the body is not received
    if isinstance(error, errors.ModelRetired):
        return problem._replace(members={"replacement": error.facts["replacement"]})
    return problem


def _limit_reached(error: LimitReached) -> Problem:
    usage, now = error.facts["usage"], clock.now()
    wait = max(1, int((usage.resets_at - now).total_seconds()) + 1) if usage.resets_at else RETRY_AFTER_SECONDS
    problem = _problem(statuses.TABLE[type(error)], error.code, str(error), retry_after=wait)
    problem.headers.update(ratelimit_headers.render([usage], now))
    return problem._replace(limit={**render_limit(usage), "wanted": error.facts["required"]})


def _problem(
    row: Row,
    code: str,
    detail: str,
    *,
    fields: list[field_errors.FieldError] | None = None,
    retry_after: int | None = None,
) -> Problem:
    if retry_after is None and row.status == HTTPStatus.SERVICE_UNAVAILABLE:
        retry_after = OPERATOR_SECONDS
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return Problem(row.status, code, detail, row.wire_status, row.wire_reason, fields or [], headers)
