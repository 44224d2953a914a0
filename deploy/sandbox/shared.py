"""The parts that both wires of the sandbox share: store, check of a key, images, shots, signed URLs of videos."""

import hashlib
import hmac
import os
import random
import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse

from deploy.sandbox.owners import owner_of
from deploy.sandbox.store import Task, TaskStore
from generations.catalog import prices
from generations.catalog.request_fields import RANDOM_SEED
from generations.catalog.video_models import VideoModel
from generations.media import images
from generations.outbound import fetch
from generations.upstream.novita.liveness import BOGUS_KEY

API_KEY = os.environ.get("SANDBOX_API_KEY", "")  # empty: any key is accepted
URL_TTL = os.environ.get("SANDBOX_URL_TTL")  # seconds; None: the wire's own
RATIO = re.compile(r"[0-9]+")
BILLED_ACCOUNT = "novita"  # whose bills the sandbox serves
FPS, SIDE = 24, 720  # frames a second, and pixels of the shorter side, where a model's row has none

store = TaskStore(Path(os.environ["SANDBOX_DIR"]), float(os.environ.get("SANDBOX_SECONDS", "8")))


def key_of(request: HttpRequest) -> str:
    """Return the API key of a request; "" without one."""
    return request.headers.get("Authorization", "").removeprefix("Bearer ").strip()


def is_accepted_key(key: str) -> bool:
    """Return whether the sandbox accepts the key. The one of a probe is never accepted."""
    return key not in ("", BOGUS_KEY) and (not API_KEY or hmac.compare_digest(key.encode(), API_KEY.encode()))


def read_image(model: VideoModel, text: str) -> bytes:
    """Return the image that a request names, checked by the model's rules. Raise a BadImage or OutboundError."""
    is_url = images.is_url(text)
    content = fetch.read(text, limit=images.MAX_BYTES, deadline=30.0) if is_url else images.decode(text)
    image = images.inspect(content)
    if model.image_rules:
        model.image_rules.check(image.format, image.width, image.height, len(content))
    return content


def shot_fields(
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


def price_fields(key: str, model: VideoModel, values: dict[str, Any], wire: str) -> dict[str, Any]:
    """Return the fields of a new task that say who pays for it, and what it costs at Novita."""
    offer = next((offer for offer in model.offers if (offer.account, offer.wire) == (BILLED_ACCOUNT, wire)), None)
    quoted = prices.offer_prices(model, values, offer) if offer else {}
    return {
        "owner": owner_of(key),
        "price_micro": quoted.get("quote_micro") or 0,
        "rate_micro": quoted.get("rate_micro"),
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


def video_url(task: Task, ttl: int) -> str:
    """Return the URL of the task's video, valid for `ttl` seconds."""
    expires = str(int(store.clock.now()) + ttl)
    signature = _signature(task.id, expires)
    return f"{os.environ['SANDBOX_URL']}/videos/{task.id}.mp4?expires={expires}&signature={signature}"


def _signature(task_id: str, expires: str) -> str:
    return hmac.new(settings.SECRET_KEY.encode(), f"{task_id}/{expires}".encode(), hashlib.sha256).hexdigest()


def video(request: HttpRequest, task_id: str) -> HttpResponse | FileResponse:
    """Serve a video to a request with a valid signature."""
    expires = request.GET.get("expires", "")
    signed = hmac.compare_digest(_signature(task_id, expires).encode(), request.GET.get("signature", "").encode())
    if not signed or int(expires) < store.clock.now():
        return HttpResponse("the URL is not valid, or no longer", status=403)
    if not store.video(task_id).exists():  # its task was deleted
        return HttpResponse("the video is deleted", status=404)
    return FileResponse(store.video(task_id).open("rb"), content_type="video/mp4")


def tasks(request: HttpRequest) -> HttpResponse:
    """List every paid submit, for tests that count them. No upstream has such an address."""
    return JsonResponse({"tasks": [{"id": task.id, "seed": task.seed} for task in store.tasks()]})


def put_clock_forward(request: HttpRequest) -> HttpResponse:
    """Put the clock forward by the seconds of the query, for tests. No upstream has such an address."""
    seconds = request.GET.get("seconds", "")
    if request.method != "POST" or not re.fullmatch(r"[0-9]{1,8}(\.[0-9]{1,3})?", seconds, re.ASCII):
        return HttpResponse("POST ?seconds=N", status=400)
    store.clock.put_forward(float(seconds))
    return JsonResponse({"now": int(store.clock.now())})
