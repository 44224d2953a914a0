"""Store the sandbox's tasks as files, so that a restart loses none, and render them in a pool of threads."""

import functools
import json
import os
import queue
import re
import secrets
import threading
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from deploy.sandbox import scripts
from deploy.sandbox.clock import Clock
from deploy.sandbox.render import Shot, render
from generations.catalog import prices, video_models

TASK_ID = re.compile(r"[A-Za-z0-9]{32}|cgt-(batch-)?[0-9]{14}-[a-z0-9]{5}", re.ASCII)
PIXELS_OF_A_TOKEN = 1024
QUEUED_SHARE = 0.2  # share of a task's shortest time in which it is reported as queued


@dataclass(frozen=True, kw_only=True)
class Task(Shot):
    """A requested video with its id."""

    id: str
    created_at: float  # seconds since the epoch
    model: str = video_models.DEFAULT_ID  # of a task that an older sandbox stored
    owner: str = ""  # the id of the key that created it
    price_micro: int = 0  # micro-USD of the video, unless its tokens decide
    rate_micro: int | None = None  # micro-USD per million tokens

    @property
    def tokens(self) -> int:
        """The tokens of the video: the pixels of its frames by 1024, as often as the prompt says."""
        return self.width * self.height * self.frames // PIXELS_OF_A_TOKEN * scripts.usage_factor(self.prompt)

    @property
    def cost_micro(self) -> int:
        """The micro-USD that the video costs."""
        return self.price_micro if self.rate_micro is None else prices.usage_micro(self.rate_micro, self.tokens)

    @property
    def queue_seconds(self) -> float | None:
        """The seconds that the task waits; None: a share of the shortest time."""
        return None

    @property
    def run_seconds(self) -> float | None:
        """The shortest time that the task then runs, in seconds; None: the rest of the shortest time."""
        return None


@dataclass(frozen=True, kw_only=True)
class ArkTask(Task):
    """A task that was created on Ark's wire."""

    account: str  # the upstream account: "ark" or "novita"
    target: str  # the model, as the request named it
    resolution: str
    ratio: str  # the real one, also where the request left it to the model
    duration: int  # seconds
    service_tier: str
    expires_after: int  # seconds
    reference: str = ""  # the request's safety_identifier
    callback_url: str = ""
    cancelled_at: float | None = None
    deleted_at: float | None = None  # the file stays, since the task was paid for

    @property
    def queue_seconds(self) -> float | None:
        """The seconds that the prompt asks the task to wait; None: a share of the shortest time."""
        return scripts.seconds_of(self.prompt, "wait")

    @property
    def run_seconds(self) -> float | None:
        """The seconds that the prompt asks the task to run; None: the rest of the shortest time."""
        return scripts.seconds_of(self.prompt, "run")

    @property
    def is_stopped(self) -> bool:
        """True if the task is to be rendered no more."""
        return self.cancelled_at is not None or self.deleted_at is not None


class Stage(StrEnum):
    """The stage of a task's rendering."""

    QUEUED = "queued"
    RUNNING = "running"
    RENDERED = "rendered"
    BROKEN = "broken"  # the image does not decode


AnyTask = TypeVar("AnyTask", bound=Task)


