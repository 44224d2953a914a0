"""The handler of the API: Django's own, with four small middlewares in the place of those that the panel needs.

Sessions, cookies and forms are the panel's alone; their middlewares took longer than a read of one generation.
"""

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

from seedance_service.http.middleware import AllowedHost, BodyLimit, FixedHeaders, RequestContext

MIDDLEWARE = (RequestContext, FixedHeaders, AllowedHost, BodyLimit)  # the outermost first


class ApiRequest(WSGIRequest):
    urlconf = "seedance_service.urls_api"  # Django resolves the path by it


class ApiHandler(WSGIHandler):
    request_class = ApiRequest

    def load_middleware(self, is_async: bool = False) -> None:
        """Build the chain of MIDDLEWARE, as Django builds that of the setting."""
        handler = convert_exception_to_response(self._get_response)
        self._view_middleware, self._template_response_middleware, self._exception_middleware = [], [], []
        for middleware in reversed(MIDDLEWARE):
            instance = middleware(handler)
            if hasattr(instance, "process_view"):
                self._view_middleware.insert(0, instance.process_view)
            handler = convert_exception_to_response(instance)
        self._middleware_chain = handler
