"""The limit of large bodies that a web process reads at once: checking a body takes several times its size."""

from typing import Any

from django.conf import settings
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from generations.api.json_codec import stated_length
from generations.budget import Budget
from tenants.api.base import ApiView

LARGE_BODY_BYTES = 4 * 1024**2  # smaller bodies are frequent, and are read quickly
RETRY_AFTER_SECONDS = 5  # an image of 30 MB is checked and stored within them

# The units of the budget that a body takes. The images of a form lie on the disk while they are checked, and the server
# keeps what it has read of them: a quarter of the memory that an image in JSON takes.
JSON_UNITS, FORM_UNITS = 4, 1


_budget = Budget(settings.LARGE_BODIES * JSON_UNITS)


class TooManyLargeBodies(APIException):
    """The error of a large body for which the budget has too little left."""

    status_code = 503
    default_code = "too_many_large_bodies"
    default_detail = "Too many large bodies are being read at this moment. Try again later."
    wait = RETRY_AFTER_SECONDS


class LargeBodies(ApiView):
    """A view that refuses a large body before it is read while LARGE_BODIES of them are being read."""

    _reserved = 0  # units of the budget

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().dispatch(request, *args, **kwargs)
        finally:
            _budget.release(self._reserved)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # first: a caller without a key takes nothing of the budget
        if stated_length(request) <= LARGE_BODY_BYTES:
            return
        units = FORM_UNITS if request.content_type.lower().startswith("multipart/") else JSON_UNITS
        if not _budget.reserve(units):
            raise TooManyLargeBodies
        self._reserved = units

    def release_body(self, request: Request) -> None:
        """Free the body and its units of the budget, before the caller waits for the generation to end."""
        request.META["wsgi.input"].release_body()  # seedance_service.http.request_body.RequestBody
        reserved, self._reserved = self._reserved, 0
        _budget.release(reserved)
