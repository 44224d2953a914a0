"""An upstream with random faults that records which tasks it created, for which seed, and how often.

It is also the receiver of webhooks, and records them.
"""

import hashlib
import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.images import data_uri, image_bytes, mp4

SECRET = "upstreams-own-signature"  # a canary: it may be in no log
HANG = 4.0  # seconds; longer than a submit's deadline here
LOST = ["reset after", "hang after", "close after", "502 after", "garbage after", "cut after"]  # it was created
NOT_CREATED = ["reset before", "reset amid", "hang before"]
EXPLICIT = ["429", "no balance", "bad key", "no route"]
POLLS = ["404", "500", "garbage", "unknown status", "reset", "hang", "no video", "empty object"]
FOREIGN = ["another's result", "another's surplus answer", "another's late answer"]  # to a poll, or to a submit
REFUSALS = {"no balance": (403, "NOT_ENOUGH_BALANCE"), "too many": (429, "RATE_LIMIT_EXCEEDED")}  # of our account
HOOKS = ["hook 500", "hook 429", "hook reset", "hook hang", "hook redirect"]
VIDEOS = ["cut", "too short", "html", "empty", "403", "500", "reset", "chunked cut", "compressed", "slow"]


IMAGES = {data_uri(image_bytes()), data_uri(image_bytes(kind="PNG"), "png")}  # what callers send


@dataclass
class Task:
    id: str
    seed: int
    ready_at: float
    fails: bool


def video_of(seed: int) -> bytes:
    """Return a whole MP4 that only this seed has: the difference is in a box that players skip."""
    noise = random.Random(seed).randbytes(300_000)
    return mp4() + struct.pack(">I4s", 8 + len(noise), b"free") + noise


def sha256_of(seed: int) -> str:
    """Return the SHA-256 of the video of the seed."""
    return hashlib.sha256(video_of(seed)).hexdigest()


class LabUpstream:
    """The upstream of the lab. While `calm`, it injects no fault.

    `created` and `received` count by seed: they are the lab's own account of what was paid.
    """

    def __init__(self, seed: int) -> None:
        self.calm = False
        self._refuses = ""
        self.tasks: dict[str, Task] = {}
        self.created: Counter[int] = Counter()
        self.received: Counter[int] = Counter()  # POSTs whose whole body came
        self.webhooks: Counter[str] = Counter()  # by their id
        self.faults: Counter[str] = Counter()
        self.polls = self.videos = self.wrong_images = 0
        self._dice, self._lock = random.Random(seed), threading.Lock()
        mp4()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
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
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        self._serve()

    stop = down

    def refuse(self, kind: str) -> None:
        """Answer all submits with this one of REFUSALS from now on; "" for none."""
        self._refuses = kind

    def refusal(self) -> tuple[int, str] | None:
        """Return the refusal of our account, if there is one now."""
        return REFUSALS.get(self._refuses)

    def draw(self, chance: float, kinds: list[str]) -> str:
        """Draw a fault of one of the kinds. Return "" for no fault."""
        with self._lock:
            if self.calm or self._dice.random() >= chance:
                return ""
            kind = self._dice.choice(kinds)
            self.faults[kind] += 1
            return kind

    def create(self, seed: int) -> Task:
        """Create a task."""
        with self._lock:
            self.created[seed] += 1
            seconds, fails = self._dice.uniform(0.2, 1.5), self._dice.random() < 0.04
            task = Task(f"up-{seed}-{self.created[seed]}", seed, time.monotonic() + seconds, fails)
            self.tasks[task.id] = task
            return task

    def other_than(self, task_id: str) -> Task | None:
        """Return another task, whose video is ready; None if there is none."""
        with self._lock:
            now = time.monotonic()
            others = [task for task in self.tasks.values() if task.id != task_id and task.ready_at < now]
            return self._dice.choice(others) if others else None

    def of_seed(self, seed: int) -> list[Task]:
        """Return the tasks of the seed."""
        with self._lock:
            return [task for task in self.tasks.values() if task.seed == seed]


