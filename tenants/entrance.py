"""What every view of the API shares: a key with the right scope, and a body with a length."""

from collections.abc import Mapping
from typing import Any, cast

from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.views import APIView

from tenants.errors import ScopeMissing
from tenants.models import ApiKey


class LengthRequired(APIException):
    status_code = 411
    default_code = "length_required"
    default_detail = "A body needs a Content-Length; a chunked one is not read."


class View(APIView):
    """`scopes`: what a key must be allowed, by method."""

    scopes: Mapping[str, ApiKey.Scope] = {
        "GET": ApiKey.Scope.READ,
        "POST": ApiKey.Scope.WRITE,
        "DELETE": ApiKey.Scope.WRITE,
    }

    http_method_names = ["get", "head", "post", "patch", "delete"]  # `Allow` names no OPTIONS, which tells nothing here

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # WSGI has no end of a chunked body: it would look like an empty one.
        if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
            raise LengthRequired
        method = "GET" if request.method == "HEAD" else request.method or ""
        scope = self.scopes.get(method)
        if scope and scope not in key_of(request).scopes:
            raise ScopeMissing(scope=scope.value)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        final = super().finalize_response(request, response, *args, **kwargs)
        final.headers.setdefault("Cache-Control", "private, no-store")  # signed URLs, and one tenant's own affairs
        return final


def key_of(request: Request) -> ApiKey:
    """The key that KeyAuthentication found."""
    return cast(ApiKey, request.auth)
