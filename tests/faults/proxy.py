"""A fault proxy that knows HTTP/1.1: it passes each request on as it came, or hurts it as it is told.

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

from tests.faults.wire import LONGEST, PIECE, Head, Over, Wire, bound

LINGER = 2.0  # seconds to read on after an early answer: closing at once would be RST, and the answer could be lost


@dataclass(frozen=True)
class Reset:
    """RST before anything is forwarded."""


@dataclass(frozen=True)
class ResetInBody:
    """RST to both sides once `after` bytes of the request's body were forwarded."""

    after: int


@dataclass(frozen=True)
class Answer:
    """This instead of forwarding; the request's body is read first."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AnswerAfter(Answer):
    """Forwarded and done, but the client hears this."""


@dataclass(frozen=True)
class LoseAnswer:
    """Forwarded and done, then RST."""


@dataclass(frozen=True)
class CutAnswer:
    """The answer's body ends after `after` bytes, cleanly closed."""

    after: int


@dataclass(frozen=True)
class ResetAnswer:
    """RST after so many bytes of the answer's body; the client may lose some of those too."""

    after: int


@dataclass(frozen=True)
class Delay:
    """A wait before it is forwarded, or with `done` before its answer; a client that leaves meanwhile ends it."""

    seconds: float
    done: bool = False


@dataclass(frozen=True)
class Slow:
    """Both bodies at this pace."""

    bytes_per_second: int


@dataclass(frozen=True)
class FlipBit:
    """One bit of the answer's body, or with `asked` of the request's; in its middle where the length is known."""

    asked: bool = False


@dataclass(frozen=True)
class Late:
    """RST, as if it had never come; it is forwarded once `release` is set, and `done` once the target has answered."""

    release: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)


Fault = Reset | ResetInBody | Answer | LoseAnswer | CutAnswer | ResetAnswer | Delay | Slow | FlipBit | Late


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]  # names in lower case


class Proxy:
    """`choose` is called once a request, by many threads at once."""

    def __init__(self, host: str, port: int) -> None:
        self.target, self.choose = (host, port), self._choose_nothing
        self.counts: Counter[str] = Counter()
        self._lock, self._connections = threading.Lock(), set[Connection]()
        self._place = bound(0)  # never listens: while the proxy is down, nobody else gets its port
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
        """Connections that are open break, and new ones are refused."""
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
    """One client's: its requests one after the other."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self._proxy, self._client, self._target = proxy, Wire(client), None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self._ending = False

    _target: Wire | None

    def wake(self) -> None:
        """Ends what its thread waits for."""
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
        """One request and its answer. True where the connection may serve another."""
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
        """Its body is in memory meanwhile: this is for small ones."""
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
        """Send it on; the answer's head where the target gives it before it has taken the whole body."""
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
            watch = select.poll()  # unlike select, it takes descriptors above 1,023
            watch.register(self._client.socket, select.POLLIN)
            watch.register(target.socket, select.POLLIN)
            watch.poll(LONGEST * 1000)
        return self._interim() if target.readable() else None

    def _interim(self) -> Head | None:
        """What the target says while the body is under way: None where it is only "continue"."""
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
        """The answer, hurt or not. True where both connections may serve another request."""
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
            self._target = Wire(socket.create_connection(self._proxy.target, timeout=LONGEST))
        if self._ending:
            raise Over(reset=True)
        return self._target

    def _leave_target(self, *, reset: bool = False) -> None:
        if self._target:
            self._target.close(reset=reset)
        self._target = None
