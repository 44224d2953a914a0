"""The service as `make run` starts it, with its own folder and port, and an outside server that it may call."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from deploy import stack
from generations.worker.processes import die_with_parent
from tests.support.images import image_bytes

INHERITED = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")


class Outside:
    """A server on loopback with an image at every address, which accepts every webhook."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), AnyPath)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()


class AnyPath(BaseHTTPRequestHandler):
    """The handler of all requests to the outside server. An image at /later.jpg is there in five minutes."""

    def do_GET(self) -> None:
        if self.path == "/later.jpg":
            self._answer(503, b"", {"Retry-After": "300"})
        else:
            self._answer(200, image_bytes())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(204, b"")

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


class Service:
    """The processes of `make run`, without names beyond this machine, and with two tenants that have no limits."""

    def __init__(self, folder: Path) -> None:
        self.outside, self._folder = Outside(), folder
        port = stack.free_port(34_000 + os.getpid() % 3000)
        self.url = f"http://127.0.0.1:{port}"
        self._env = {name: value for name, value in os.environ.items() if name in INHERITED} | {
            "VAR_DIR": str(folder),
            "PORT": str(port),
            "SANDBOX_SECONDS": "0.2",
            "FETCH_ALLOW_HOSTS": self.outside.host,
            "PYTHONPATH": str(Path(__file__).parent / "offline"),
            "PROXY_HOPS": "1",  # X-Forwarded-For gives each wrong key an address of its own
        }
        command = [sys.executable, "deploy/run.py"]
        self._process = subprocess.Popen(
            command,
            cwd=stack.ROOT,
            env=self._env,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C goes to the runner alone, which stops the service
            preexec_fn=die_with_parent,
        )
        try:
            self._wait_until_started()
            self.keys = {tenant: self._create_tenant(tenant) for tenant in ("alice", "bob")}
        except BaseException:
            self.stop()
            raise

    def _wait_until_started(self) -> None:
        assert self._process.stdout is not None
        if not any("Ctrl-C stops everything" in line for line in self._process.stdout):
            raise stack.StackError(f"The service ended at its start, with {self._process.wait()}.")

    def _stored(self) -> dict[str, str]:
        """Return the settings that `make run` stores for commands beside it."""
        lines = (self._folder / "local.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def sandbox_url(self) -> str:
        """The address of the sandbox upstream."""
        return self._stored()["SANDBOX_BASE_URL"]

    def _create_tenant(self, tenant: str) -> str:
        """Create the tenant and return its key."""
        env = {**self._env, **self._stored()}
        command = [sys.executable, "manage.py", "tenant", "create", tenant, "--json"]
        done = subprocess.run(command, cwd=stack.ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True)
        return str(json.loads(done.stdout)["api_key"])

    def failures(self) -> list[str]:
        """Return the web process's log entries of answers with 500."""
        log = (self._folder / "log" / "web.log").read_text(errors="replace")
        return re.findall(r"^.* Internal Server Error: .*\n(?:(?!\d{4}-\d\d-\d\d ).*\n)*", log, re.MULTILINE)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate()
