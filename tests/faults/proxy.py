"""A fault proxy that knows HTTP/1.1: it passes each request on unchanged, or injects a fault.

A thread for each client's connection, which has one connection of its own to the target. `counts` says what was done,
not what was asked for: an answer of ten bytes that is to be cut after a hundred counts as nothing.
"""

import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.faults.wire import MAX_SILENCE_SECONDS, PIECE, Head, Over, Wire, bound

LINGER = 2.0  # seconds to go on reading after an early answer: closing at once would send RST and could lose the answer


@dataclass(frozen=True)
class Reset:
    """Reset the connection before anything is forwarded."""


@dataclass(frozen=True)
class ResetInBody:
    """Reset both connections after `after` bytes of the request's body."""

    after: int


@dataclass(frozen=True)
class Answer:
    """Send this answer and forward nothing. The body of the request is read first."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AnswerAfter(Answer):
    """Forward the request, but send this answer to the client."""


@dataclass(frozen=True)
class LoseAnswer:
    """Forward the request, then reset the connection to the client."""


@dataclass(frozen=True)
class CutAnswer:
    """End the answer's body after `after` bytes by a clean close."""

    after: int


@dataclass(frozen=True)
class ResetAnswer:
    """Reset the connection after so many bytes of the answer's body. The client may lose some of them too."""

    after: int


@dataclass(frozen=True)
class Delay:
    """Wait before the request is forwarded or, with `done`, before its answer. A client that leaves ends the wait."""

    seconds: float
    done: bool = False


@dataclass(frozen=True)
class Slow:
    """Limit both bodies to this speed."""

    bytes_per_second: int


@dataclass(frozen=True)
class FlipBit:
    """Flip one bit of the answer's body or, with `asked`, of the request's; in the middle if the length is known."""

    asked: bool = False


@dataclass(frozen=True)
class Late:
    """Reset the connection at once, but forward the request after `release` is set. `done` is set after the answer."""

    release: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)


Fault = Reset | ResetInBody | Answer | LoseAnswer | CutAnswer | ResetAnswer | Delay | Slow | FlipBit | Late


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]  # names in lower case


