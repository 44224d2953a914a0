"""The body of a request: bounded while it is received, and released from memory as soon as the request is answered."""

import io
import time
from typing import Any

from seedance_service.http import stalled_connections
from seedance_service.http.body_places import RETRY_AFTER_SECONDS, BodyPlaces, places
from tenants.errors import BodyTooSlow


class RequestBody:
    """Pass on reads to the server's stream until the body is released.

    The server keeps what it has read, and the framework's objects, which hold each other, would keep the server's
    stream until the garbage collector comes. The body holds a place from its first read until it has arrived.
    """

    def __init__(self, stream: Any, stated_length: str, body_places: BodyPlaces = places) -> None:
        self._stream, self._places = stream, body_places
        # Django reads as many bytes, and none where the length is no number.
        self._left = int(stated_length) if stated_length.isdecimal() and len(stated_length) < 20 else 0
        self._began = 0.0  # when the place was taken, by the monotonic clock
        self.caller = ""  # whose share of the places the body takes: a tenant's, or that of all without a key

    def read(self, size: int = -1) -> bytes:
        """Return that many bytes, or fewer where the stream ends.

        Raise TooManyBodies before the first byte, and BodyTooSlow where the stream ended because the caller was slow.
        """
        if not self._left:
            return bytes(self._stream.read(size))
        if not self._began:
            self._places.take(self, self.caller)
            self._began = time.monotonic()
        content = bytes(self._stream.read(size))
        left = self._left - len(content)
        has_ended_early = left > 0 and len(content) < size
        if has_ended_early or left <= 0:
            self._give_back()
        else:
            self._left = left
        if has_ended_early and time.monotonic() - self._began >= stalled_connections.limits.patience_seconds:
            raise BodyTooSlow(retry_after=RETRY_AFTER_SECONDS)
        return content

    def readline(self, size: int = -1) -> bytes:
        """Raise UnsupportedOperation: Django wants the method, but no code reads lines, which would need a place."""
        raise io.UnsupportedOperation("A body is not read by lines.")

    def release_body(self) -> None:
        """Let the server free the body. Later reads return nothing."""
        self._stream = io.BytesIO()
        self._give_back()

    def _give_back(self) -> None:
        if self._left and self._began:
            self._places.give_back(self)
        self._left = 0
