"""How many large bodies one web process reads at once: each takes several times its size while it is checked."""

import threading
from typing import Any

from django.conf import settings
from rest_framework.exceptions import APIException
from rest_framework.request import Request

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
        if _is_large(request):
            self._inside = _room.acquire(blocking=False)
            if not self._inside:
                raise TooManyLargeBodies


def _is_large(request: Request) -> bool:
    length = request.META.get("CONTENT_LENGTH") or "0"
    return length.isascii() and length.isdecimal() and int(length) > LARGE
