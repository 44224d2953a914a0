"""A web process of its own for a test, and requests to it over bare sockets."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from deploy import stack, waiting
from tests.support.hostile import Api

JSON = "application/json"


class Web:
    """A web process, started as `make run` starts it, with its own database."""

    def __init__(self, folder: Path, s3_url: str, application: str = stack.SERVICE) -> None:
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
            "S3_ENDPOINT_URL": s3_url,
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests-secret",
        }
        self.manage("migrate", "-v0")
        self.key = self.create_tenant("alice")
        (folder / "static").mkdir()
        self.process = stack.web(self.port, folder / "static", folder, self.env, application)
        waiting.until_answers(self.process, f"http://127.0.0.1:{self.port}/v1/generations")

    def manage(self, *args: str) -> str:
        """Run a command of manage.py with this process's settings, and return its output."""
        command = [sys.executable, "manage.py", *args]
        return subprocess.run(command, cwd=stack.ROOT, env=self.env, capture_output=True, text=True, check=True).stdout

    def create_tenant(self, name: str) -> str:
        """Create a tenant, and return its API key."""
        body: dict[str, str] = json.loads(self.manage("tenant", "create", name, "--json"))
        return body["api_key"]

    def max_memory_kb(self) -> int:
        """Return the highest memory use of the process so far, in kB."""
        [worker] = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        [line] = [line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1])

    def head(self, api: Api, length: int, key: str = "") -> bytes:
        """Return the head of a create whose body has that many bytes. `key` is another tenant's."""
        return _head("POST", api.path, key or self.key, {"Content-Type": JSON, "Content-Length": str(length)})

    def send(self, api: Api, body: list[bytes], key: str = "") -> tuple[int, dict[str, str], Any]:
        """Send a create, and return status, headers and body of its answer, which may come before all is sent."""
        return self._exchange(self.head(api, sum(map(len, body)), key), *body)

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], Any]:
        """Get the path, and return status, headers and body of the answer."""
        return self._exchange(_head("GET", path, self.key, headers or {}))

    def _exchange(self, *parts: bytes) -> tuple[int, dict[str, str], Any]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            try:
                for part in parts:
                    connection.sendall(part)
            except OSError:
                pass  # the server has answered and reads no more
            received = b"".join(iter(lambda: connection.recv(65_536), b""))
        return parsed(received)


def _head(method: str, path: str, key: str, headers: dict[str, str]) -> bytes:
    every = {"Host": "localhost", "Authorization": key, "Connection": "close", **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in every.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def parsed(received: bytes) -> tuple[int, dict[str, str], Any]:
    """Return the status, the headers and the JSON of an answer."""
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, json.loads(body)
