"""An upstream with random faults that records which tasks it created, for which seed, and how often.

It is also the receiver of webhooks, and records them.
"""

import json
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.faults.ark_callbacks import Callbacks
from tests.faults.ark_tasks import ArkTasks
from tests.faults.ark_upstream import ArkHandler
from tests.faults.faulty_server import HANG, IMAGES, LOST, NOT_CREATED, SECRET, FaultyHandler, FaultyServer
from tests.support.images import image_bytes

METERED = "/v3/bytedance/metered"  # Ark's wire at Novita, without a list
EXPLICIT = ["429", "no balance", "bad key", "no route"]
POLLS = ["404", "500", "garbage", "unknown status", "reset", "hang", "no video", "empty object"]
REFUSALS = {"no balance": (403, "NOT_ENOUGH_BALANCE"), "too many": (429, "RATE_LIMIT_EXCEEDED")}  # of our account
HOOKS = ["hook 500", "hook 429", "hook reset", "hook hang", "hook redirect"]


@dataclass
class Task:
    """A task of Novita's own wire."""

    id: str
    seed: int
    ready_at: float
    fails: bool


class LabUpstream(FaultyServer):
    """The upstream of the lab at Novita's address: its own wire, and `metered`. While `calm`, it injects no fault.

    `created` and `received` count by seed: they are the lab's own account of what was paid.
    """

    def __init__(self, seed: int) -> None:
        self.tasks: dict[str, Task] = {}
        self.created: Counter[int] = Counter()
        self.received: Counter[int] = Counter()  # POSTs whose whole body came
        self.webhooks: Counter[str] = Counter()  # by their id
        self.polls = 0
        self.metered = ArkTasks("metered", seed)
        self.callbacks = Callbacks(lambda task: task.render(self.url), seed)
        super().__init__(seed, _handler)

    def create(self, seed: int) -> Task:
        """Create a task."""
        with self.lock:
            self.created[seed] += 1
            seconds, fails = self.dice.uniform(0.2, 1.5), self.dice.random() < 0.04
            task = Task(f"up-{seed}-{self.created[seed]}", seed, time.monotonic() + seconds, fails)
            self.tasks[task.id] = task
            return task

    def other_than(self, task_id: str) -> Task | None:
        """Return another task, whose video is ready; None if there is none."""
        with self.lock:
            now = time.monotonic()
            others = [task for task in self.tasks.values() if task.id != task_id and task.ready_at < now]
            return self.dice.choice(others) if others else None

    def of_seed(self, seed: int) -> list[str]:
        """Return the ids of the tasks of the seed, on both wires."""
        with self.lock:
            own = [task.id for task in self.tasks.values() if task.seed == seed]
        return own + [task.id for task in self.metered.of_seed(seed)]


def result(
    task_id: str, status: str, *, seed: int | None = None, url: str = "", progress: Any = 0, reason: str = ""
) -> bytes:
    """Return a Task Result."""
    videos = [{"video_url": url, "video_url_ttl": "3600", "video_type": "mp4"}] if url else []
    task = {"task_id": task_id, "status": status, "reason": reason, "progress_percent": progress}
    body = {"extra": {} if seed is None else {"seed": str(seed)}, "task": task, "videos": videos}
    return json.dumps(body).encode()


def _handler(lab: LabUpstream) -> type[FaultyHandler]:
    class Handler(ArkHandler):
        upstream = lab

        def do_DELETE(self) -> None:
            self.metered()

        def metered(self) -> None:
            self.serve_ark(lab.metered, self.path.removeprefix(METERED), has_list=False)

        def do_POST(self) -> None:
            if self.path == "/hook":
                return self.hook()
            if self.path.startswith(METERED):
                return self.metered()
            kind = lab.draw(0.12, LOST + NOT_CREATED) or lab.draw(0.06, EXPLICIT)
            body = self.read_submit(kind)
            if body is None:
                return None
            request = json.loads(body)
            seed = request["seed"]
            lab.received[seed] += 1
            if request["image"] not in IMAGES:
                lab.wrong_images += 1
            if refusal := REFUSALS.get(lab.refuses):
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
            if self.lose_answer(kind, answer):
                return None
            return self.give_own(
                answer, partial(lab.other_than, task.id), lambda other: json.dumps({"task_id": other.id}).encode()
            )

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
            if self.path.startswith(METERED):
                return self.metered()
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            match parts.path:
                case "/v3/async/task-result":
                    return self.poll(query["task_id"])
                case "/lab/tasks":
                    return self.give(200, json.dumps(lab.of_seed(int(query["seed"]))).encode())
                case "/image.png":
                    return self.give(200, image_bytes(kind="PNG"), kind="image/png")
            return self.give_video(int(parts.path.removeprefix("/videos/")), query.get("signature", ""))

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
            return self.give_own(self.of_task(task), partial(lab.other_than, task.id), self.of_task)

        def of_task(self, task: Task) -> bytes:
            """Return the Task Result of the task as it is now."""
            if time.monotonic() < task.ready_at:
                return result(task.id, "TASK_STATUS_PROCESSING", progress="40")
            if task.fails:
                return result(task.id, "TASK_STATUS_FAILED", reason="the dice said so")
            url = f"{lab.url}/videos/{task.seed}?signature={SECRET}"
            return result(task.id, "TASK_STATUS_SUCCEED", seed=task.seed, url=url)

        def refuse(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
            body = {"code": status, "reason": reason, "message": "by dice", "metadata": {}}
            self.give(status, json.dumps(body).encode(), headers=headers)

    return Handler
