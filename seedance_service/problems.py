"""Every error as the caller's format wants it: problem details (RFC 9457), or Novita's envelope under /v3/.

The HTTP numbers of all errors stand in the one table here.
"""

import logging
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.exceptions import APIException, UnsupportedMediaType, ValidationError
from rest_framework.response import Response

from generations import errors
from tenants import ratelimit
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
from tenants.views import render as render_limit

log = logging.getLogger(__name__)


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
    errors.StorageTrouble: Row(503, 503, "CREATE_TASK_FAILED"),
    OperationalError: Row(503, 503, "CREATE_TASK_FAILED"),
}
# The framework's own refusals: no parser for the content type, a method that is not there, a body that is no JSON …
WIRE_REASONS = {404: "API_NOT_FOUND", 503: "CREATE_TASK_FAILED"}
JSON_WANTED = "A body is application/json in UTF-8, and not encoded further."  # without an echo of what was sent
RETRY_LATER = 5  # seconds, where our side has trouble


class Problem(NamedTuple):
    status: int
    code: str
    detail: str
    wire_status: int
    wire_reason: str
    fields: list[dict[str, str]]
    headers: dict[str, str]
    limit: dict[str, Any] = {}  # which one, where one refused it


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's exception handler. None lets an unknown error go on to the 500 handler."""
    problem = _problem(error)
    if problem is None:
        return None
    if getattr(context["view"], "error_format", "") == "novita":
        body, status, kind = envelope(problem), problem.wire_status, "application/json"
    else:
        body, status, kind = details(problem), problem.status, "application/problem+json"
    return Response(body, status=status, content_type=kind, headers=problem.headers)


def _problem(error: Exception) -> Problem | None:
    match error:
        case Refusal():
            return _refusal(error)
        case errors.StorageTrouble():
            log.error("S3 is in trouble: %s", error)
            sentence = "The storage does not answer; nothing was created. Try again."
            return _of(TABLE[errors.StorageTrouble], "storage_unavailable", sentence, retry_after=RETRY_LATER)
        case OperationalError() | InterfaceError():
            log.error("the database is in trouble: %s", type(error).__name__)
            sentence = "The database does not answer. Try again."
            return _of(TABLE[OperationalError], "database_unavailable", sentence, retry_after=RETRY_LATER)
        case ValidationError():
            return _invalid(error)
        case APIException():
            status = error.status_code
            reason = WIRE_REASONS.get(status, "INVALID_REQUEST_BODY")
            detail = JSON_WANTED if isinstance(error, UnsupportedMediaType) else str(error.detail)
            wait = getattr(error, "wait", None)
            return _of(Row(status, status, reason), str(error.default_code), detail, retry_after=wait)
    return None


def _refusal(error: Refusal) -> Problem:
    fields, sentence = [], str(error)
    if isinstance(error, errors.BadImage):
        fields, sentence = [_field(error.field, sentence, error.code)], f"{error.field}: {sentence}"
    resets_at = error.facts.get("resets_at")
    wait = max(1, int((resets_at - timezone.now()).total_seconds()) + 1) if resets_at else None
    if isinstance(error, LimitReached) and wait is None:
        wait = RETRY_LATER
    wait = error.facts.get("retry_after", wait)
    problem = _of(TABLE[type(error)], error.code, sentence, fields=fields, retry_after=wait)
    if problem.status == 401:
        problem.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, LimitReached) and "standing" in error.facts:
        standing = error.facts["standing"]
        problem.headers.update(ratelimit.headers([standing], timezone.now()))
        return problem._replace(limit={**render_limit(standing), "wanted": error.facts["wanted"]})
    return problem


def _invalid(error: ValidationError) -> Problem:
    found: Any = error.get_full_details()
    fields = [
        _field(name, str(item["message"]), str(item["code"]))
        for name, items in (found.items() if isinstance(found, dict) else [])
        for item in items
    ]
    sentence = " ".join(f"{field['field']}: {field['detail']}" for field in fields)
    return _of(Row(400, 400, "INVALID_REQUEST_BODY"), "invalid_request", sentence, fields=fields)


def _field(name: str, detail: str, code: str) -> dict[str, str]:
    return {"field": name, "detail": detail, "code": code}


def _of(
    row: Row, code: str, detail: str, *, fields: list[dict[str, str]] | None = None, retry_after: int | None = None
) -> Problem:
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return Problem(row.status, code, detail, row.wire_status, row.wire_reason, fields or [], headers)


def details(problem: Problem) -> dict[str, Any]:
    """The body of application/problem+json."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.code.replace("_", " ").capitalize(),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
    }
    return {
        **body,
        **({"errors": problem.fields} if problem.fields else {}),
        **({"limit": problem.limit} if problem.limit else {}),
    }


def envelope(problem: Problem) -> dict[str, Any]:
    """Novita's error body."""
    return {
        "code": problem.wire_status,
        "reason": problem.wire_reason,
        "message": problem.detail,
        "metadata": {
            **{field["field"]: field["detail"] for field in problem.fields},
            **{name: str(value) for name, value in problem.limit.items()},
        },
    }


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler404, for paths that no view has."""
    row = Row(404, 404, "API_NOT_FOUND")
    return _plain(request, _of(row, "not_found", "There is nothing at this address."))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler400: a host that is not ours, too many parameters."""
    row = Row(400, 400, "INVALID_REQUEST_BODY")
    return _plain(request, _of(row, "bad_request", "The request is not one that can be answered."))


def body_too_large(request: HttpRequest) -> HttpResponseBase:
    row = Row(413, 413, "INVALID_REQUEST_BODY")
    return _plain(request, _of(row, "body_too_large", "The body has more bytes than this address takes."))


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Django's handler500; the error itself is in the log."""
    row = Row(500, 500, "INTERNAL_ERROR")
    return _plain(request, _of(row, "internal_error", "The service failed. It has written down why."))


def _plain(request: HttpRequest, problem: Problem) -> HttpResponseBase:
    if request.path.startswith("/admin/"):
        return HttpResponse(problem.detail, status=problem.status, content_type="text/plain")
    if request.path.startswith("/v3/"):
        return JsonResponse(envelope(problem), status=problem.wire_status)
    return JsonResponse(details(problem), status=problem.status, content_type="application/problem+json")
