"""Store the sandbox's tasks as files, so that a restart loses none, and render them in a pool of threads."""

import functools
import json
import os
import queue
import re
import secrets
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.sandbox.render import Shot, render
from generations.catalog import video_models

USAGE = re.compile(r"\[usage ([0-9]{1,6})\]")  # in a prompt
PIXELS_OF_A_TOKEN = 1024
QUEUED_SHARE = 0.2  # share of a task's shortest time in which it is reported as queued


@dataclass(frozen=True, kw_only=True)
class Task(Shot):
    """A requested video with its id."""

    id: str
    created_at: float  # seconds since the epoch
    model: str = video_models.DEFAULT_ID  # of a task that an older sandbox stored

    @property
    def tokens(self) -> int:
        """The tokens of the video: the pixels of its frames by 1024, as often as the prompt says."""
        scripted = USAGE.search(self.prompt)
        return self.width * self.height * self.frames // PIXELS_OF_A_TOKEN * (int(scripted[1]) if scripted else 1)


class TaskStore:
    """All tasks in a folder, and the threads that render them, one per core.

    `seconds` is the shortest time that a task takes from its submit to its video.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds
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
        task = Task(id=secrets.token_hex(16), created_at=time.time(), **shot_fields)
        if image:
            self._path(task.id, "image").write_bytes(image)
        if last_image:
            self._path(task.id, "last").write_bytes(last_image)
        _write_atomically(self._path(task.id, "json"), json.dumps(asdict(task)).encode())
        self._waiting.put(task)
        return task

    def tasks(self) -> list[Task]:
        """Return all tasks, oldest first."""
        files = sorted(self._folder.glob("*.json"))
        return sorted((Task(**json.loads(file.read_text())) for file in files), key=lambda task: task.created_at)

    def find(self, task_id: str) -> Task | None:
        """Return a task, or None if there is no task with that id."""
        path = self._path(task_id, "json")
        exists = len(task_id) == 32 and task_id.isascii() and task_id.isalnum() and path.exists()
        return Task(**json.loads(path.read_text())) if exists else None

    def video(self, task_id: str) -> Path:
        """Return the path of a task's video, which exists only after rendering."""
        return self._path(task_id, "mp4")

    def state(self, task: Task) -> tuple[str, int, str]:
        """Return (status, progress_percent, reason) for Task Result."""
        age, queued = time.time() - task.created_at, self._seconds * QUEUED_SHARE
        if task.id in self._failed:
            return "TASK_STATUS_FAILED", 0, self._failed[task.id]
        if age < queued:
            return "TASK_STATUS_QUEUED", 0, ""
        if age >= self._seconds and self.video(task.id).exists():
            return "TASK_STATUS_SUCCEED", 100, ""
        by_time = 100 * (age - queued) / (self._seconds - queued) if self._seconds else 100
        return "TASK_STATUS_PROCESSING", min(int(by_time), self._progress.get(task.id, 0), 99), ""

    def _work(self) -> None:
        while True:
            self._render(self._waiting.get())

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


def _write_atomically(path: Path, content: bytes) -> None:
    part = path.with_suffix(".new")
    part.write_bytes(content)
    part.rename(path)
