"""Novita's Task Result of a generation, for its own entrance and for a webhook in its format."""

from typing import Any

from django.conf import settings

from generations.bucket import links
from generations.models import Generation

Status = Generation.Status
WIRE_STATUS = {
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
    """`extra` is always an object, an array never null, seed and ttl are strings of digits. `eta`: seconds."""
    return {
        "extra": {"seed": str(generation.seed)},
        "task": {
            "task_id": str(generation.pk),
            "task_type": "IMG_TO_VIDEO",
            "status": WIRE_STATUS[Status(generation.status)],
            "reason": generation.error_message,
            "eta": eta,
            "progress_percent": generation.progress_percent,
        },
        "images": [],
        "videos": [_video(generation)] if links.has_video(generation) else [],
        "audios": [],
    }


def _video(generation: Generation) -> dict[str, str]:
    return {
        "video_url": links.video_url(generation),
        "video_url_ttl": str(settings.SIGNED_URL_TTL),
        "video_type": "mp4",
    }
