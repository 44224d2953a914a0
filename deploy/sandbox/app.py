"""Serve Novita's wire format: submit, Task Result, the error envelope and the validation of the endpoint's page.

A prompt controls the sandbox: with [fail] the task fails, with [refuse] it is refused as ILLEGAL_PROMPT, and with
[lose] the task is created but the answer is a proxy's error.
"""

import hashlib
import hmac
import os
import random
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.urls import path

FOLDER = Path(os.environ["SANDBOX_DIR"])
API_KEY = os.environ.get("SANDBOX_API_KEY", "")  # empty: any key is accepted
URL_TTL = int(os.environ.get("SANDBOX_URL_TTL", "3600"))  # seconds

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SANDBOX_SECRET") or os.urandom(16).hex(),
    ALLOWED_HOSTS=["127.0.0.1", "localhost", "[::1]", urlsplit(os.environ["SANDBOX_URL"]).hostname],
    CATALOG_DIR=os.environ.get("CATALOG_DIR", ""),
    FETCH_ALLOW_HOSTS=[],
    DELIVERY_THREADS=2,  # the sandbox posts nothing, but the fetch of images reads this setting
    USE_TZ=True,
    MIDDLEWARE=[],
)
application = get_wsgi_application()

# These modules of the service read Django's settings, so they are imported after the settings.
from deploy.sandbox.store import Task, TaskStore
from generations import errors
from generations.catalog import video_models
from generations.catalog.request_fields import RANDOM_SEED
from generations.media import images
from generations.outbound import fetch
from generations.outbound.errors import OutboundError

store = TaskStore(FOLDER, float(os.environ.get("SANDBOX_SECONDS", "8")))
MODEL = video_models.default()
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


def submit(request: HttpRequest) -> HttpResponse:
    """Create a task from a valid request."""
    try:
        _authorize(request)
        body = _body(request)
        last = _image(body["last_image"]) if body["last_image"] is not None else None
        task = store.accept(_image(body["image"]), last, **_shot_fields(body))
    except Refused as refused:
        return refused.render()
    if "[lose]" in body["prompt"]:
        return HttpResponse("<h1>502 Bad Gateway</h1>", status=502)
    return JsonResponse({"task_id": task.id})


def task_result(request: HttpRequest) -> HttpResponse:
    """Answer with a task's status and, when it has succeeded, the URL of its video."""
    try:
        _authorize(request)
        task = store.find(request.GET.get("task_id", ""))
        if task is None:
            raise Refused(404, "TASK_NOT_FOUND", "the task is not found")
    except Refused as refused:
        return refused.render()
    return JsonResponse(_result(task))


def video(request: HttpRequest, task_id: str) -> HttpResponse | FileResponse:
    """Serve a video to a request with a valid signature."""
    expires = request.GET.get("expires", "")
    signed = hmac.compare_digest(_signature(task_id, expires).encode(), request.GET.get("signature", "").encode())
    if not signed or int(expires) < time.time():
        return HttpResponse("the URL is not valid, or no longer", status=403)
    return FileResponse(store.video(task_id).open("rb"), content_type="video/mp4")


def tasks(request: HttpRequest) -> HttpResponse:
    """List every paid submit, for tests that count them. Novita has no such address."""
    return JsonResponse({"tasks": [{"id": task.id, "seed": task.seed} for task in store.tasks()]})


def _authorize(request: HttpRequest) -> None:
    key = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if not key or (API_KEY and not hmac.compare_digest(key.encode(), API_KEY.encode())):
        raise Refused(403, "INVALID_API_KEY", "the API key is not valid")


def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(request.read())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, "INVALID_REQUEST_BODY", f"the body is not JSON: {error}") from error
    if request.method != "POST" or not isinstance(fields, dict):
        raise Refused(400, "INVALID_REQUEST_BODY", "the body must be a JSON object")
    defaults = {"prompt": "", "aspect_ratio": "16:9", "last_image": None, "camera_fixed": False, "duration": 5}
    body = {**defaults, "image": None, "resolution": None, "seed": RANDOM_SEED, **fields}
    for name, rule in RULES.items():
        if not rule(body[name]):
            raise Refused(400, "INVALID_REQUEST_BODY", f"{name} is not valid")
    if "[refuse]" in body["prompt"]:
        raise Refused(400, "ILLEGAL_PROMPT", "the prompt is refused")
    return body


RULES: dict[str, Any] = {
    "image": lambda value: isinstance(value, str) and value != "",
    "last_image": lambda value: value is None or (isinstance(value, str) and value != ""),
    "resolution": lambda value: value in MODEL.supported("resolution"),
    "aspect_ratio": lambda value: value in MODEL.supported("aspect_ratio"),
    "duration": lambda value: type(value) is int and value in MODEL.supported("duration"),
    "prompt": lambda value: isinstance(value, str) and len(value) <= 2000,
    "camera_fixed": lambda value: isinstance(value, bool),
    "seed": lambda value: type(value) is int and RANDOM_SEED <= value <= MODEL.max_seed,
}


def _image(text: str) -> bytes:
    try:
        is_url = images.is_url(text)
        content = fetch.read(text, limit=images.MAX_BYTES, deadline=30.0) if is_url else images.decode(text)
        images.inspect(content)
        return content
    except errors.BadImage as error:
        raise Refused(400, IMAGE_REASONS.get(type(error), "INVALID_IMAGE_FORMAT"), str(error)) from error
    except OutboundError as error:
        raise Refused(400, "INVALID_REQUEST_BODY", f"the image can not be read: {error}") from error


def _shot_fields(body: dict[str, Any]) -> dict[str, Any]:
    width, height = MODEL.largest_size(body)
    drawn = body["seed"] == RANDOM_SEED
    return {
        "width": width,
        "height": height,
        "frames": MODEL.frames(body["duration"]),
        "seed": random.randrange(MODEL.max_seed + 1) if drawn else body["seed"],
        "camera_fixed": body["camera_fixed"],
        "prompt": body["prompt"],
    }


def _result(task: Task) -> dict[str, Any]:
    status, progress, reason = store.state(task)
    if "[fail]" in task.prompt and status == "TASK_STATUS_SUCCEED":
        status, progress, reason = "TASK_STATUS_FAILED", 0, "the prompt asked for a failure"
    done = status == "TASK_STATUS_SUCCEED"
    return {
        "extra": {"seed": str(task.seed)} if done else {},
        "task": {
            "task_id": task.id,
            "task_type": "IMG_TO_VIDEO",
            "status": status,
            "reason": reason,
            "eta": 0,
            "progress_percent": progress,
        },
        "images": [],
        "videos": [{"video_url": _url(task), "video_url_ttl": str(URL_TTL), "video_type": "mp4"}] if done else [],
        "audios": [],
    }


def _url(task: Task) -> str:
    expires = str(int(time.time()) + URL_TTL)
    signature = _signature(task.id, expires)
    return f"{os.environ['SANDBOX_URL']}/videos/{task.id}.mp4?expires={expires}&signature={signature}"


def _signature(task_id: str, expires: str) -> str:
    return hmac.new(settings.SECRET_KEY.encode(), f"{task_id}/{expires}".encode(), hashlib.sha256).hexdigest()


urlpatterns = [
    path(MODEL.route.lstrip("/"), submit),
    path("v3/async/task-result", task_result),
    path("videos/<str:task_id>.mp4", video),
    path("sandbox/tasks", tasks),
]
