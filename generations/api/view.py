"""What the views of both entrances share."""

from typing import Any

from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.views import APIView


class LengthRequired(APIException):
    status_code = 411
    default_code = "length_required"
    default_detail = "A body needs a Content-Length; a chunked one is not read."


class View(APIView):
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # WSGI has no end of a chunked body: it would look like an empty one.
        if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
            raise LengthRequired
