"""A webhook's receiver on a real socket: it keeps what came, and answers as it is told."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass
class Post:
    path: str
    headers: dict[str, str]
    body: bytes
    at: float  # time.monotonic()

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verify(self, secret: str) -> Any:
        """The payload, as the spec's own library has it. Raises WebhookVerificationError."""
        return Webhook(secret).verify(self.body, self.headers)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up on a receiver that is hostile does what he should."""


class Receiver:
    """`answer` is a status, a status with headers, or a function of the handler that writes the answer itself."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.answer: int | tuple[int, dict[str, str]] | Callable[[Any], None] = 204
        self._server = Server(("127.0.0.1", 0), self._handler())
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def wait_for(self, count: int, seconds: float = 10.0) -> list[Post]:
        ends = time.monotonic() + seconds
        while len(self.posts) < count and time.monotonic() < ends:
            time.sleep(0.005)
        return self.posts

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.posts.append(Post(self.path, headers, body, time.monotonic()))
                if callable(receiver.answer):
                    receiver.answer(self)
                    self.close_connection = True
                    return
                status, more = receiver.answer if isinstance(receiver.answer, tuple) else (receiver.answer, {})
                self.send_response(status)
                for name, value in {"Content-Length": "0", **more}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """A test prints nothing."""

        return Handler


@contextmanager
def run_receiver(settings: Any) -> Iterator[Receiver]:
    """One whose host the guard lets through, beside those that it does already."""
    receiver = Receiver()
    settings.FETCH_ALLOW_HOSTS = [*settings.FETCH_ALLOW_HOSTS, receiver.host]
    yield receiver
    receiver.stop()
