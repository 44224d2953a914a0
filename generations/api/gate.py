"""How many large bodies one web process reads at once: each takes several times its size while it is checked."""

import threading
from typing import Any

from django.conf import settings
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from generations.api.serializers import NovitaCreate
from generations.api.wire import stated_length
from generations.intake import Wanted
from tenants.entrance import View

LARGE = 4 * 1024**2  # bytes; smaller ones are many, and are soon done with
RETRY_AFTER = 5  # seconds; a picture of 30 MB is checked and stored within them

_room = threading.BoundedSemaphore(settings.LARGE_BODIES)


class TooManyLargeBodies(APIException):
    status_code = 503
    default_code = "too_many_large_bodies"
    default_detail = "Too many large bodies are being read just now. Try again."
    wait = RETRY_AFTER


class LargeBodies(View):
    """A view whose large bodies wait outside: past LARGE_BODIES at once they are refused before they are read."""

    _inside = False

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().dispatch(request, *args, **kwargs)
        finally:
            if self._inside:
                _room.release()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # first: who has no key takes no room
        if stated_length(request) > LARGE:
            self._inside = _room.acquire(blocking=False)
            if not self._inside:
                raise TooManyLargeBodies

    def wanted(self, request: Request, kind: type[NovitaCreate]) -> Wanted:
        """What the body asks for, checked. The body itself is let go: the framework's objects hold each other, and
        would hold its pictures until the garbage collector comes."""
        body = kind(data=request.data)
        try:
            body.is_valid(raise_exception=True)
            return body.wanted()
        finally:
            if request.data:  # without a body it may be a form's, which lets nothing be cleared
                request.data.clear()
            body.validated_data.clear()