class Proxy:
    """The proxy. Many threads call `choose`, once for each request, for its fault."""

    def __init__(self, host: str, port: int) -> None:
        self.target, self.choose = (host, port), self._choose_nothing
        self.counts: Counter[str] = Counter()
        self._lock, self._connections = threading.Lock(), set[Connection]()
        self._place = bound(0)  # never listens: no other process gets the port while the proxy is down
        self.port: int = self._place.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._listener: socket.socket | None = None
        self.up()

    choose: Callable[[Request], Fault | None]

    @staticmethod
    def _choose_nothing(request: Request) -> Fault | None:
        return None

    def up(self) -> None:
        if self._listener is None:
            self._listener = bound(self.port)
            self._listener.listen(512)
            self._accepting = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
            self._accepting.start()

    def down(self) -> None:
        """Break open connections, and refuse new ones."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
            self._accepting.join()
            self._listener.close()
            self._listener = None
        with self._lock:
            open_ones = list(self._connections)
        for connection in open_ones:
            connection.wake()
        for connection in open_ones:
            if connection.thread is not threading.current_thread():
                connection.thread.join()

    def stop(self) -> None:
        self.down()
        self._place.close()

    def count(self, fault: Fault) -> None:
        with self._lock:
            self.counts[type(fault).__name__] += 1

    def forget(self, connection: "Connection") -> None:
        with self._lock:
            self._connections.discard(connection)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            connection = Connection(self, client)
            with self._lock:
                self._connections.add(connection)
            connection.thread.start()


class Connection:
    """The connection of one client, with one request after the other."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self._proxy, self._client, self._target = proxy, Wire(client), None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self._ending = False

    _target: Wire | None

    def wake(self) -> None:
        """End the wait of its thread."""
        self._ending = True
        for wire in (self._client, self._target):
            if wire:
                wire.wake()

    def _run(self) -> None:
        reset = False
        try:
            while (head := self._client.head()) and self._exchange(head):
                pass
        except Over as over:
            reset = over.reset
        except OSError:
            reset = True
        finally:
            self._client.close(reset=reset)
            self._leave_target(reset=reset)
            self._proxy.forget(self)

    def _exchange(self, request: Head) -> bool:
        """Serve one request. Return whether the connection may serve another."""
        fault = self._proxy.choose(Request(*request.words[:2], request.fields))
        if isinstance(fault, Answer) and not isinstance(fault, AnswerAfter):
            self._take_whole(request)
            return self._say(fault, request)
        if isinstance(fault, Reset):
            self._proxy.count(fault)
            raise Over(reset=True)
        if isinstance(fault, Slow) or (isinstance(fault, Delay) and not fault.done):
            self._proxy.count(fault)
        if isinstance(fault, Delay) and not fault.done:
            self._pause(fault.seconds)
        if isinstance(fault, Late):
            self._forward_late(fault, request)
        early = self._forward(request, fault)
        keeps = self._give(request, early or self._final_head(), fault)
        if early:
            self._linger()
        return keeps and not early

    def _forward_late(self, fault: Late, request: Head) -> None:
        """Keep the request in memory and forward it later. This is for small bodies."""
        if request.expects:
            self._client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        pieces = list(self._client.body(request))
        self._client.close(reset=True)
        self._proxy.count(fault)
        while not (self._ending or fault.release.wait(0.05)):
            pass
        target = self._open_target()
        target.send(request.raw + b"".join(map(request.framed, [*pieces, b""])))
        while (head := target.head()) and head.status < 200:
            pass
        fault.done.set()
        raise Over(reset=True)

    def _linger(self) -> None:
        ends = time.monotonic() + LINGER
        with suppress(OSError):
            self._client.socket.shutdown(socket.SHUT_WR)
            while (left := ends - time.monotonic()) > 0:
                self._client.socket.settimeout(left)
                if not self._client.socket.recv(PIECE):
                    return

    def _take_whole(self, request: Head) -> None:
        if request.expects:
            self._client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        for _ in self._client.body(request):
            pass

    def _say(self, fault: Answer, request: Head) -> bool:
        head = [f"HTTP/1.1 {fault.status} Fault"]
        head += [f"{name}: {value}" for name, value in {"Content-Length": len(fault.body), **fault.headers}.items()]
        body = b"" if request.words[0] == "HEAD" else fault.body
        self._proxy.count(fault)
        self._client.send("\r\n".join([*head, "", ""]).encode() + body)
        return request.keeps

    def _forward(self, request: Head, fault: Fault | None) -> Head | None:
        """Forward the request. Return the answer's head if the target sends it before it has read the whole body."""
        target = self._open_target()
        target.send(request.raw)
        if request.expects and (answer := self._wait_for_continue(target)):
            return answer
        sent, size = 0, self._piece_size(fault)
        limit = fault.after if isinstance(fault, ResetInBody) else None
        for piece in self._client.body(request, size):
            self._check_body_limit(fault, sent)
            if target.readable() and (answer := self._interim()):
                return answer
            piece = piece if limit is None else piece[: limit - sent]
            if isinstance(fault, FlipBit) and fault.asked:
                piece = self._flipped(piece, sent, request, fault)
            try:
                target.send(request.framed(piece))
            except OSError:
                return self._final_head()
            sent += len(piece)
            self._keep_pace(fault, len(piece))
        self._check_body_limit(fault, sent)
        target.send(request.framed(b""))
        return None

    def _check_body_limit(self, fault: Fault | None, sent: int) -> None:
        if isinstance(fault, ResetInBody) and sent >= fault.after:
            self._proxy.count(fault)
            raise Over(reset=True)

    def _wait_for_continue(self, target: Wire) -> Head | None:
        if not self._client.buffered:
            watch = select.poll()  # unlike select, poll accepts descriptors above 1,023
            watch.register(self._client.socket, select.POLLIN)
            watch.register(target.socket, select.POLLIN)
            watch.poll(MAX_SILENCE_SECONDS * 1000)
        return self._interim() if target.readable() else None

    def _interim(self) -> Head | None:
        """Read an answer that comes before the end of the body. Return None if it is only "continue"."""
        assert self._target
        head = self._target.head()
        if head is None:
            raise Over(reset=True)
        if head.status >= 200:
            return head
        self._client.send(head.raw)
        return None

    def _final_head(self) -> Head:
        while not (head := self._interim()):
            pass
        return head

    def _give(self, request: Head, answer: Head, fault: Fault | None) -> bool:
        """Send the answer, with its fault. Return whether both connections may serve another request."""
        assert self._target
        answer.bodiless = request.words[0] == "HEAD" or answer.status in (204, 304)
        pieces = self._target.body(answer, self._piece_size(fault))
        if isinstance(fault, LoseAnswer | AnswerAfter):
            for _ in pieces:
                pass
            if isinstance(fault, AnswerAfter):
                return self._say(fault, request) and answer.keeps
            self._proxy.count(fault)
            raise Over(reset=True)
        if isinstance(fault, Delay) and fault.done:
            self._proxy.count(fault)
            self._pause(fault.seconds)
        self._client.send(answer.raw)
        passed = 0
        for piece in pieces:
            self._client.send(answer.framed(self._hurt(piece, passed, answer, fault)))
            passed += len(piece)
            self._keep_pace(fault, len(piece))
        self._client.send(answer.framed(b""))
        return answer.keeps and request.keeps

    def _hurt(self, piece: bytes, passed: int, answer: Head, fault: Fault | None) -> bytes:
        if isinstance(fault, CutAnswer | ResetAnswer) and passed + len(piece) > fault.after:
            self._proxy.count(fault)
            if fault.after > passed:
                self._client.send(answer.framed(piece[: fault.after - passed]))
            raise Over(reset=isinstance(fault, ResetAnswer))
        return self._flipped(piece, passed, answer, FlipBit()) if fault == FlipBit() else piece

    def _flipped(self, piece: bytes, passed: int, head: Head, fault: FlipBit) -> bytes:
        at = (head.length or 0) // 2 - passed
        if not 0 <= at < len(piece):
            return piece
        self._proxy.count(fault)
        return piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :]

    def _piece_size(self, fault: Fault | None) -> int:
        return min(max(fault.bytes_per_second // 20, 1), PIECE) if isinstance(fault, Slow) else PIECE

    def _keep_pace(self, fault: Fault | None, size: int) -> None:
        if isinstance(fault, Slow):
            self._pause(size / fault.bytes_per_second)

    def _pause(self, seconds: float) -> None:
        """Wait, unless the client leaves or the proxy ends."""
        watch = select.poll()
        watch.register(self._client.socket, select.POLLRDHUP)
        if watch.poll(seconds * 1000) or self._ending:
            raise Over(reset=True)

    def _open_target(self) -> Wire:
        if self._target and self._target.readable():  # closed by the target while it was idle
            self._leave_target()
        if self._target is None:
            self._target = Wire(socket.create_connection(self._proxy.target, timeout=MAX_SILENCE_SECONDS))
        if self._ending:
            raise Over(reset=True)
        return self._target

    def _leave_target(self, *, reset: bool = False) -> None:
        if self._target:
            self._target.close(reset=reset)
        self._target = None
