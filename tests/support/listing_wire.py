"""A made-up wire in this process, whose account lists its tasks, and whose answers a test sets."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from generations.catalog.offers import Offer
from generations.upstream import accounts, list_scans, wires
from generations.upstream.errors import NoVideo, UpstreamError
from generations.upstream.outcomes import Created, InDoubt, PollOutcome, Rendering, Shape, SubmitOutcome
from generations.upstream.protocol import Account, CancelRefused, ListedTask, ListPage, Probe, TaskRequest
from tenants.db import clock

NAME = "made-up"
TARGET = "made-up-model-1"
OFFER = Offer(NAME, NAME, TARGET)
LOST = InDoubt("the answer was lost")


class ListingWire:
    """A wire without HTTP. A submit creates a task, unless `creates` is False, and answers `on_submit`."""

    name = NAME
    can_cancel = False

    def __init__(self) -> None:
        self.tasks: list[ListedTask] = []
        self.requests: list[TaskRequest] = []
        self.reads: list[str] = []
        self.scans = 0
        self.creates, self.echoes, self.has_list = True, True, True
        self.on_submit: SubmitOutcome | None = None  # None: the plain answer
        self.on_list: Callable[[], Any] = lambda: None  # called before each page
        self.on_read: Callable[[str], Any] = lambda upstream_id: None
        self.page_size, self.missing = 2, 0  # of the tasks, how many the list leaves out

    def accounts(self) -> tuple[Account, ...]:
        return (Account(NAME, NAME, "http://127.0.0.1:9", "key", has_list=self.has_list),)

    def encode(self, request: TaskRequest) -> bytes:
        self.requests.append(request)
        return b"{}"

    def submit(self, account: Account, target: str, content: bytes) -> SubmitOutcome:
        created = None
        if self.creates:
            created = Created(self.create(self.requests[-1]).upstream_id)
        return self.on_submit or created or LOST

    def create(self, request: TaskRequest, **facts: Any) -> ListedTask:
        """Create the task of a request, and list it."""
        values = request.values
        shape = Shape(values["resolution"], values["aspect_ratio"], values["duration"])
        reference = request.reference if self.echoes else ""
        task = ListedTask(
            f"task-{len(self.tasks) + 1}", TARGET, reference, values["seed"], shape, clock.now(), "queued"
        )
        self.tasks.append(replace(task, **facts))
        return self.tasks[-1]

    def get(self, account: Account, upstream_id: str) -> PollOutcome:
        return Rendering(None)

    def read_task(self, account: Account, upstream_id: str) -> ListedTask:
        self.reads.append(upstream_id)
        self.on_read(upstream_id)
        for task in self.tasks:
            if task.upstream_id == upstream_id:
                return task
        raise NoVideo("there is no such task")

    def list_tasks(self, account: Account, target: str) -> Iterator[ListPage]:
        self.scans += 1
        tasks = [task for task in self.tasks if task.target == target]
        shown = tasks[: len(tasks) - self.missing]
        for start in range(0, max(len(shown), 1), self.page_size):
            self.on_list()
            yield ListPage(shown[start : start + self.page_size], len(tasks))

    def cancel(self, account: Account, upstream_id: str) -> None:
        raise CancelRefused("not here")

    def check_account(self, account: Account) -> datetime | None:
        return None

    def probe(self, account: Account, targets: Iterable[str]) -> Iterator[Probe]:
        return iter(())

    def parse_callback(self, content: bytes) -> str:
        return content.decode()


def install(monkeypatch: pytest.MonkeyPatch) -> ListingWire:
    """Let every model be offered at the made-up account alone, and lists be read without waits. Return the wire."""
    wire = ListingWire()
    known = {**wires.load(), NAME: wire}
    monkeypatch.setattr(wires, "load", lambda: known)
    monkeypatch.setattr(accounts, "usable_offers", lambda model, *, test: [OFFER])
    monkeypatch.setattr(list_scans, "PACE", list_scans.PACE * 0)
    return wire


def be_away() -> None:
    """Break a call."""
    raise UpstreamError("the upstream is away")
