"""Drive the model maker's own SDK, unmodified: `python ark_runtime.py URL WRONG_KEY`. URL is the sandbox's.

The program prints one JSON line with what it received. tests/contract/ark_sdk.py checks the line.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
from byteplussdkarkruntime import Ark
from byteplussdkarkruntime._exceptions import ArkAPIStatusError
from byteplussdkarkruntime.types.content_generation.content_generation_task import ContentGenerationTask

MODEL = "seedance-1-0-pro-fast-251015"
SHAPE: dict[str, Any] = {"resolution": "480p", "ratio": "16:9", "duration": 2, "seed": 42}
MAX_SECONDS = 60
Tasks = Any  # the SDK gives its resources no types


def create(tasks: Tasks, text: str, **changes: Any) -> Any:
    """Create a task of a text, and return the SDK's answer."""
    fields = {"model": MODEL, "content": [{"type": "text", "text": text}], **SHAPE, **changes}
    return tasks.create(**fields)


def wait(tasks: Tasks, task_id: str) -> ContentGenerationTask:
    """Return the task once it has ended."""
    ends = time.monotonic() + MAX_SECONDS
    while time.monotonic() < ends:
        task: ContentGenerationTask = tasks.get(task_id=task_id)
        if task.status not in ("queued", "running"):
            return task
        time.sleep(0.2)
    raise TimeoutError(f"{task_id} does not end.")


def error_of(call: Callable[[], Any]) -> list[Any]:
    """Return the class, the status and the code of the error that a call raises."""
    try:
        call()
    except ArkAPIStatusError as error:
        return [type(error).__name__, error.status_code, error.code]
    return ["no error"]


def drive_tasks(tasks: Tasks) -> dict[str, Any]:
    """Create tasks, wait for them, list and delete them. Return what the SDK made of the answers."""
    created = create(tasks, "a boat", safety_identifier="sdk-plain")
    flex = create(tasks, "a boat [wait 600]", service_tier="flex")
    queued = create(tasks, "a boat [wait 600]")
    done = wait(tasks, created.id)
    moderated = wait(tasks, create(tasks, "a boat [moderate]").id)
    ids = [created.id, flex.id, queued.id]
    tasks.delete(queued.id)
    return {
        "echo": created.safety_identifier,
        "is_of_id": done.id == created.id,
        "task": [done.model, done.status, done.safety_identifier, done.seed, done.resolution, done.ratio],
        "numbers": [done.duration, done.framespersecond, done.execution_expires_after],
        "tier": done.service_tier,
        "tokens": done.usage.completion_tokens,
        "lasted": done.updated_at >= done.created_at > 0,
        "video": httpx.get(done.content.video_url).status_code,
        "moderated": [moderated.status, moderated.error.code],
        "default_tier": names(ids, tasks.list(task_ids=ids, page_size=100)),
        "flex_tier": names(ids, tasks.list(task_ids=ids, service_tier="flex")),
        "succeeded": names(ids, tasks.list(task_ids=ids, status="succeeded", model=MODEL)),
        "other_model": tasks.list(task_ids=ids, model="another").total,
        "cancelled": tasks.get(task_id=queued.id).status,
    }


def names(ids: list[str], page: Any) -> list[str]:
    """Return which of the three tasks a page of the list has."""
    listed = {item.id for item in page.items}
    assert page.total == len(listed), page
    return [name for name, task_id in zip(("plain", "flex", "queued"), ids, strict=True) if task_id in listed]


def drive_errors(tasks: Tasks, stranger: Tasks) -> dict[str, Any]:
    """Return the errors that the SDK raises, by what was done."""
    running = create(tasks, "a boat [wait 0] [run 600]")
    unknown = "cgt-20260101000000-aaaaa"
    return {
        "key": error_of(lambda: create(stranger, "a boat")),
        "model": error_of(lambda: create(tasks, "a boat", model="seedance-0")),
        "field": error_of(lambda: create(tasks, "a boat", generate_audio=True)),
        "value": error_of(lambda: create(tasks, "a boat", duration=99)),
        "text": error_of(lambda: create(tasks, "a boat [refuse]")),
        "rate": error_of(lambda: create(tasks, "a boat [429 ServerOverloaded]")),
        "account": error_of(lambda: create(tasks, "a boat [overdue]")),
        "task": error_of(lambda: tasks.get(task_id=unknown)),
        "running": error_of(lambda: tasks.delete(running.id)),
    }


def drive_retries(tasks: Tasks) -> dict[str, Any]:
    """Make one call after which the answer is 500, and return its error, and how many tasks it paid for."""
    error = error_of(lambda: create(tasks, "a boat [500 created]", safety_identifier="sdk-broken"))
    paid = [item.id for item in tasks.list(page_size=100).items if item.safety_identifier == "sdk-broken"]
    return {"broken": error, "paid_by_one_call": len(set(paid))}


def main(url: str, wrong_key: str) -> dict[str, Any]:
    """Run all calls. Return what was received."""
    # Without retries, as a client has to be that pays once; the last call has the SDK's defaults.
    clients = [
        Ark(base_url=f"{url}/api/v3", api_key=key, **options)
        for key, options in (("any", {"max_retries": 0}), (wrong_key, {"max_retries": 0}), ("any", {}))
    ]
    careful, stranger, default = (client.content_generation.tasks for client in clients)
    return {**drive_tasks(careful), "errors": drive_errors(careful, stranger), **drive_retries(default)}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
