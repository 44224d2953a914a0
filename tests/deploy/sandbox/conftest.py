"""A sandbox as a process of its own, and a client of its Ark wire that hides nothing."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy import stack, waiting

CATALOG = Path(__file__).parent / "catalog"
MODEL = "acme-ark-1-251120"
LIVE, METERED = "/api/v3", "/v3/bytedance/metered"


class Ark:
    """The calls of Ark's wire at one address of the sandbox."""

    def __init__(self, url: str, base: str = LIVE) -> None:
        self.url, self.base = url, base

    def at(self, base: str) -> "Ark":
        """Return the client of another address of the same sandbox."""
        return Ark(self.url, base)

    def post(self, text: str = "a ship", **changes: Any) -> httpx.Response:
        """Send a create. A change to `...` leaves the field out."""
        body = {"model": MODEL, "content": [{"type": "text", "text": text}], **changes}
        return self.send("POST", json={name: value for name, value in body.items() if value is not ...})

    def send(self, method: str, task_id: str = "", **options: Any) -> httpx.Response:
        """Send any request to the tasks, or to one of them."""
        url = f"{self.url}{self.base}/contents/generations/tasks/{task_id}".rstrip("/")
        return httpx.request(method, url, headers={"Authorization": "Bearer any"}, timeout=30, **options)

    def create(self, text: str = "a ship", **changes: Any) -> str:
        """Return the id of a new task."""
        answer = self.post(text, **changes)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def get(self, task_id: str) -> dict[str, Any]:
        """Return the task object."""
        answer = self.send("GET", task_id)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait(self, task_id: str, *statuses: str) -> dict[str, Any]:
        """Return the task object as soon as it has one of the statuses."""
        ends = time.monotonic() + 30
        while (task := self.get(task_id))["status"] not in statuses:
            assert time.monotonic() < ends, task
            time.sleep(0.02)
        return task

    def list(self, **query: Any) -> dict[str, Any]:
        """Return a page of the list. `status=` stands for `filter.status=`."""
        paging = ("page_num", "page_size")
        params = {name if name in paging else f"filter.{name}": value for name, value in query.items()}
        answer = self.send("GET", params=params)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def list_ids(self, **query: Any) -> "list[str]":
        """Return the ids of a page of the list."""
        return [task["id"] for task in self.list(**query)["items"]]

    def count_paid(self) -> int:
        """Return how many tasks were created, on all wires."""
        return len(httpx.get(f"{self.url}/sandbox/tasks").json()["tasks"])

    def put_clock_forward(self, seconds: float) -> None:
        """Put the sandbox's clock forward."""
        assert httpx.post(f"{self.url}/sandbox/clock?seconds={seconds}").status_code == 200


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the code of an error."""
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture(scope="module")
def ark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ark]:
    folder: Path = tmp_path_factory.mktemp("ark")
    port = stack.free_port(16_005 + os.getpid() % 600 * 10)
    process = stack.sandbox(folder / "tasks", folder, port, 0.5, {**os.environ, "CATALOG_DIR": str(CATALOG)})
    try:
        waiting.until_answers(process, f"http://127.0.0.1:{port}/sandbox/tasks")
        yield Ark(f"http://127.0.0.1:{port}")
    finally:
        stack.stop([process])
