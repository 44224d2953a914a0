"""The handler of the API: Django's own, with three small middlewares in the place of those that the panel needs.

Sessions, cookies and forms are the panel's alone; their middlewares took longer than a read of one generation.
"""

from collections.abc import Callable
from typing import Any

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest

from seedance_service.http.middleware import BodyLimit, FixedHeaders, RequestContext

# The outermost first.
MIDDLEWARE: tuple[Callable[[Any], Any], ...] = (RequestContext, FixedHeaders, BodyLimit)


class ApiRequest(WSGIRequest):
    urlconf = "seedance_service.urls_api"  # Django resolves the path by it


class ApiHandler(WSGIHandler):
    request_class = ApiRequest

    def load_middleware(self, is_async: bool = False) -> None:
        """Build the chain of MIDDLEWARE, as Django builds the one of the setting."""
        here: Any = self  # these attributes of Django's handlers have no types
        here._view_middleware, here._template_response_middleware, here._exception_middleware = [], [], []
        handler: Any = convert_exception_to_response(here._get_response)
        for middleware in reversed(MIDDLEWARE):
            instance = middleware(handler)
            if hasattr(instance, "process_view"):
                here._view_middleware.insert(0, instance.process_view)
            handler = convert_exception_to_response(instance)
        here._middleware_chain = handler

    def resolve_request(self, request: HttpRequest) -> Any:
        """Resolve the path as Django does. Raises DisallowedHost, a 400, as CommonMiddleware does for the panel."""
        request.get_host()
        return super().resolve_request(request)
