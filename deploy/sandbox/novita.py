"""Serve Novita's wire format: submit of each model in the catalogue, Task Result, and the error envelope.

A prompt controls the sandbox: with [fail] the task fails, with [refuse] it is refused as ILLEGAL_PROMPT, with [lose]
the task is created but the answer is a proxy's error, and with [usage 2] it reports twice the tokens.
"""

from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from deploy.sandbox import shared
from deploy.sandbox.store import ArkTask, Stage, Task
from generations import errors
from generations.catalog import request_check, video_models
from generations.catalog.video_models import VideoModel
from generations.outbound.errors import OutboundError

WIRE = "novita-async"  # as the catalogue names it
URL_TTL = int(shared.URL_TTL or 3600)  # seconds
STATUSES = {
    Stage.QUEUED: "TASK_STATUS_QUEUED",
    Stage.RUNNING: "TASK_STATUS_PROCESSING",
    Stage.RENDERED: "TASK_STATUS_SUCCEED",
    Stage.BROKEN: "TASK_STATUS_FAILED",
}
IMAGE_REASONS: dict[type[Exception], str] = {
    errors.ImageTooManyBytes: "IMAGE_FILE_EXCEEDS_MAX_SIZE",
    errors.ImageTooLarge: "IMAGE_EXCEEDS_MAX_RESOLUTION",
    errors.ImageTooSmall: "INVALID_IMAGE_SIZE",
    errors.ImageAspectOutOfRange: "INVALID_IMAGE_SIZE",
}


class Refused(Exception):
    """The sandbox refuses a request; the attributes are those of Novita's error envelope."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason

    def render(self) -> JsonResponse:
        """Return the error envelope."""
        body = {"code": self.status, "reason": self.reason, "message": str(self), "metadata": {}}
        return JsonResponse(body, status=self.status)


def submit(request: HttpRequest, model_id: str) -> HttpResponse:
    """Create a task from a valid request for the model."""
    model = video_models.models()[model_id]
    try:
        authorize(request)
        body = _body(request)
        values = _check(model, body)
        images_of = {name: _image(model, values[name]) for name in model.image_fields if values[name] is not None}
    except Refused as refused:
        return refused.render()
    image, last_image = images_of.get("image"), images_of.get("last_image")
    fields = shared.shot_fields(model, values, image, last_image)
    fields |= shared.price_fields(shared.key_of(request), model, values, WIRE)
    task = shared.store.accept(image, last_image, **fields)
    if "[lose]" in task.prompt:
        return HttpResponse("<h1>502 Bad Gateway</h1>", status=502)
    return JsonResponse({"task_id": task.id})


def task_result(request: HttpRequest) -> HttpResponse:
    """Answer with a task's status and, when it has succeeded, the URL of its video."""
    try:
        authorize(request)
        task = shared.store.find(request.GET.get("task_id", ""))
        if task is None or isinstance(task, ArkTask):
            raise Refused(404, "TASK_NOT_FOUND", "the task is not found")
    except Refused as refused:
        return refused.render()
    return JsonResponse(_result(task))


def no_such_api(request: HttpRequest, **_names: str) -> HttpResponse:
    """Answer as Novita does to a path that it does not serve."""
    return Refused(404, "API_NOT_FOUND", "there is no such API").render()


def authorize(request: HttpRequest) -> None:
    """Raise Refused for a request without a key that the sandbox accepts."""
    if not shared.is_accepted_key(shared.key_of(request)):
        raise Refused(403, "INVALID_API_KEY", "the API key is not valid")


def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(request.read())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, "INVALID_REQUEST_BODY", f"the body is not JSON: {error}") from error
    if request.method != "POST" or not isinstance(fields, dict):
        raise Refused(400, "INVALID_REQUEST_BODY", "the body must be a JSON object")
    return fields


def _check(model: VideoModel, body: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a request that the model takes. Raise Refused."""
    try:
        values = request_check.check_wire(model, body)
    except request_check.BadRequest as error:
        raise Refused(400, "INVALID_REQUEST_BODY", str(error)) from error
    if "[refuse]" in (values.get("prompt") or ""):
        raise Refused(400, "ILLEGAL_PROMPT", "the prompt is refused")
    return values


def _image(model: VideoModel, text: str) -> bytes:
    try:
        return shared.read_image(model, text)
    except errors.BadImage as error:
        raise Refused(400, IMAGE_REASONS.get(type(error), "INVALID_IMAGE_FORMAT"), str(error)) from error
    except OutboundError as error:
        raise Refused(400, "INVALID_REQUEST_BODY", f"the image can not be read: {error}") from error


def _result(task: Task) -> dict[str, Any]:
    stage, reason = shared.store.stage(task), shared.store.failure(task)
    if "[fail]" in task.prompt and stage == Stage.RENDERED:
        stage, reason = Stage.BROKEN, "the prompt asked for a failure"
    progress = {Stage.RUNNING: shared.store.percent(task), Stage.RENDERED: 100}
    done, model = stage == Stage.RENDERED, video_models.get(task.model)
    usage = {"usage": {"completion_tokens": task.tokens}} if done and model and model.row.settle == "usage" else {}
    url = {"video_url": shared.video_url(task, URL_TTL), "video_url_ttl": str(URL_TTL), "video_type": "mp4"}
    return {
        **usage,
        "extra": {"seed": str(task.seed)} if done and (model is None or model.has_seed) else {},
        "task": {
            "task_id": task.id,
            "task_type": "TXT_TO_VIDEO" if model and model.row.task == "t2v" else "IMG_TO_VIDEO",
            "status": STATUSES[stage],
            "reason": reason,
            "eta": 0,
            "progress_percent": progress.get(stage, 0),
        },
        "images": [],
        "videos": [url] if done else [],
        "audios": [],
    }


urlpatterns = [
    *(path(route.lstrip("/"), submit, {"model_id": model.id}) for route, model in video_models.by_route().items()),
    path("v3/async/task-result", task_result),
]
