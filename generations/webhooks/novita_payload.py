"""Render a generation as Novita's Task Result, for the Novita-compatible API and for webhooks in Novita's format."""

from typing import Any

from generations.bucket import signed_urls
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


def render(generation: Generation, eta: int = 0) -> dict[str, Any]:
    """Return the Task Result of a generation. `eta` is in seconds.

    As at Novita, `extra` is always an object, an array is never null, and `seed` and `video_url_ttl` are strings.
    """
    return {
        "extra": {} if generation.seed is None else {"seed": str(generation.seed)},
        "task": {
            "task_id": str(generation.pk),
            "task_type": "IMG_TO_VIDEO",
            "status": NOVITA_STATUS[Status(generation.status)],
            "reason": generation.error_message,
            "eta": eta,
            "progress_percent": generation.progress_percent,
        },
        "images": [],
        "videos": [_render_video(generation)] if generation.has_video else [],
        "audios": [],
    }


def _render_video(generation: Generation) -> dict[str, str]:
    """Return the entry of the video, with a new signed URL."""
    url = signed_urls.video_url(generation)
    return {
        "video_url": str(url),
        "video_url_ttl": str(url.ttl),
        "video_type": "mp4",
    }
