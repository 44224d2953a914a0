"""A scripted upstream on a real socket: it records each complete submit, and answers as the test sets."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

Answer = tuple[int, dict[str, str], bytes]
TASKS = "/contents/generations/tasks"  # where the model maker's own wire has its tasks
ASKED = "the-task-that-was-asked-for"  # in an answer to a poll, it stands for that task's id


def as_json(body: Any, status: int = 200, **headers: str) -> Answer:
    """Return an answer with the body as JSON."""
    return status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode()


def refusal(status: int, reason: str, **headers: str) -> Answer:
    """Return an answer in Novita's error envelope."""
    return as_json({"code": status, "reason": reason, "message": f"about {reason}", "metadata": {}}, status, **headers)


def task(
    status: str,
    *,
    seed: Any = None,
    url: str = "",
    progress: Any = 0,
    reason: str = "",
    task_id: Any = ASKED,
    videos: int = 1,
    video_type: str = "mp4",
    usage: Any = None,
) -> Answer:
    """Return the answer to a poll of a task in that status: of the task that is asked for, if no other is named."""
    video = {"video_url": url, "video_url_ttl": "0", "video_type": video_type}
    return as_json(
        {
            "extra": {} if seed is None else {"seed": seed},
            "task": {"task_id": task_id, "status": status, "reason": reason, "progress_percent": progress},
            "videos": [video] * videos if url else [],
            **({} if usage is None else {"usage": usage}),
        }
    )


class Upstream:
    """An upstream whose answers are set by a test.

    `on_submit`, `on_poll`, `on_video`, `on_list` and `on_cancel` are answers, or functions that get the handler. Such a
    function returns an answer, or writes one and returns None. The last two are on the model maker's wire alone.
    """

    def __init__(self) -> None:
        self.submits: list[dict[str, Any]] = []
        self.polls: list[str] = []
        self.lists: list[dict[str, str]] = []  # the query of each
        self.cancels: list[str] = []
        self.keys: set[str] = set()
        self.on_submit: Any = lambda handler: as_json({"task_id": f"upstream-{len(self.submits)}"})
        self.on_poll: Any = task("TASK_STATUS_PROCESSING", progress=40)
        self.on_video: Any = (404, {}, b"")
        self.on_list: Any = as_json({"items": [], "total": 0})
        self.on_cancel: Any = as_json({})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def host(self) -> str:
        """Host and port of the server."""
        return self.url.removeprefix("http://")

    def video(self, content: bytes, seed: str | None = None, usage: Any = None) -> None:
        """Let every task be finished from now on, with this video.

        `seed` is what the upstream reports; by default the seed of the submit that created the task. None as `usage`:
        the answer has none.
        """
        url = f"{self.url}/video.mp4?X-Amz-Signature=upstreamsecret"
        self.on_video = 200, {"Content-Type": "video/mp4"}, content
        self.on_poll = lambda handler: task(
            "TASK_STATUS_SUCCEED", seed=seed or self._seed_of(self.polls[-1]), url=url, usage=usage
        )

    def _seed_of(self, task_id: str) -> str | None:
        """Return the seed of the submit that created a task with an id of `on_submit`'s default; None for another."""
        number = task_id.removeprefix("upstream-")
        return str(self.submits[int(number) - 1].get("seed")) if number.isdigit() else None

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(upstream) -> type[BaseHTTPRequestHandler]:
        """Return the class that answers requests for this upstream."""

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # a body behind its head would wait 40 ms for the client's acknowledgment

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                upstream.submits.append(json.loads(body))
                upstream.keys.add(self.headers["Authorization"])
                self.send(upstream.on_submit)

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/v3/async/task-result":
                    task_id = parse_qs(parts.query)["task_id"][0]
                    upstream.polls.append(task_id)
                    self.send(upstream.on_poll, task_id)
                elif parts.path.endswith(TASKS):
                    upstream.keys.add(self.headers["Authorization"])
                    upstream.lists.append(dict(parse_qsl(parts.query)))
                    self.send(upstream.on_list)
                elif TASKS in parts.path:
                    task_id = parts.path.rpartition("/")[2]
                    upstream.keys.add(self.headers["Authorization"])
                    upstream.polls.append(task_id)
                    self.send(upstream.on_poll, task_id)
                else:
                    self.send(upstream.on_video)

            def do_DELETE(self) -> None:
                upstream.cancels.append(self.path.rpartition("/")[2])
                self.send(upstream.on_cancel)

            def send(self, answer: Answer | Callable[[Any], Answer | None], task_id: str = ASKED) -> None:
                """Send the answer, about the task in place of ASKED, or close the connection if there is none."""
                if callable(answer):
                    answer = answer(self)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, body = answer
                body = body.replace(ASKED.encode(), task_id.encode())
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Print nothing."""

        return Handler
