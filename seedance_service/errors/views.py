"""Answers to requests that no view answers: Django's handler400, handler404 and handler500, and our middlewares'."""

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import APIException, NotAcceptable

from seedance_service.errors import problems, responses
from seedance_service.errors.problems import Problem
from tenants.errors import Refusal


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a path that no view has: Django's handler404."""
    return _answer(request, "not_found")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a host that is not ours, or too many parameters: Django's handler400."""
    return _answer(request, "bad_request")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer an unexpected exception, which is in the log: Django's handler500."""
    return _answer(request, "internal_error")


def body_too_large(request: HttpRequest) -> HttpResponse:
    """Answer a body that is larger than the address takes."""
    return _answer(request, "body_too_large")


def method_not_allowed(request: HttpRequest) -> HttpResponse:
    """Answer a method other than GET and HEAD at an address that is only read."""
    answer = _answer(request, "method_not_allowed")
    answer.headers["Allow"] = "GET, HEAD"
    return answer


def not_acceptable(request: HttpRequest) -> HttpResponse:
    """Answer a caller who accepts none of the media types that the address has."""
    return refused(request, NotAcceptable())


def refused(request: HttpRequest, error: APIException | Refusal) -> HttpResponse:
    """Answer a request that a check before its view refuses."""
    problem = problems.from_exception(error)
    assert problem is not None
    return _render(request, problem)


def _answer(request: HttpRequest, code: str) -> HttpResponse:
    return _render(request, problems.plain(code))


def _render(request: HttpRequest, problem: Problem) -> HttpResponse:
    if request.path_info.startswith("/admin/"):
        return HttpResponse(problem.detail, status=problem.status, headers=problem.headers, content_type="text/plain")
    return responses.render(problem, is_novita=request.path_info.startswith("/v3/"))
