"""Serve Novita's wire format: submit of each model in the catalogue, Task Result, and the error envelope.

A prompt controls the sandbox: with [fail] the task fails, with [refuse] it is refused as ILLEGAL_PROMPT, with [lose]
the task is created but the answer is a proxy's error, and with [usage 2] it reports twice the tokens.
"""

import hashlib
import hmac
import os
import random
import re
import sys
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
from generations.catalog import request_check, video_models
from generations.catalog.model_file import CatalogError
from generations.catalog.request_fields import RANDOM_SEED
from generations.catalog.video_models import VideoModel
from generations.media import images
from generations.outbound import fetch
from generations.outbound.errors import OutboundError
from generations.upstream.novita.liveness import BOGUS_KEY

try:
    video_models.models()
except CatalogError as error:
    sys.exit(str(error))
store = TaskStore(FOLDER, float(os.environ.get("SANDBOX_SECONDS", "8")))
RATIO = re.compile(r"[0-9]+")
FPS, SIDE = 24, 720  # frames a second, and pixels of the shorter side, where a model's row has none
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
        _authorize(request)
        body = _body(request)
        values = _check(model, body)
        images_of = {name: _image(model, values[name]) for name in model.image_fields if values[name] is not None}
        image, last_image = images_of.get("image"), images_of.get("last_image")
        task = store.accept(image, last_image, **_shot_fields(model, values, image, last_image))
    except Refused as refused:
        return refused.render()
    if "[lose]" in task.prompt:
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
    if key in ("", BOGUS_KEY) or (API_KEY and not hmac.compare_digest(key.encode(), API_KEY.encode())):
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
        is_url = images.is_url(text)
        content = fetch.read(text, limit=images.MAX_BYTES, deadline=30.0) if is_url else images.decode(text)
        image = images.inspect(content)
        if model.image_rules:
            model.image_rules.check(image.format, image.width, image.height, len(content))
        return content
    except errors.BadImage as error:
        raise Refused(400, IMAGE_REASONS.get(type(error), "INVALID_IMAGE_FORMAT"), str(error)) from error
    except OutboundError as error:
        raise Refused(400, "INVALID_REQUEST_BODY", f"the image can not be read: {error}") from error


def _shot_fields(
    model: VideoModel, values: dict[str, Any], image: bytes | None, last_image: bytes | None
) -> dict[str, Any]:
    """Return what the store needs of a request: the same request, without a seed to be drawn, gives the same video."""
    width, height = model.size(values) or _size_like(values, image)
    return {
        "width": width,
        "height": height,
        "frames": model.frames(values["duration"]) or FPS * values["duration"] + 1,
        "fps": model.fps or FPS,
        "seed": _seed(model, values, image, last_image),
        "camera_fixed": bool(values.get("camera_fixed")),
        "prompt": values.get("prompt") or "",
        "sound": model.has_sound(values),
        "model": model.id,
    }


def _size_like(values: dict[str, Any], image: bytes | None) -> tuple[int, int]:
    """Return a size where the row has none: the shape of the ratio, or of the image, with SIDE as the shorter side."""
    shape = [int(part) for part in RATIO.findall(values.get("aspect_ratio") or "")] or [16, 9]
    if image and len(RATIO.findall(values.get("aspect_ratio") or "")) != 2:
        checked = images.inspect(image)
        shape = [checked.width, checked.height]
    width, height = (round(side * SIDE / min(shape) / 2) * 2 for side in shape)
    return width, height


def _seed(model: VideoModel, values: dict[str, Any], image: bytes | None, last_image: bytes | None) -> int:
    """Return the request's seed, a random one if it wants that, or one by the request for a model without seeds."""
    if not model.has_seed:
        plain = {name: value for name, value in values.items() if name not in model.image_fields}
        digest = hashlib.sha256(f"{model.id} {sorted(plain.items())}".encode() + (image or b"") + (last_image or b""))
        return int.from_bytes(digest.digest()[:4]) >> 1
    seed = values["seed"]
    return random.randrange(model.max_seed + 1) if seed is None or seed == RANDOM_SEED else int(seed)


def _result(task: Task) -> dict[str, Any]:
    status, progress, reason = store.state(task)
    if "[fail]" in task.prompt and status == "TASK_STATUS_SUCCEED":
        status, progress, reason = "TASK_STATUS_FAILED", 0, "the prompt asked for a failure"
    done, model = status == "TASK_STATUS_SUCCEED", video_models.get(task.model)
    usage = {"usage": {"completion_tokens": task.tokens}} if done and model and model.row.settle == "usage" else {}
    return {
        **usage,
        "extra": {"seed": str(task.seed)} if done and (model is None or model.has_seed) else {},
        "task": {
            "task_id": task.id,
            "task_type": "TXT_TO_VIDEO" if model and model.row.task == "t2v" else "IMG_TO_VIDEO",
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
    *(path(route.lstrip("/"), submit, {"model_id": model.id}) for route, model in video_models.by_route().items()),
    path("v3/async/task-result", task_result),
    path("videos/<str:task_id>.mp4", video),
    path("sandbox/tasks", tasks),
    path("<path:_any>", lambda *_, **_names: Refused(404, "API_NOT_FOUND", "there is no such API").render()),
]
