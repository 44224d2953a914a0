"""The base of every view of the API: a key with the right scope, a body with a length, an answer in JSON.

The views are REST framework's. Whatever is the same for each request of a view is made once: the authenticator, the
parsers and the headers of answers.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, NoReturn, cast

import msgspec
from django.http import HttpResponse
from rest_framework.exceptions import APIException, NotAcceptable
from rest_framework.request import Request
from rest_framework.views import APIView

from tenants.api import negotiation
from tenants.errors import ScopeMissing
from tenants.models import ApiKey

JSON = "application/json"


class LengthRequired(APIException):
    """The error of a body without a Content-Length."""

    status_code = 411
    default_code = "length_required"
    default_detail = "A body needs a Content-Length; a chunked one is not read."


def respond(
    body: Any = None, status: int = 200, headers: Mapping[str, str] | None = None, content_type: str = JSON
) -> HttpResponse:
    """Return a response with the body as JSON, or without a body for None: then only `headers` have a Content-Type."""
    if body is None:
        response = HttpResponse(status=status, headers=headers)
        if "Content-Type" not in (headers or {}):
            del response.headers["Content-Type"]
        return response
    return HttpResponse(msgspec.json.encode(body), content_type=content_type, status=status, headers=headers)


class ApiView(APIView):
    """A view whose methods return an HttpResponse, usually by `respond`.

    `scopes` names the scope that a key needs for each method. `media_types` lists the types in which the view can
    answer, the preferred type first. `permission_classes` and `throttle_classes` work as in REST framework.
    """

    scopes: Mapping[str, ApiKey.Scope] = {
        "GET": ApiKey.Scope.READ,
        "POST": ApiKey.Scope.WRITE,
        "DELETE": ApiKey.Scope.WRITE,
    }
    media_types: ClassVar[tuple[str, ...]] = (JSON,)

    http_method_names = ["get", "head", "post", "patch", "delete"]  # without OPTIONS, which has nothing to say here

    def __init_subclass__(cls, **options: Any) -> None:
        """Answer HEAD as GET: Django would bind the method to each view object, which would then refer to itself."""
        super().__init_subclass__(**options)
        view: Any = cls
        if hasattr(view, "get"):
            view.head = view.get

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().dispatch(request, *args, **kwargs)
        finally:
            # The context makes the view and its request refer to each other. Both would stay in memory, with the
            # body, until the garbage collector comes.
            self.request.parser_context.clear()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        request.accepted_media_type = self.choose_media_type(request)
        self.perform_authentication(request)
        self.check_permissions(request)
        self.check_throttles(request)
        meta, method = request.META, request.method or ""
        # WSGI has no end of a chunked body: a chunked body would look empty.
        if meta.get("HTTP_TRANSFER_ENCODING") and not meta.get("CONTENT_LENGTH"):
            raise LengthRequired
        scope = self.scopes.get("GET" if method == "HEAD" else method)
        if scope and scope not in key_of(request).scopes:
            raise ScopeMissing(scope=scope.value)

    def perform_authentication(self, request: Any) -> None:
        """Authenticate now. REST framework would search for the authenticator at the first use of `user`."""
        [request._authenticator] = request.authenticators
        request.user, request.auth = request._authenticator.authenticate(request)
        if request.auth:  # slow bodies of one tenant take no place of another's
            request.META["wsgi.input"].caller = request.auth.tenant_id  # seedance_service.http.request_body.RequestBody

    def choose_media_type(self, request: Request) -> str:
        """Return the media type that the caller prefers, out of `media_types`. Raise NotAcceptable."""
        chosen = negotiation.choose(request.META.get("HTTP_ACCEPT", "*/*"), self.media_types)
        if chosen is None:
            raise NotAcceptable
        return chosen

    def get_authenticators(self) -> list[Any]:
        return _instances(tuple(self.authentication_classes))

    def get_parsers(self) -> list[Any]:
        return _instances(tuple(self.parser_classes))

    @property
    def default_response_headers(self) -> dict[str, str]:
        view: Any = type(self)
        return _response_headers(view)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        for name, value in self.headers.items():
            response.headers.setdefault(name, value)
        return response

    def raise_uncaught_exception(self, exc: Exception) -> NoReturn:
        raise exc


@cache
def _instances(classes: tuple[type, ...]) -> list[Any]:
    """Return one instance of each class for all requests: neither authenticators nor parsers have a state."""
    return [kind() for kind in classes]


@cache
def _response_headers(view: type[ApiView]) -> dict[str, str]:
    """Return the headers that each answer of the view has."""
    methods = [name.upper() for name in view.http_method_names if hasattr(view, name)]
    vary = {"Vary": "Accept"} if len(view.media_types) > 1 else {}
    # No cache may store these answers: they hold signed URLs and a tenant's own data.
    return {"Allow": ", ".join(methods), **vary, "Cache-Control": "private, no-store"}


def key_of(request: Request) -> ApiKey:
    """Return the key that KeyAuthentication found."""
    return cast(ApiKey, request.auth)
