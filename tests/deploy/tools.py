"""Help the tests of deploy/: run a command, and serve as the backend of a proxy or a health check."""

import http.server
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def run(*command: str, **options: Any) -> str:
    """Run a command that must succeed, and return its output."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


class Backend:
    """A server that answers every request with the length of its body."""

    def __enter__(self) -> "Backend":
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                facts = {"bytes": len(body), "forwarded": self.headers.get_all("X-Forwarded-For")}
                answer = json.dumps(facts).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST

            def log_message(self, *args: Any) -> None:
                """Print nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.server.shutdown()
        self.server.server_close()
