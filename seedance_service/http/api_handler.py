"""The handler of the API: Django's own, with four small middlewares in the place of those that the panel needs.

Sessions, cookies and forms are the panel's alone; their middlewares took longer than a read of one generation.
"""

from collections.abc import Callable
from typing import Any

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

from seedance_service.http.middleware import AllowedHost, BodyLimit, FixedHeaders, RequestContext

# The outermost first.
MIDDLEWARE: tuple[Callable[[Any], Any], ...] = (RequestContext, FixedHeaders, AllowedHost, BodyLimit)


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
