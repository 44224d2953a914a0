"""Answers to requests that no view answers: Django's handler400, handler404 and handler500, and our middlewares'."""

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import NotAcceptable

from seedance_service.errors import problems, responses


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
    problem = problems.from_exception(NotAcceptable())
    assert problem is not None
    return responses.render(problem, is_novita=False)


def _answer(request: HttpRequest, code: str) -> HttpResponse:
    problem = problems.plain(code)
    if request.path_info.startswith("/admin/"):
        return HttpResponse(problem.detail, status=problem.status, content_type="text/plain")
    return responses.render(problem, is_novita=request.path_info.startswith("/v3/"))
