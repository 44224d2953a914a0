"""Post each change of a task to its callback_url, as Ark does: the whole task object, unsigned."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from deploy.sandbox.store import ArkTask
from generations.outbound import transport
from generations.outbound.errors import OutboundError

CALL_SECONDS = 5.0
MORE_TRIES = 3  # for succeeded and failed
RETRY_SECONDS = 1.0  # between two tries
CHECK_SECONDS = 0.05  # between two looks at the tasks
THREADS = 8
FINAL = ("succeeded", "failed", "expired", "cancelled")


class Callbacks:
    """The tasks whose changes are posted, and the threads that post them, each task's in their order."""

    def __init__(self, status_of: Callable[[ArkTask], str], render: Callable[[ArkTask], dict[str, Any]]) -> None:
        self._status_of, self._render = status_of, render
        self._watched: dict[str, tuple[ArkTask, str]] = {}  # with the status that was posted last
        self._bodies: dict[str, deque[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="callback")
        threading.Thread(target=self._watch_all, name="callbacks", daemon=True).start()

    def watch(self, task: ArkTask) -> None:
        """Post the task as it is now, and each change from now on."""
        if task.callback_url:
            self._note(task, "")

    def forget(self, task_id: str) -> None:
        """Post nothing more of the task: it was cancelled or deleted."""
        with self._lock:
            self._watched.pop(task_id, None)

    def _watch_all(self) -> None:
        while True:
            time.sleep(CHECK_SECONDS)
            for task, posted in list(self._watched.values()):
                self._note(task, posted)

    def _note(self, task: ArkTask, posted: str) -> None:
        """Queue a post if the task's status is no longer the one that was posted last."""
        if self._status_of(task) == posted:
            return
        body = self._render(task)
        with self._lock:
            if posted and task.id not in self._watched:  # it was cancelled just now
                return
            self._watched[task.id] = task, body["status"]
            if body["status"] in FINAL:
                del self._watched[task.id]
            is_idle = task.id not in self._bodies
            self._bodies.setdefault(task.id, deque()).append(body)
        if is_idle:
            self._pool.submit(self._post_all, task)

    def _post_all(self, task: ArkTask) -> None:
        """Post what is queued of a task, until nothing is."""
        while True:
            with self._lock:
                if not self._bodies[task.id]:
                    del self._bodies[task.id]
                    return
                body = self._bodies[task.id].popleft()
            tries = 1 + (MORE_TRIES if body["status"] in ("succeeded", "failed") else 0)
            for number in range(tries):
                if number:
                    time.sleep(RETRY_SECONDS)
                if _post(task.callback_url, msgspec.json.encode(body)):
                    break


def _post(url: str, content: bytes) -> bool:
    """Post a body, and return whether it was answered in time.

    The address may be a private one, as that of a service on this machine is: who creates tasks here chooses it.
    """
    headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    budget = transport.Budget(CALL_SECONDS, max_bytes=32 * 1024)
    try:
        with transport.exchange("POST", url, headers, budget, content=content) as response:
            return response.status < 400
    except OutboundError:
        return False  # a callback is a hint: the upstream reports nothing of one that failed
