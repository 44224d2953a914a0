"""Callbacks of the lab's Ark: the true ones, and forged ones that anyone could post."""

import json
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx

from tests.faults.ark_tasks import ArkTask

FORGED = ["of an unknown reference", "with another's task", "with garbage", "with an unknown task"]
GARBAGE = [b"", b"{", b"[]", b'{"id": 7}', b"\xff\xfe", b'{"id": "cgt-1", "id": "cgt-2"}', b'{"status": "succeeded"}']


class Callbacks:
    """Posts the changes of tasks to their callback URLs. `forge` posts in the name of anyone."""

    def __init__(self, render: Callable[[ArkTask], dict[str, Any]], seed: int) -> None:
        self.answers: Counter[str] = Counter()  # to each kind of post
        self._render, self._dice = render, random.Random(seed)

    def watch(self, task: ArkTask, forged: str, other: ArkTask | None) -> None:
        """Post the task's changes from now on, in a thread, after a forged callback if there is to be one."""
        if url := task.body.get("callback_url"):
            threading.Thread(target=self._follow, args=(task, url, forged, other), daemon=True).start()

    def _follow(self, task: ArkTask, url: str, forged: str, other: ArkTask | None) -> None:
        if forged:
            self._forge(forged, url, other)
        for moment in (0.0, task.begins_at, task.ready_at):
            time.sleep(max(0.0, moment - time.monotonic()))
            if self._dice.random() < 0.8:  # some are lost, as the answers to creates are
                self._post("true", url, json.dumps(self._render(task)).encode())

    def _forge(self, kind: str, url: str, other: ArkTask | None) -> None:
        """Post a callback that the upstream never sent."""
        body = json.dumps(self._render(other)).encode() if other else b'{"id": "cgt-20261129101500-none"}'
        match kind:
            case "of an unknown reference":
                self._post(kind, f"{url.rpartition('/')[0]}/{secrets.token_hex(16)}", body)
            case "with another's task":
                self._post(kind, url, body)
            case "with an unknown task":
                self._post(kind, url, b'{"id": "cgt-20261129101500-nowhere", "status": "succeeded"}')
            case "with garbage":
                self._post(kind, url, self._dice.choice(GARBAGE))

    def _post(self, kind: str, url: str, content: bytes) -> None:
        try:
            status = str(httpx.post(url, content=content, headers={"Content-Type": "application/json"}).status_code)
        except httpx.HTTPError as error:  # the service is being killed
            status = type(error).__name__
        self.answers[f"{kind}: {status}"] += 1
