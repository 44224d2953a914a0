"""An upstream that speaks Ark's wire, with random faults: an account of its own, and the twin below Novita's address.

It records which tasks it created, for which seed, and how often. Its list may be slow, cut off or late.
"""

import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.faults.ark_callbacks import FORGED, Callbacks
from tests.faults.ark_tasks import ArkTask, ArkTasks
from tests.faults.faulty_server import HANG, IMAGES, LOST, NOT_CREATED, FaultyHandler, FaultyServer
from tests.support.images import image_bytes

TASKS = "/contents/generations/tasks"
BASE = "/api/v3"
ARK_LOST = [*LOST, "500 with a task"]
LATE = "created late"  # after the answer was awaited: only where the list finds it
ARK_NOT_CREATED = [*NOT_CREATED, "500 without a task"]
INTERNAL = (500, "InternalServiceError")
EXPLICIT = {
    "429 of a rate": (429, "ModelAccountRpmRateLimitExceeded"),
    "429 of the upstream": (429, "ServerOverloaded"),
    "429 of the queue": (429, "QuotaExceeded"),
    "429 of a spend cap": (429, "SetLimitExceeded"),
    "bad key": (401, "AuthenticationError"),
    "no balance": (403, "AccountOverdueError"),
    "no route": (404, "ModelNotOpen"),
}
REFUSALS = {"no balance": (403, "AccountOverdueError"), "too many": (429, "RequestBurstTooFast")}  # of our account
POLLS = ["404", "500", "garbage", "unknown status", "reset", "hang", "no video", "empty object"]
LISTS = ["list slow", "list hangs", "list cut off", "list 429", "list 500", "list reset", "list garbage"]
LISTS += ["list total too high", "list empty page"]


