"""Large bodies from many callers at once at one real web process: few are read, and the others must come back later."""

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy import stack, waiting
from generations.media import images
from tests.support.hostile import OWN, RIGHT, WIRE, Api
from tests.support.images import base64_of, image_bytes

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


class Web:
    """A web process, started as `make run` starts it, with its own database."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.port = stack.free_port(30_000 + os.getpid() % 20_000)
        self.env = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")},
            "DJANGO_SETTINGS_MODULE": "seedance_service.settings",
            "SECRET_KEY": "tests",
            "VAR_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "NOVITA_BASE_URL": "http://127.0.0.1:9",
            "NOVITA_API_KEY": "none",
            "S3_BUCKET": "tests",
            "S3_ENDPOINT_URL": store.url,
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests-secret",
        }
        self._manage("migrate", "-v0")
        self.key = json.loads(self._manage("tenant", "create", "alice", "--json"))["api_key"]
        (folder / "static").mkdir()
        self.process = stack.web(self.port, folder / "static", folder, self.env)
        waiting.until_answers(self.process, f"http://127.0.0.1:{self.port}/v1/generations")

    def _manage(self, *args: str) -> str:
        command = [sys.executable, "manage.py", *args]
        return subprocess.run(command, cwd=stack.ROOT, env=self.env, capture_output=True, text=True, check=True).stdout

    def max_memory_kb(self) -> int:
        """Return the highest memory use of the process so far, in kB."""
        [worker] = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        [line] = [line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1])

    def send(self, api: Api, body: list[bytes]) -> tuple[int, dict[str, str], Any]:
        """Send a create, and return status, headers and body of its answer, which may come before all is sent."""
        head = f"POST {api.path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {self.key}\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {sum(map(len, body))}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            try:
                for part in (head.encode(), *body):
                    connection.sendall(part)
            except OSError:
                pass  # the server has answered and reads no more
            received = b"".join(iter(lambda: connection.recv(65_536), b""))
        return parsed(received)


def parsed(received: bytes) -> tuple[int, dict[str, str], Any]:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, json.loads(body)


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store()
    yield server
    server.stop()


@pytest.fixture
def web(tmp_path: Path, store: Store) -> Iterator[Web]:
    started = Web(tmp_path, store)
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
