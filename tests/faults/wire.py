"""HTTP/1.1 on a socket, as far as the fault proxy needs it: heads, and the ends of bodies."""

import select
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

PIECE = 64 * 1024  # bytes in memory at a time
MAX_SILENCE_SECONDS = 600.0  # of either side
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST and drops what is unsent


class Over(Exception):
    """The connection must end, by RST or by a clean close."""

    def __init__(self, *, reset: bool) -> None:
        self.reset = reset


@dataclass
class Head:
    """A start line with its header fields, which say how the body ends."""

    raw: bytes
    words: list[str]
    fields: dict[str, str]
    bodiless: bool = False

    @classmethod
    def parsed(cls, raw: bytes) -> "Head":
        first, *lines = raw.decode("latin-1").rstrip().split("\r\n")
        fields = (line.partition(":") for line in lines)
        return cls(raw, first.split(" ", 2), {name.strip().lower(): value.strip() for name, _, value in fields})

    @property
    def status(self) -> int:
        return int(self.words[1])

    @property
    def is_answer(self) -> bool:
        return self.words[0].startswith("HTTP/")

    @property
    def chunked(self) -> bool:
        return self.fields.get("transfer-encoding", "").lower().endswith("chunked") and not self.bodiless

    @property
    def length(self) -> int | None:
        """The length of the body in bytes. None if the body is chunked or ends with the connection."""
        if self.bodiless:
            return 0
        if self.chunked or (self.is_answer and "content-length" not in self.fields):
            return None
        return int(self.fields.get("content-length", 0))

    @property
    def expects(self) -> bool:
        return self.fields.get("expect", "").lower() == "100-continue"

    @property
    def keeps(self) -> bool:
        """The connection stays open after the message."""
        ends = self.is_answer and self.length is None and not self.chunked
        return not ends and self.fields.get("connection", "").lower() != "close" and "HTTP/1.0" not in self.words

    def framed(self, piece: bytes) -> bytes:
        """Return a piece of the body as it is sent. An empty piece ends the body."""
        return b"%x\r\n%s\r\n" % (len(piece), piece) if self.chunked else piece


class Wire:
    """A socket with a buffer of bytes that were read and not yet used."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket, self._rest = sock, b""
        sock.settimeout(MAX_SILENCE_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send = sock.sendall

    @property
    def buffered(self) -> bool:
        return bool(self._rest)

    def readable(self) -> bool:
        """Return whether there is something to read, or the end."""
        watch = select.poll()
        watch.register(self.socket, select.POLLIN)
        return self.buffered or bool(watch.poll(0))

    def head(self) -> Head | None:
        """Read the head of the next message. Return None if the other side has closed the connection."""
        raw = self._until(b"\r\n\r\n")
        return Head.parsed(raw) if raw else None

    def body(self, head: Head, size: int = PIECE) -> Iterator[bytes]:
        """Yield the bytes of the body, without the framing of chunks."""
        if head.chunked:
            while length := int(self._until(b"\r\n").partition(b";")[0], 16):
                yield from self._bytes(length, size)
                self._until(b"\r\n")
            while self._until(b"\r\n") not in (b"\r\n", b""):
                pass  # trailers, which no program here sends
        else:
            yield from self._bytes(head.length, size)

    def close(self, *, reset: bool) -> None:
        if reset and self.socket.fileno() >= 0:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.socket.close()

    def wake(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def _until(self, end: bytes) -> bytes:
        while end not in self._rest:
            piece = self.socket.recv(PIECE)
            if not piece and self._rest:
                raise Over(reset=True)
            if not piece:
                return b""
            self._rest += piece
        taken, _, self._rest = self._rest.partition(end)
        return taken + end

    def _bytes(self, length: int | None, size: int) -> Iterator[bytes]:
        """Yield so many bytes or, for None, all bytes to the end."""
        left = length
        while left is None or left > 0:
            most = size if left is None else min(size, left)
            piece, self._rest = (self._rest[:most], self._rest[most:]) if self._rest else (self.socket.recv(most), b"")
            if not piece and left is None:
                return
            if not piece:
                raise Over(reset=True)
            left = None if left is None else left - len(piece)
            yield piece


def bound(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)  # a client that sends more has to wait
    sock.bind(("127.0.0.1", port))
    return sock
