"""Render a generation as Novita's Task Result, for the Novita-compatible API and for webhooks in Novita's format."""

from typing import Any

from generations.bucket import signed_urls
from generations.catalog import video_models
from generations.models import Generation

Status = Generation.Status
NOVITA_STATUS = {
    Status.QUEUED: "TASK_STATUS_QUEUED",
    Status.SUBMITTING: "TASK_STATUS_QUEUED",
    Status.IN_DOUBT: "TASK_STATUS_QUEUED",
    Status.RUNNING: "TASK_STATUS_PROCESSING",
    Status.COPYING: "TASK_STATUS_PROCESSING",
    Status.SUCCEEDED: "TASK_STATUS_SUCCEED",
    Status.FAILED: "TASK_STATUS_FAILED",
    Status.CANCELLED: "TASK_STATUS_FAILED",
}
IMAGE_TO_VIDEO, TEXT_TO_VIDEO = TASK_TYPES = ("IMG_TO_VIDEO", "TXT_TO_VIDEO")


def render(generation: Generation, eta: int = 0) -> dict[str, Any]:
    """Return the Task Result of a generation. `eta` is in seconds.

    As at Novita, `extra` is always an object, an array is never null, and `seed` and `video_url_ttl` are strings.
    """
    return {
        "extra": {} if generation.seed is None else {"seed": str(generation.seed)},
        "task": {
            "task_id": str(generation.pk),
            "task_type": _task_type(generation),
            "status": NOVITA_STATUS[Status(generation.status)],
            "reason": generation.error_message,
            "eta": eta,
            "progress_percent": generation.progress_percent,
        },
        "images": [],
        "videos": [_render_video(generation)] if generation.has_video else [],
        "audios": [],
    }


def _task_type(generation: Generation) -> str:
    """Return the type of the task. Where the model does not decide it, or left the catalogue, an image does."""
    model = video_models.get(generation.model)
    task = model.row.task if model else "both"
    is_text = task == "t2v" or (task == "both" and not (generation.image_id or generation.image_url))
    return TEXT_TO_VIDEO if is_text else IMAGE_TO_VIDEO


def _render_video(generation: Generation) -> dict[str, str]:
    """Return the entry of the video, with a new signed URL."""
    url = signed_urls.signer().video_url(generation)
    return {
        "video_url": str(url),
        "video_url_ttl": str(url.ttl),
        "video_type": "mp4",
    }
