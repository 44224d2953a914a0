"""Error bodies in the caller's format: problem details (RFC 9457), or Novita's envelope under /v3/."""

from typing import Any

import structlog
from django.db import Error
from django.http import HttpResponse

from generations.bucket.errors import StorageError
from seedance_service import request_id
from seedance_service.errors import problems
from seedance_service.errors.problems import Problem
from tenants.api.base import respond
from tenants.db import refused_writes

log = structlog.stdlib.get_logger(__name__)


def handle(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """Answer an exception of a view: REST framework's EXCEPTION_HANDLER.

    Return None for an unexpected exception, which goes on to Django's handler500.
    """
    problem = problems.from_exception(error)
    if problem is None:
        return None
    _log_outage(error)
    return render(problem, is_novita=getattr(context["view"], "error_format", "") == "novita")


def render(problem: Problem, *, is_novita: bool) -> HttpResponse:
    """Return the answer of a problem in its format, whatever the view renders and the caller accepts."""
    if is_novita:
        return respond(envelope(problem), problem.wire_status, problem.headers)
    return respond(details(problem), problem.status, problem.headers, "application/problem+json")


def _log_outage(error: Exception) -> None:
    match error:
        case StorageError():
            log.error("S3 is in trouble", error=str(error))
        case Error():
            refused_writes.remember(error)
            log.error("the database is in trouble", error=type(error).__name__)


def details(problem: Problem) -> dict[str, Any]:
    """Return the body of application/problem+json (RFC 9457), with our extensions."""
    body: dict[str, Any] = {
        "type": f"/docs/errors/{problem.code}",
        "title": problems.title(problem.code),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
    }
    extensions = {"request_id": request_id.current(), "errors": problem.fields, "limit": problem.limit}
    return {**body, **problem.members, **{name: value for name, value in extensions.items() if value}}


def envelope(problem: Problem) -> dict[str, Any]:
    """Return the body of an error on Novita's wire."""
    current = request_id.current()
    return {
        "code": problem.wire_status,
        "reason": problem.wire_reason,
        "message": problem.detail,
        "metadata": {
            **{field["field"]: field["detail"] for field in problem.fields if field["field"]},
            **{name: str(value) for name, value in problem.limit.items()},
            **{name: value for name, value in problem.members.items() if value},
            **({"request_id": current} if current else {}),
        },
    }
