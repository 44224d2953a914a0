"""Tasks of Ark's wire: their status, the object that shows them, the list, and what a DELETE does to them."""

import time
from typing import Any

from django.http import QueryDict

from deploy.sandbox import scripts, shared
from deploy.sandbox.ark_errors import ArkError
from deploy.sandbox.store import ArkTask, Stage

URL_TTL = int(shared.URL_TTL or 86400)  # seconds
RECORD_SECONDS = 7 * 86400  # for which a record is shown
CANCELLED_RECORD_SECONDS = 86400
STATUSES = ("queued", "running", "cancelled", "succeeded", "failed", "expired")
TIERS = ("default", "flex")
MAX_PAGE_SIZE = 500
PAGE_SIZE = 20
SLOW_LIST_SECONDS = 5.0
store = shared.store


def status_of(task: ArkTask) -> str:
    """Return the status of the task now."""
    stage = store.stage(task)
    if task.cancelled_at is not None:
        return "cancelled"
    if stage == Stage.BROKEN:
        return "failed"
    if stage != Stage.RENDERED:
        is_late = store.clock.now() - task.created_at > task.expires_after
        return "expired" if is_late else "queued" if stage == Stage.QUEUED else "running"
    if scripts.has(task.prompt, "fail") or scripts.has(task.prompt, "moderate"):
        return "failed"
    return "expired" if scripts.has(task.prompt, "expire") else "succeeded"


def find(task_id: str, account: str) -> ArkTask:
    """Return a task of the account. Raise ArkError if it has none of that id, or none any more."""
    task = store.find(task_id)
    if not isinstance(task, ArkTask) or not _is_on_record(task, account):
        raise ArkError(404, "NotFound.Task", f"The task {task_id[:60]} is not found.", "id")
    return task


def cancel_or_delete(task_id: str, account: str) -> None:
    """Cancel a queued task, or remove the record of a finished one. Raise ArkError for any other."""
    with store.lock:
        task = find(task_id, account)
        status = status_of(task)
        if status == "queued":
            store.cancel(task)
        elif status in ("succeeded", "failed", "expired"):
            store.delete(task)
        else:
            code = "InvalidAction.RunningTaskDeletion" if status == "running" else "InvalidAction"
            raise ArkError(409, code, f"Cannot delete the task {task_id} because it is currently {status}.", "id")


def render(task: ArkTask, request_id: str) -> dict[str, Any]:
    """Return the task object. What the video is like is known of a succeeded task alone."""
    status = status_of(task)
    body: dict[str, Any] = {
        "id": task.id,
        "model": task.target,
        "status": status,
        "error": _error(task, request_id) if status == "failed" else None,
        "created_at": int(task.created_at),
        "updated_at": int(_changed_at(task, status)),
        "service_tier": task.service_tier,
        "execution_expires_after": task.expires_after,
        "generate_audio": task.sound,
    }
    if task.reference and not scripts.has(task.prompt, "no echo"):
        body["safety_identifier"] = task.reference
    return body | _describe_video(task) if status == "succeeded" else body


def _describe_video(task: ArkTask) -> dict[str, Any]:
    """Return what a succeeded task says of its video."""
    number = str if scripts.has(task.prompt, "text numbers") else int
    ttl = -1 if scripts.has(task.prompt, "url expired") else URL_TTL
    usage = {"completion_tokens": number(task.tokens), "total_tokens": number(task.tokens)}
    return {
        "content": {"video_url": shared.video_url(task, ttl)},
        "seed": task.seed,
        "resolution": task.resolution,
        "ratio": task.ratio,
        "duration": number(task.duration),
        "framespersecond": task.fps,
    } | ({} if scripts.has(task.prompt, "no usage") else {"usage": usage})


def _error(task: ArkTask, request_id: str) -> dict[str, str]:
    """Return the error of a failed task."""
    code, message = "InternalServiceError", store.failure(task) or "The service encountered an internal error."
    if scripts.has(task.prompt, "moderate"):
        code = "OutputVideoSensitiveContentDetected"
        message = "The request failed because the output video may contain sensitive information."
    return {"code": code, "message": f"{message} Request id: {request_id}"}


def _changed_at(task: ArkTask, status: str) -> float:
    """Return the time of the last change of the status."""
    if task.cancelled_at is not None:
        return task.cancelled_at
    if status == "expired" and store.stage(task) != Stage.RENDERED:
        return task.created_at + task.expires_after
    started, ended = store.started_at(task), task.created_at + store.seconds(task)
    at = {"queued": task.created_at, "running": started}.get(status, ended)
    return min(at, store.clock.now())


def _is_on_record(task: ArkTask, account: str) -> bool:
    """Return whether the account still has the task's record."""
    now = store.clock.now()
    is_old = now - task.created_at > RECORD_SECONDS
    is_gone = task.cancelled_at is not None and now - task.cancelled_at > CANCELLED_RECORD_SECONDS
    return task.account == account and task.deleted_at is None and not is_old and not is_gone


def list_page(query: QueryDict, account: str, request_id: str) -> dict[str, Any]:
    """Return one page of the tasks that the filters let through, the newest first. Raise ArkError."""
    number, size = _read_number(query, "page_num", 1, 2**31), _read_number(query, "page_size", PAGE_SIZE, MAX_PAGE_SIZE)
    status, tier = query.get("filter.status"), query.get("filter.service_tier") or "default"
    for name, value, listed in (("status", status, STATUSES), ("service_tier", tier, TIERS)):
        if value and value not in listed:
            raise ArkError(400, "InvalidParameter", f"The parameter `filter.{name}` is not valid.", f"filter.{name}")
    ids, model = query.getlist("filter.task_ids"), query.get("filter.model")
    on_record = [task for task in store.tasks() if isinstance(task, ArkTask) and _is_on_record(task, account)]
    slow = [scripts.seconds_of(task.prompt, "slow list", SLOW_LIST_SECONDS) or 0.0 for task in on_record]
    time.sleep(max(slow, default=0.0))
    found = [
        task
        for task in reversed(on_record)
        if task.service_tier == tier
        and (not model or task.target == model)
        and (not ids or task.id in ids)
        and (not status or status_of(task) == status)
        and store.clock.now() - task.created_at >= (scripts.seconds_of(task.prompt, "hide") or 0.0)
    ]
    page = found[(number - 1) * size : number * size]
    return {"items": [render(task, request_id) for task in page], "total": len(found)}


def _read_number(query: QueryDict, name: str, default: int, maximum: int) -> int:
    """Return a number of the query from 1 to `maximum`. Raise ArkError."""
    text = query.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= maximum):
        raise ArkError(400, "InvalidParameter", f"The parameter `{name}` must be from 1 to {maximum}.", name)
    return int(text)
