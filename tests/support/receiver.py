"""A receiver of webhooks on a real socket. It stores each POST and answers as the test says."""

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
    """A POST that the receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float  # time.monotonic()

    @property
    def id(self) -> str:
        """Return the id of the message."""
        return self.headers["webhook-id"]

    def verify(self, secret: str) -> Any:
        """Return the payload, verified by the spec's own library. Raise WebhookVerificationError."""
        return Webhook(secret).verify(self.body, self.headers)


class Server(ThreadingHTTPServer):
    """An HTTP server whose threads end with the test."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error: a client is right to hang up on a hostile receiver."""


class Receiver:
    """A running receiver, with the POSTs that it got.

    `answer` is a status, a status with headers, or a function of the handler that writes the answer itself.
    """

    def __init__(self) -> None:
        """Start the server on a free port."""
        self.posts: list[Post] = []
        self.answer: int | tuple[int, dict[str, str]] | Callable[[Any], None] = 204
        self._server = Server(("127.0.0.1", 0), self._handler())
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def wait_for(self, count: int, seconds: float = 60.0) -> list[Post]:
        """Wait until the receiver has got that many POSTs. Return them, or fewer after `seconds`."""
        deadline = time.monotonic() + seconds
        while len(self.posts) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.posts

    def stop(self) -> None:
        """Stop the server and close the socket."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:
        """Return a handler class that stores each POST and gives the receiver's answer."""

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Store the POST and answer."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.posts.append(Post(self.path, headers, body, time.monotonic()))
                if callable(receiver.answer):
                    receiver.answer(self)
                    self.close_connection = True
                    return
                status, extra_headers = receiver.answer if isinstance(receiver.answer, tuple) else (receiver.answer, {})
                self.send_response(status)
                for name, value in {"Content-Length": "0", **extra_headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Print nothing."""

        return Handler


@contextmanager
def run_receiver(settings: Any) -> Iterator[Receiver]:
    """Run a receiver whose host the guarded fetch allows, in addition to the hosts that it allows already."""
    receiver = Receiver()
    settings.FETCH_ALLOW_HOSTS = [*settings.FETCH_ALLOW_HOSTS, receiver.host]
    yield receiver
    receiver.stop()
