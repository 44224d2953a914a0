"""Every error as the caller's format wants it: problem details (RFC 9457), or Novita's envelope under /v3/.

The HTTP numbers of all errors stand in the one table here; codes.py makes a page of each.
"""

from typing import Any, NamedTuple

import structlog
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.exceptions import APIException, UnsupportedMediaType, ValidationError

from generations import errors
from seedance_service import request_id
from seedance_service.errors import field_errors
from tenants.api.base import respond
from tenants.api.limits import render as render_limit
from tenants.errors import (
    BudgetReached,
    InvalidKey,
    LimitReached,
    NoSandbox,
    NotPossible,
    Refusal,
    ScopeMissing,
    TenantSuspended,
    TooManyFailures,
)
from tenants.limits import ratelimit_headers

log = structlog.stdlib.get_logger(__name__)


class Row(NamedTuple):
    status: int
    wire_status: int  # on Novita's wire
    wire_reason: str  # the page's word for it


TABLE: dict[type[Exception], Row] = {
    InvalidKey: Row(401, 403, "INVALID_API_KEY"),
    ScopeMissing: Row(403, 403, "API_NOT_ALLOWED"),
    TooManyFailures: Row(429, 429, "RATE_LIMIT_EXCEEDED"),
    TenantSuspended: Row(403, 403, "API_NOT_ALLOWED"),
    NoSandbox: Row(503, 503, "CREATE_TASK_FAILED"),
    NotPossible: Row(409, 409, "INVALID_REQUEST_BODY"),
    LimitReached: Row(429, 429, "RATE_LIMIT_EXCEEDED"),
    BudgetReached: Row(402, 400, "BILLING_BALANCE_NOT_ENOUGH"),
    errors.GenerationNotFound: Row(404, 404, "TASK_NOT_FOUND"),
    errors.WebhookEndpointNotFound: Row(404, 404, "INVALID_REQUEST_BODY"),
    errors.DeliveryNotFound: Row(404, 404, "INVALID_REQUEST_BODY"),
    errors.InputsGone: Row(409, 409, "INVALID_REQUEST_BODY"),
    errors.VideoNotReady: Row(409, 409, "INVALID_REQUEST_BODY"),
    errors.NoVideo: Row(409, 409, "INVALID_REQUEST_BODY"),
    errors.VideoDeleted: Row(410, 410, "INVALID_REQUEST_BODY"),
    errors.BadImage: Row(400, 400, "INVALID_IMAGE_FORMAT"),
    errors.ImageUnreadable: Row(400, 400, "INVALID_IMAGE_FORMAT"),
    errors.ImageTooManyBytes: Row(400, 400, "IMAGE_FILE_EXCEEDS_MAX_SIZE"),
    errors.ImageFormatUnknown: Row(400, 400, "INVALID_IMAGE_FORMAT"),
    errors.ImageIncomplete: Row(400, 400, "INVALID_IMAGE_FORMAT"),
    errors.ImageTooLarge: Row(400, 400, "IMAGE_EXCEEDS_MAX_RESOLUTION"),
    errors.ImageTooSmall: Row(400, 400, "INVALID_IMAGE_SIZE"),
    errors.ImageAspectOutOfRange: Row(400, 400, "INVALID_IMAGE_SIZE"),
    errors.ImageUrlRefused: Row(400, 400, "INVALID_REQUEST_BODY"),
    errors.ImageUnreachable: Row(400, 400, "INVALID_REQUEST_BODY"),
    errors.IdempotencyKeyReused: Row(422, 422, "INVALID_REQUEST_BODY"),
    errors.StorageError: Row(503, 503, "CREATE_TASK_FAILED"),
    OperationalError: Row(503, 503, "CREATE_TASK_FAILED"),
}
# The framework's own refusals: no parser for the content type, a method that is not there, a permission or throttle …
WIRE_REASONS = {
    403: "API_NOT_ALLOWED",
    404: "API_NOT_FOUND",
    429: "RATE_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "CREATE_TASK_FAILED",
}
# Without an echo of what was sent.
JSON_WANTED = (
    "A body is application/json in UTF-8 or, for a create under /v1/, multipart/form-data; not encoded further."
)
RETRY_LATER = 5  # seconds, where our side has trouble
# What no class stands for: Django's own handlers, and middlewares, answer so.
PLAIN = {
    "bad_request": (400, "The request is not one that can be answered."),
    "not_found": (404, "There is nothing at this address."),
    "method_not_allowed": (405, "This address is only read."),
    "body_too_large": (413, "The body has more bytes than this address takes."),
    "internal_error": (500, "The service failed. It has written down why."),
}
WORDS = {"api": "API", "url": "URL", "base64": "Base64"}  # in a title


class Problem(NamedTuple):
    status: int
    code: str
    detail: str
    wire_status: int
    wire_reason: str
    fields: list[field_errors.Fault]
    headers: dict[str, str]
    limit: dict[str, Any] = {}  # which one, where one refused it


