"""The body of a request, released from memory as soon as the request is answered."""

import io
from typing import Any


class RequestBody:
    """Pass on reads to the server's stream until the body is released.

    The server keeps what it has read, and the framework's objects, which hold each other, would keep the server's
    stream until the garbage collector comes.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        return bytes(self._stream.read(size))

    def readline(self, size: int = -1) -> bytes:
        return bytes(self._stream.readline(size))

    def release_body(self) -> None:
        """Let the server free the body. Later reads return nothing."""
        self._stream = io.BytesIO()
