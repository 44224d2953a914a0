"""Large bodies from many callers at once at one real web process: few are read, and the others must come back later."""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy import stack
from generations.media import images
from tests.support.hostile import OWN, RIGHT, WIRE, Api
from tests.support.images import base64_of, image_bytes
from tests.support.web_process import Web

CALLERS = 12
MAX_MEMORY_KB = 800_000  # as docs/SETTINGS.md says of LARGE_BODIES
UNIQUE = 96  # random bytes, so that no two images are the same to the store


class Store:
    """An S3 that accepts every PUT, can hold back the answers, and counts the PUTs in progress."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.most = self._now = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.free.set()
        self._server.shutdown()
        self._server.server_close()

    def _count(self, change: int) -> None:
        with self._lock:
            self._now += change
            self.most = max(self.most, self._now)

    def _handler(store) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                store._count(1)
                left = int(self.headers["Content-Length"])
                while left > 0:
                    left -= len(self.rfile.read(min(left, 2**20)))
                store.free.wait(30)
                store._count(-1)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Print nothing."""

        return Handler


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store()
    yield server
    server.stop()


@pytest.fixture
def web(tmp_path: Path, store: Store) -> Iterator[Web]:
    started = Web(tmp_path, store.url)
    yield started
    stack.stop([started.process])


HEAD = image_bytes() + bytes(-len(image_bytes()) % 3)
REST = base64_of(secrets.token_bytes(images.MAX_BYTES - len(HEAD) - UNIQUE)).encode()


def large_image() -> list[bytes]:
    """Return an image of 30 MB in Base64, in parts. All but the first part is the same for all images."""
    return [base64_of(HEAD + secrets.token_bytes(UNIQUE)).encode(), REST]


def large_body(image_count: int) -> list[bytes]:
    """Return the body of a create: 40 MB, or 80 MB with two images."""
    last = [b'", "last_image": "', *large_image()] if image_count == 2 else []
    return [b'{"resolution": "480p", "image": "', *large_image(), *last, b'"}']


class Crowd:
    """Callers with large bodies, alternating between the two APIs."""

    def __init__(self, web: Web, image_count: int) -> None:
        self._pool = ThreadPoolExecutor(CALLERS)
        self._asked = [self._pool.submit(web.send, self._entrance(n), large_body(image_count)) for n in range(CALLERS)]

    def _entrance(self, number: int) -> Api:
        return [OWN, WIRE][number % 2]

    def answered(self) -> int:
        return sum(one.done() for one in self._asked)

    def accepted(self) -> int:
        """Return how many creates were accepted. Check that the others were refused in the format of their API."""
        count = 0
        for number, one in enumerate(self._asked):
            api, (status, headers, body) = self._entrance(number), one.result()
            if status == api.accepted:
                count += 1
            else:
                assert (status, headers["retry-after"]) == (503, "5")
                assert body["code"] == ("too_many_large_bodies" if api is OWN else 503)
        self._pool.shutdown()
        return count


def quickly(web: Web, api: Api) -> bool:
    """Return whether a small create is accepted at once."""
    started = time.monotonic()
    return web.send(api, [json.dumps(RIGHT).encode()])[0] == api.accepted and time.monotonic() - started < 2


def test_many_large_bodies_at_once_are_few_in_memory(web: Web, store: Store) -> None:
    crowd = Crowd(web, image_count=1)
    ends = time.monotonic() + 15
    while crowd.answered() < CALLERS - 2 and time.monotonic() < ends:
        time.sleep(0.01)
    assert crowd.answered() == CALLERS - 2  # the store holds two, and no other caller waits
    assert quickly(web, OWN)
    store.free.set()
    assert crowd.accepted() == 2
    for image_count in (1, 1, 1, 1, 1, 2, 2):
        assert Crowd(web, image_count).accepted() >= 1
    assert store.most == 2
    assert web.max_memory_kb() < MAX_MEMORY_KB
    assert quickly(web, WIRE)