def handle(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """REST framework's exception handler. None lets an unknown error go on to the 500 handler."""
    problem = of(error)
    if problem is None:
        return None
    _log_trouble(error)
    return _render(problem, is_novita=getattr(context["view"], "error_format", "") == "novita")


def _render(problem: Problem, *, is_novita: bool) -> HttpResponse:
    """Return the problem in its format, whatever the view renders and the caller accepts."""
    if is_novita:
        return respond(envelope(problem), problem.wire_status, problem.headers)
    return respond(details(problem), problem.status, problem.headers, "application/problem+json")


def _log_trouble(error: Exception) -> None:
    match error:
        case errors.StorageError():
            log.error("S3 is in trouble", error=str(error))
        case OperationalError() | InterfaceError():
            log.error("the database is in trouble", error=type(error).__name__)


def of(error: Exception) -> Problem | None:
    """None: nobody expected it."""
    match error:
        case LimitReached():
            return _limit_reached(error)
        case Refusal():
            return _refusal(error)
        case errors.StorageError():
            sentence = "The storage does not answer; nothing was created. Try again."
            return _of(TABLE[errors.StorageError], "storage_unavailable", sentence, retry_after=RETRY_LATER)
        case OperationalError() | InterfaceError():
            sentence = "The database does not answer. Try again."
            return _of(TABLE[OperationalError], "database_unavailable", sentence, retry_after=RETRY_LATER)
        case ValidationError():
            fields = field_errors.of(error)
            return _of(_row(error.status_code), "invalid_request", field_errors.sentence(fields), fields=fields)
        case APIException():
            detail = JSON_WANTED if isinstance(error, UnsupportedMediaType) else str(error.detail)
            wait = getattr(error, "wait", None)
            return _of(_row(error.status_code), str(error.default_code), detail, retry_after=wait)
    return None


def plain(code: str) -> Problem:
    status, sentence = PLAIN[code]
    return _of(_row(status), code, sentence)


def _row(status: int) -> Row:
    return Row(status, status, WIRE_REASONS.get(status, "INVALID_REQUEST_BODY"))


def _refusal(error: Refusal) -> Problem:
    fields, sentence, wait = [], str(error), error.facts.get("retry_after")
    if isinstance(error, errors.BadImage):
        fields, sentence = [field_errors.fault(error.field, sentence, error.code)], f"{error.field}: {sentence}"
    problem = _of(TABLE[type(error)], error.code, sentence, fields=fields, retry_after=wait)
    if problem.status == 401:
        problem.headers["WWW-Authenticate"] = "Bearer"
    return problem


def _limit_reached(error: LimitReached) -> Problem:
    standing, now = error.facts["standing"], timezone.now()
    wait = max(1, int((standing.resets_at - now).total_seconds()) + 1) if standing.resets_at else RETRY_LATER
    problem = _of(TABLE[type(error)], error.code, str(error), retry_after=wait)
    problem.headers.update(ratelimit_headers.headers([standing], now))
    return problem._replace(limit={**render_limit(standing), "wanted": error.facts["wanted"]})


def _of(
    row: Row, code: str, detail: str, *, fields: list[field_errors.Fault] | None = None, retry_after: int | None = None
) -> Problem:
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return Problem(row.status, code, detail, row.wire_status, row.wire_reason, fields or [], headers)


def details(problem: Problem) -> dict[str, Any]:
    """The body of application/problem+json."""
    body: dict[str, Any] = {
        "type": f"/docs/errors/{problem.code}",
        "title": title(problem.code),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
    }
    more = {"request_id": request_id.current(), "errors": problem.fields, "limit": problem.limit}
    return {**body, **{name: value for name, value in more.items() if value}}


def title(code: str) -> str:
    first, *others = (WORDS.get(word, word) for word in code.split("_"))
    return " ".join([first[0].upper() + first[1:], *others])


def envelope(problem: Problem) -> dict[str, Any]:
    """Novita's error body."""
    current = request_id.current()
    return {
        "code": problem.wire_status,
        "reason": problem.wire_reason,
        "message": problem.detail,
        "metadata": {
            **{field["field"]: field["detail"] for field in problem.fields if field["field"]},
            **{name: str(value) for name, value in problem.limit.items()},
            **({"request_id": current} if current else {}),
        },
    }


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404, for paths that no view has."""
    return _answer(request, plain("not_found"))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: a host that is not ours, too many parameters."""
    return _answer(request, plain("bad_request"))


def body_too_large(request: HttpRequest) -> HttpResponse:
    return _answer(request, plain("body_too_large"))


def only_read(request: HttpRequest) -> HttpResponse:
    answer = _answer(request, plain("method_not_allowed"))
    answer.headers["Allow"] = "GET, HEAD"
    return answer


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500; the error itself is in the log."""
    return _answer(request, plain("internal_error"))


def _answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    if request.path_info.startswith("/admin/"):
        return HttpResponse(problem.detail, status=problem.status, content_type="text/plain")
    return _render(problem, is_novita=request.path_info.startswith("/v3/"))