class TaskStore:
    """All tasks in a folder, and the threads that render them, one per core.

    `seconds` is the shortest time that a task takes from its submit to its video.
    """

    def __init__(self, folder: Path, seconds: float, clock: Clock | None = None) -> None:
        self._folder, self._seconds, self.clock = folder, seconds, clock or Clock()
        self.lock = threading.RLock()  # held from a check of a task until its change
        self._progress: dict[str, int] = {}
        self._failed: dict[str, str] = {}
        self._waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
        folder.mkdir(parents=True, exist_ok=True)
        for task in self.tasks():
            if not self.video(task.id).exists():
                self._waiting.put(task)
        for _ in range(os.cpu_count() or 1):  # daemons: a stop does not wait for a video
            threading.Thread(target=self._work, name="render", daemon=True).start()

    def accept(self, image: bytes | None, last_image: bytes | None, **shot_fields: Any) -> Task:
        """Store a new task and queue it for rendering. A task without an image makes a video of its text."""
        return self.add(Task(id=secrets.token_hex(16), created_at=self.clock.now(), **shot_fields), image, last_image)

    def add(self, task: AnyTask, image: bytes | None, last_image: bytes | None) -> AnyTask:
        """Store the task and queue it for rendering."""
        if image:
            self._path(task.id, "image").write_bytes(image)
        if last_image:
            self._path(task.id, "last").write_bytes(last_image)
        self._write(task)
        self._waiting.put(task)
        return task

    def tasks(self) -> list[Task]:
        """Return all tasks, oldest first."""
        files = sorted(self._folder.glob("*.json"))
        return sorted((_read(file) for file in files), key=lambda task: task.created_at)

    def find(self, task_id: str) -> Task | None:
        """Return a task, or None if there is no task with that id."""
        path = self._path(task_id, "json")
        return _read(path) if TASK_ID.fullmatch(task_id) and path.exists() else None

    def cancel(self, task: ArkTask) -> None:
        """Note that the task is to be rendered no more."""
        self._write(replace(task, cancelled_at=self.clock.now()))

    def delete(self, task: ArkTask) -> None:
        """Remove the task's record and its files. A note of the paid submit stays."""
        self._write(replace(task, deleted_at=self.clock.now()))
        for kind in ("image", "last", "mp4"):
            self._path(task.id, kind).unlink(missing_ok=True)

    def video(self, task_id: str) -> Path:
        """Return the path of a task's video, which exists only after rendering."""
        return self._path(task_id, "mp4")

    def stage(self, task: Task) -> Stage:
        """Return how far the rendering of the task is, by the clock and by the renderer."""
        age = self.clock.now() - task.created_at
        if task.id in self._failed:
            return Stage.BROKEN
        if age < self._queue_seconds(task):
            return Stage.QUEUED
        return Stage.RENDERED if age >= self.seconds(task) and self.video(task.id).exists() else Stage.RUNNING

    def seconds(self, task: Task) -> float:
        """Return the shortest time that the task takes."""
        return self._queue_seconds(task) + self._run_seconds(task)

    def started_at(self, task: Task) -> float:
        """Return the time at which the task begins to run."""
        return task.created_at + self._queue_seconds(task)

    def percent(self, task: Task) -> int:
        """Return the progress of a running task, below 100."""
        running, age = self._run_seconds(task), self.clock.now() - self.started_at(task)
        by_time = 100 * age / running if running else 100
        return min(int(by_time), self._progress.get(task.id, 0), 99)

    def failure(self, task: Task) -> str:
        """Return why the task could not be rendered."""
        return self._failed.get(task.id, "")

    def _queue_seconds(self, task: Task) -> float:
        return self._seconds * QUEUED_SHARE if task.queue_seconds is None else task.queue_seconds

    def _run_seconds(self, task: Task) -> float:
        return self._seconds * (1 - QUEUED_SHARE) if task.run_seconds is None else task.run_seconds

    def _work(self) -> None:
        while True:
            task = self.find(self._waiting.get().id)  # read again: it may have been cancelled
            if task and not (isinstance(task, ArkTask) and task.is_stopped):
                self._render(task)

    def _render(self, task: Task) -> None:
        image, last, unfinished = (self._path(task.id, kind) for kind in ("image", "last", "part"))
        first_image, last_image = (path.read_bytes() if path.exists() else None for path in (image, last))
        try:
            report_percent = functools.partial(self._progress.__setitem__, task.id)
            render(task, first_image, last_image, unfinished, report_percent)
            unfinished.rename(self.video(task.id))
        except Exception as error:  # an image whose pixels do not decode: the task fails, as it does upstream
            self._failed[task.id] = f"{type(error).__name__}: {error}"

    def _path(self, task_id: str, kind: str) -> Path:
        return self._folder / f"{task_id}.{kind}"

    def _write(self, task: Task) -> None:
        path = self._path(task.id, "json")
        part = path.with_suffix(".new")
        part.write_bytes(json.dumps(asdict(task)).encode())
        part.rename(path)


def _read(file: Path) -> Task:
    """Return the task that a file holds."""
    fields = json.loads(file.read_text())
    return ArkTask(**fields) if "target" in fields else Task(**fields)