class ArkHandler(FaultyHandler):
    """The operations of Ark's wire on the tasks of an account."""

    def serve_ark(self, tasks: ArkTasks, path: str, *, has_list: bool) -> None:
        """Answer a request below the address of the account."""
        parts = urlsplit(path)
        task_id = parts.path.removeprefix(TASKS).removeprefix("/")
        if tasks.key and self.headers["Authorization"] != f"Bearer {tasks.key}":
            tasks.wrong_keys += 1
            return self.refuse_ark(401, "AuthenticationError")
        match self.command, task_id:
            case "POST", "":
                return self._create(tasks, has_list=has_list)
            case "GET", "" if has_list:
                return self._list(tasks, parse_qs(parts.query))
            case "GET", _ if task_id:
                return self._poll(tasks, task_id)
            case "DELETE", _ if task_id in tasks.by_id:
                deleted = tasks.delete(task_id)
                return self.give(200, b"{}") if deleted else self.refuse_ark(400, "OperationDenied.InvalidState")
        return self.refuse_ark(404, "NotFound.Task")

    def _create(self, tasks: ArkTasks, *, has_list: bool) -> None:
        draw = self.upstream.draw
        lost = [*ARK_LOST, LATE] if has_list else ARK_LOST
        kind = draw(0.15, lost + ARK_NOT_CREATED) or draw(0.06, list(EXPLICIT))
        content = self.read_submit(kind)
        if content is None:
            return None
        body = json.loads(content)
        tasks.received[body["seed"]] += 1
        sent = [item["image_url"]["url"] for item in body["content"] if item["type"] == "image_url"]
        self.upstream.wrong_images += len(sent) != 1 or not IMAGES.issuperset(sent)
        if refusal := REFUSALS.get(self.upstream.refuses) or EXPLICIT.get(kind):
            return self.refuse_ark(*refusal, {"Retry-After": "1"} if refusal[0] == 429 else None)
        match kind:
            case "hang before":
                return time.sleep(HANG)
            case "500 without a task":
                return self.refuse_ark(*INTERNAL)
            case "created late":
                time.sleep(HANG)
        if draw(0.02, ["refused for its content"]):
            return self.refuse_ark(400, "InputTextSensitiveContentDetected")
        return self._answer_created(tasks, tasks.create(body, calm=self.upstream.calm), kind)

    def _answer_created(self, tasks: ArkTasks, task: ArkTask, kind: str) -> None:
        """Answer the create of the task, or lose the answer."""
        tasks.lost += bool(kind)
        forged = self.upstream.draw(0.3 if kind else 0.1, FORGED) if task.body.get("callback_url") else ""
        self.upstream.callbacks.watch(task, forged, tasks.other_than(task.id))
        answer = json.dumps({"id": task.id}).encode()
        if kind == "500 with a task":
            return self.refuse_ark(*INTERNAL)
        if self.lose_answer(kind, answer):
            return None
        return self.give_own(
            answer, lambda: tasks.other_than(task.id), lambda other: json.dumps({"id": other.id}).encode()
        )

    def _poll(self, tasks: ArkTasks, task_id: str) -> None:
        tasks.polls += 1
        shown = {"id": task_id, "model": "any"}
        match self.upstream.draw(0.12, POLLS):
            case "404":
                return self.refuse_ark(404, "NotFound.Task")
            case "500":
                return self.refuse_ark(*INTERNAL)
            case "garbage":
                return self.give(200, b'{"id": "x", "content": 7')
            case "unknown status":
                return self.give(200, json.dumps({**shown, "status": "pondering"}).encode())
            case "reset":
                return self.reset()
            case "hang":
                return time.sleep(3)
            case "no video":
                return self.give(200, json.dumps({**shown, "status": "succeeded", "content": {}}).encode())
            case "empty object":
                return self.give(200, b"{}")
        task = tasks.by_id.get(task_id)
        if task is None:
            return self.refuse_ark(404, "NotFound.Task")
        return self.give_own(self._render(task), lambda: tasks.other_than(task_id), self._render)

    def _render(self, task: ArkTask) -> bytes:
        return json.dumps(task.render(self.upstream.url)).encode()

    def _list(self, tasks: ArkTasks, query: dict[str, list[str]]) -> None:
        tasks.pages += 1
        page: dict[str, Any] = tasks.page(query, self.upstream.url)
        items = page["items"]
        match self.upstream.draw(0.08, LISTS):
            case "list slow":
                time.sleep(1.2)
            case "list hangs":
                return time.sleep(3)
            case "list cut off":
                page["items"] = items[: len(items) // 2]
            case "list empty page":
                page["items"] = []
            case "list total too high":
                page["total"] += self.upstream.dice.randint(1, 30)
            case "list 429":
                return self.refuse_ark(429, "AccountRateLimitExceeded", {"Retry-After": "1"})
            case "list 500":
                return self.refuse_ark(*INTERNAL)
            case "list reset":
                return self.reset()
            case "list garbage":
                return self.give(200, json.dumps(page).encode()[: -len(items) - 10])
        return self.give(200, json.dumps(page).encode())

    def refuse_ark(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        """Answer with an error in Ark's envelope."""
        error = {"code": code, "message": "By dice. Request id: 02179594730", "param": "", "type": "BadRequest"}
        self.give(status, json.dumps({"error": error}).encode(), headers={"x-error-code": code, **(headers or {})})


class ArkUpstream(FaultyServer):
    """The account at the maker. While `calm`, it injects no fault."""

    def __init__(self, seed: int, key: str = "") -> None:
        self.tasks = ArkTasks("ark", seed, key)
        self.callbacks = Callbacks(lambda task: task.render(self.url), seed)
        super().__init__(seed, _handler)
        self.base_url = f"{self.url}{BASE}"


def _handler(lab: ArkUpstream) -> type[FaultyHandler]:
    class Handler(ArkHandler):
        upstream = lab

        def do_POST(self) -> None:
            self.serve_ark(lab.tasks, self.path.removeprefix(BASE), has_list=True)

        def do_DELETE(self) -> None:
            self.do_POST()

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path.startswith(BASE):
                self.do_POST()
            elif parts.path == "/image.png":
                self.give(200, image_bytes(kind="PNG"), kind="image/png")
            else:
                signature = parse_qs(parts.query).get("signature", [""])[0]
                self.give_video(int(parts.path.removeprefix("/videos/")), signature)

    return Handler
