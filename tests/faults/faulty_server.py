"""What the upstreams of the lab have in common: a server that draws faults, loses answers, and can be away."""

import hashlib
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, TypeVar

from tests.support.images import data_uri, image_bytes, mp4

SECRET = "upstreams-own-signature"  # a canary: it may be in no log
HANG = 4.0  # seconds; longer than a submit's deadline here
LOST = ["reset after", "hang after", "close after", "502 after", "garbage after", "cut after"]  # it was created
NOT_CREATED = ["reset before", "reset amid", "hang before"]
FOREIGN = ["another's result", "another's surplus answer", "another's late answer"]  # to a poll, or to a submit
VIDEOS = ["cut", "too short", "html", "empty", "403", "500", "reset", "chunked cut", "compressed", "slow"]
IMAGES = {data_uri(image_bytes()), data_uri(image_bytes(kind="PNG"), "png")}  # what callers send


class HasId(Protocol):
    """A task of an upstream."""

    id: str


Task = TypeVar("Task", bound=HasId)


def video_of(seed: int) -> bytes:
    """Return a whole MP4 that only this seed has: the difference is in a box that players skip."""
    noise = random.Random(seed).randbytes(300_000)
    return mp4() + struct.pack(">I4s", 8 + len(noise), b"free") + noise


def sha256_of(seed: int) -> str:
    """Return the SHA-256 of the video of the seed."""
    return hashlib.sha256(video_of(seed)).hexdigest()


class FaultyServer:
    """A server on a port of its own. While `calm`, it injects no fault. Its faults are counted by kind."""

    def __init__(self, seed: int, handler: Callable[[Any], type[BaseHTTPRequestHandler]]) -> None:
        self.calm = False
        self.faults: Counter[str] = Counter()
        self.videos = self.wrong_images = 0
        self.refuses = ""  # the refusal of our account that answers all submits; "" for none
        self.dice, self.lock = random.Random(seed), threading.Lock()
        self._handler = handler
        mp4()
        self._server = _Server(("127.0.0.1", 0), handler(self))
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._serve()

    def _serve(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self) -> None:
        """Stop listening: connections are refused."""
        self.faults["outage"] += 1
        self._server.shutdown()
        self._server.server_close()

    def up(self) -> None:
        """Listen again."""
        self._server = _Server(("127.0.0.1", self.port), self._handler(self))
        self._serve()

    stop = down

    def refuse(self, kind: str) -> None:
        """Answer all submits with this refusal of our account from now on; "" for none."""
        self.refuses = kind

    def draw(self, chance: float, kinds: list[str]) -> str:
        """Draw a fault of one of the kinds. Return "" for no fault."""
        with self.lock:
            if self.calm or self.dice.random() >= chance:
                return ""
            kind = self.dice.choice(kinds)
            self.faults[kind] += 1
            return kind


class _Server(ThreadingHTTPServer):
    daemon_threads, allow_reuse_address, request_queue_size = True, True, 200

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: the lab kills clients."""


def plain(body: bytes) -> bytes:
    """Return a whole answer, as bytes for the connection."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class FaultyHandler(BaseHTTPRequestHandler):
    """Answers with faults. `upstream` is the server that draws them."""

    protocol_version = "HTTP/1.1"
    upstream: Any

    def read_submit(self, kind: str) -> bytes | None:
        """Return the whole body of a submit; None if the fault, or the sender's death, has ended the connection."""
        if kind == "reset before":
            return self.reset()
        length = int(self.headers["Content-Length"])
        if kind == "reset amid":
            self.rfile.read(length // 2)
            return self.reset()
        body = self.rfile.read(length)
        return body if len(body) == length else None  # the sender was killed: this is no whole request

    def lose_answer(self, kind: str, answer: bytes) -> bool:
        """Lose the answer of a submit that created a task by a fault of LOST. Return whether it is lost."""
        match kind:
            case "reset after":
                self.reset()
            case "hang after":
                time.sleep(HANG)
            case "close after":
                self.close_connection = True
            case "502 after":
                self.give(502, b"<html>bad gateway</html>")
            case "garbage after":
                self.give(200, b"<html>welcome</html>")
            case "cut after":
                self.give(200, answer, claims=len(answer) + 10)
            case _:
                return False
        return True

    def give_own(self, body: bytes, find_other: Callable[[], Task | None], of: Callable[[Task], bytes]) -> None:
        """Answer with the body, or with one that `of` makes of another task in its place or behind it."""
        kind = self.upstream.draw(0.06, FOREIGN)
        other = find_other() if kind else None
        if other is None or (kind == "another's result" and self.command == "POST"):
            return self.give(200, body)  # in the answer to a submit an id is believed: there is no other
        match kind:
            case "another's result":
                return self.give(200, of(other))
            case "another's surplus answer":
                self.wfile.write(plain(body) + plain(of(other)))  # in one segment
            case "another's late answer":
                self.give(200, body)
                time.sleep(0.02)
                self.wfile.write(plain(of(other)))
        return None

    def give_video(self, seed: int, signature: str) -> None:
        """Answer with the video of the seed, or spoil the answer."""
        if signature != SECRET:
            return self.give(403, b"no")
        self.upstream.videos += 1
        content = video_of(seed)
        match self.upstream.draw(0.2, VIDEOS):
            case "cut":
                return self.give(200, content[: len(content) // 2], claims=len(content), kind="video/mp4")
            case "too short":
                return self.give(200, content, claims=len(mp4()) // 3, kind="video/mp4")
            case "html":
                return self.give(200, b"<html>login</html>", kind="text/html")
            case "empty":
                return self.give(200, b"", kind="video/mp4")
            case "403":
                return self.give(403, b"expired")
            case "500":
                return self.give(500, b"oops")
            case "reset":
                return self.reset()
            case "chunked cut":
                return self._cut_chunks(content)
            case "compressed":
                return self.give(200, content, kind="video/mp4", encoding="gzip")
            case "slow":
                time.sleep(1.5)
        return self.give(200, content, kind="video/mp4")

    def _cut_chunks(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (100_000, content[:100_000]))
        self.close_connection = True

    def give(
        self,
        status: int,
        body: bytes,
        *,
        claims: int | None = None,
        kind: str = "application/json",
        encoding: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        """Answer with the body. `claims` is a wrong length of it."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if claims is None else claims))
        if encoding:
            self.send_header("Content-Encoding", encoding)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if claims is not None:
            self.close_connection = True

    def reset(self) -> None:
        """Reset the connection in place of an answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Print nothing: the report has it."""
