"""Test the sandbox's tasks as files: with an image and without, and those of an older sandbox."""

import json
import time
from pathlib import Path
from typing import Any

import av
import pytest

from deploy.sandbox.store import Stage, Task, TaskStore
from tests.support.images import image_bytes

pytestmark = pytest.mark.story

SHOT: dict[str, Any] = {"width": 160, "height": 90, "frames": 5, "seed": 7, "camera_fixed": False, "prompt": "a ship"}


def open_video(store: TaskStore, task: Task) -> av.container.InputContainer:
    """Return the task's video, as soon as it is rendered."""
    ends = time.monotonic() + 30
    while (stage := store.stage(task)) != Stage.RENDERED:
        assert stage != Stage.BROKEN, store.failure(task)
        assert time.monotonic() < ends
        time.sleep(0.01)
    return av.open(str(store.video(task.id)))


@pytest.mark.parametrize("image", [None, image_bytes()], ids=["text", "image"])
def test_a_task_has_the_frame_rate_and_the_sound_that_it_was_asked_for(tmp_path: Path, image: bytes | None) -> None:
    store = TaskStore(tmp_path, 0)
    task = store.accept(image, None, **SHOT, fps=10, sound=True)
    assert store.find(task.id) == task
    with open_video(store, task) as video:
        assert video.streams.video[0].average_rate == 10
        assert [stream.type for stream in video.streams] == ["video", "audio"]


def test_a_task_without_an_image_is_rendered_after_a_restart(tmp_path: Path) -> None:
    before = TaskStore(tmp_path, 0)
    task = before.accept(None, None, **SHOT)
    with open_video(before, task):
        content = before.video(task.id).read_bytes()
    before.video(task.id).unlink()
    after = TaskStore(tmp_path, 0)
    with open_video(after, task):
        assert after.video(task.id).read_bytes() == content


def test_a_task_of_an_older_sandbox_is_silent_and_has_24_frames_a_second(tmp_path: Path) -> None:
    task_id = "0" * 32
    (tmp_path / f"{task_id}.json").write_text(json.dumps({**SHOT, "id": task_id, "created_at": 1.0}))
    (tmp_path / f"{task_id}.image").write_bytes(image_bytes())
    store = TaskStore(tmp_path, 0)
    [task] = store.tasks()
    with open_video(store, task) as video:
        assert video.streams.video[0].average_rate == 24
        assert [stream.type for stream in video.streams] == ["video"]
