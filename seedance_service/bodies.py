"""How large a body may be where nobody sends a picture: Django reads a form before it knows who sends it."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from generations.api.gate import LargeBodies
from generations.api.wire import stated_length
from seedance_service import problems

MOST = 1024 * 1024  # bytes


class BodyLimit:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        if stated_length(request) <= MOST or issubclass(getattr(view, "cls", object), LargeBodies):
            return None
        return problems.body_too_large(request)