class _Server(ThreadingHTTPServer):
    daemon_threads, allow_reuse_address, request_queue_size = True, True, 200

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: the lab kills clients."""


def result(
    task_id: str, status: str, *, seed: int | None = None, url: str = "", progress: Any = 0, reason: str = ""
) -> bytes:
    """Return a Task Result."""
    videos = [{"video_url": url, "video_url_ttl": "3600", "video_type": "mp4"}] if url else []
    task = {"task_id": task_id, "status": status, "reason": reason, "progress_percent": progress}
    body = {"extra": {} if seed is None else {"seed": str(seed)}, "task": task, "videos": videos}
    return json.dumps(body).encode()


def plain(body: bytes) -> bytes:
    """Return a whole answer, as bytes for the connection."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _handler(lab: LabUpstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            if self.path == "/hook":
                return self.hook()
            kind = lab.draw(0.12, LOST + NOT_CREATED) or lab.draw(0.06, EXPLICIT)
            if kind == "reset before":
                return self.reset()
            length = int(self.headers["Content-Length"])
            if kind == "reset amid":
                self.rfile.read(length // 2)
                return self.reset()
            body = self.rfile.read(length)
            if len(body) < length:  # the sender was killed: this is no whole request
                return None
            request = json.loads(body)
            seed = request["seed"]
            lab.received[seed] += 1
            if request["image"] not in IMAGES:
                lab.wrong_images += 1
            if refusal := lab.refusal():
                return self.refuse(*refusal, {"Retry-After": "2"})
            match kind:
                case "hang before":
                    return time.sleep(HANG)
                case "429":
                    return self.refuse(429, "RATE_LIMIT_EXCEEDED", {"Retry-After": "1"})
                case "no balance":
                    return self.refuse(403, "NOT_ENOUGH_BALANCE")
                case "bad key":
                    return self.refuse(403, "INVALID_API_KEY")
                case "no route":
                    return self.refuse(404, "API_NOT_FOUND")
            if lab.draw(0.02, ["refused for its content"]):
                return self.refuse(400, "ILLEGAL_PROMPT")
            task = lab.create(seed)
            answer = json.dumps({"task_id": task.id}).encode()
            match kind:
                case "reset after":
                    return self.reset()
                case "hang after":
                    return time.sleep(HANG)
                case "close after":
                    self.close_connection = True
                    return None
                case "502 after":
                    return self.give(502, b"<html>bad gateway</html>")
                case "garbage after":
                    return self.give(200, b"<html>welcome</html>")
                case "cut after":
                    return self.give(200, answer, claims=len(answer) + 10)
            return self.give_own(answer, task.id, lambda other: json.dumps({"task_id": other.id}).encode())

        def hook(self) -> None:
            """Record a webhook, then answer it, or lose the answer."""
            length = int(self.headers["Content-Length"])
            if len(self.rfile.read(length)) < length:
                return None
            lab.webhooks[self.headers["webhook-id"]] += 1
            match lab.draw(0.2, HOOKS):
                case "hook 500":
                    return self.give(500, b"oops")
                case "hook 429":
                    return self.refuse(429, "BUSY", {"Retry-After": "1"})
                case "hook reset":
                    return self.reset()
                case "hook hang":
                    return time.sleep(2)
                case "hook redirect":
                    return self.refuse(307, "ELSEWHERE", {"Location": f"{lab.url}/elsewhere"})
            return self.give(200, b"")

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            match parts.path:
                case "/v3/async/task-result":
                    self.poll(query["task_id"])
                case "/lab/tasks":
                    self.give(200, json.dumps([task.id for task in lab.of_seed(int(query["seed"]))]).encode())
                case "/image.png":
                    self.give(200, image_bytes(kind="PNG"), kind="image/png")
                case _:
                    self.video(int(parts.path.removeprefix("/videos/")), query)

        def poll(self, task_id: str) -> None:
            lab.polls += 1
            match lab.draw(0.12, POLLS):
                case "404":
                    return self.refuse(404, "TASK_NOT_FOUND")
                case "500":
                    return self.give(500, b"oops")
                case "garbage":
                    return self.give(200, b'{"task": "x", "videos": 7')
                case "unknown status":
                    return self.give(200, result(task_id, "TASK_STATUS_UNKNOWN"))
                case "reset":
                    return self.reset()
                case "hang":
                    return time.sleep(3)
                case "no video":
                    return self.give(200, result(task_id, "TASK_STATUS_SUCCEED"))
                case "empty object":
                    return self.give(200, b"{}")
            task = lab.tasks.get(task_id)
            if task is None:
                return self.refuse(404, "TASK_NOT_FOUND")
            return self.give_own(self.of_task(task), task.id, self.of_task)

        def of_task(self, task: Task) -> bytes:
            """Return the Task Result of the task as it is now."""
            if time.monotonic() < task.ready_at:
                return result(task.id, "TASK_STATUS_PROCESSING", progress="40")
            if task.fails:
                return result(task.id, "TASK_STATUS_FAILED", reason="the dice said so")
            url = f"{lab.url}/videos/{task.seed}?signature={SECRET}"
            return result(task.id, "TASK_STATUS_SUCCEED", seed=task.seed, url=url)

        def give_own(self, body: bytes, task_id: str, of: Callable[[Task], bytes]) -> None:
            """Answer with the body, or with one that `of` makes of another task in its place or behind it."""
            kind = lab.draw(0.06, FOREIGN)
            other = lab.other_than(task_id) if kind else None
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

        def video(self, seed: int, query: dict[str, str]) -> None:
            if query.get("signature") != SECRET:
                return self.give(403, b"no")
            lab.videos += 1
            content = video_of(seed)
            match lab.draw(0.2, VIDEOS):
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
                    return self.cut_chunks(content)
                case "compressed":
                    return self.give(200, content, kind="video/mp4", encoding="gzip")
                case "slow":
                    time.sleep(1.5)
            return self.give(200, content, kind="video/mp4")

        def cut_chunks(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n" % (100_000, content[:100_000]))
            self.close_connection = True

        def refuse(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
            body = {"code": status, "reason": reason, "message": "by dice", "metadata": {}}
            self.give(status, json.dumps(body).encode(), headers=headers)

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

    return Handler
