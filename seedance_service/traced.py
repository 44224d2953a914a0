"""Where traces are on, each call of the API is a span, which goes on with its caller's trace (W3C Trace Context)."""

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from generations import tracing
from seedance_service.request_id import ENTRANCES, current


class Traced:
    """Not there at all where traces are off."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        if not settings.TRACES:
            raise MiddlewareNotUsed
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(ENTRANCES):
            return self._get_response(request)
        parent = request.headers.get("Traceparent", "")
        with tracing.span("call", parent, method=request.method or "", request_id=current()) as span:
            response = self._get_response(request)
            # The route and not the path: no id of a caller's, and few names.
            span.tell(route=getattr(request.resolver_match, "route", ""), status=response.status_code)
        return response
