"""A stand-in of the agent that gives a container its role's credentials, as ECS and EKS have it."""

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, Any]]


def session_of(minutes: float, token: str = "token-of-the-session") -> Answer:
    """Return the agent's answer with a session that ends after that many minutes."""
    ends_at = datetime.now(UTC) + timedelta(minutes=minutes)
    keys = {"AccessKeyId": "ASIAROLE", "SecretAccessKey": "secret-of-the-role", "Token": token}
    return 200, {**keys, "Expiration": ends_at.strftime("%Y-%m-%dT%H:%M:%SZ")}


class Agent:
    """The agent. It gives its answers one after the other, and then the last one again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.asked = list(answers), 0
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                agent.asked += 1
                status, body = agent.answers.pop(0) if len(agent.answers) > 1 else agent.answers[0]
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/credentials"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
