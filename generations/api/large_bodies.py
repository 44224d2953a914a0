"""How many large bodies one web process reads at once: each takes several times its size while it is checked."""

import threading
from typing import Any

from django.conf import settings
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from generations.api.json_codec import stated_length
from tenants.api.base import ApiView

LARGE = 4 * 1024**2  # bytes; smaller ones are many, and are soon done with
RETRY_AFTER = 5  # seconds; a picture of 30 MB is checked and stored within them

# A form's pictures lie on the disk while they are checked, and the server keeps what it has read of them: a quarter of
# what the JSON of a picture takes.
IN_JSON, IN_A_FORM = 4, 1


class Room:
    """What is left of it, for all threads of the process."""

    def __init__(self, size: int) -> None:
        self._left, self._lock = size, threading.Lock()

    def take(self, part: int) -> bool:
        with self._lock:
            if self._left < part:
                return False
            self._left -= part
            return True

    def give(self, part: int) -> None:
        with self._lock:
            self._left += part


_room = Room(settings.LARGE_BODIES * IN_JSON)


class TooManyLargeBodies(APIException):
    status_code = 503
    default_code = "too_many_large_bodies"
    default_detail = "Too many large bodies are being read just now. Try again."
    wait = RETRY_AFTER


class LargeBodies(ApiView):
    """A view whose large bodies wait outside: past LARGE_BODIES at once they are refused before they are read."""

    _taken = 0  # of the room

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().dispatch(request, *args, **kwargs)
        finally:
            _room.give(self._taken)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # first: who has no key takes no room
        if stated_length(request) <= LARGE:
            return
        part = IN_A_FORM if request.content_type.startswith("multipart/") else IN_JSON
        if not _room.take(part):
            raise TooManyLargeBodies
        self._taken = part

    def release_body(self, request: Request) -> None:
        """Free the body, once it was taken in, and its part of the budget, while the caller waits for an end."""
        request.META["wsgi.input"].release_body()  # seedance_service.http.request_body.RequestBody
        taken, self._taken = self._taken, 0
        _room.give(taken)
