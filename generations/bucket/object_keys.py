"""The key of every object in the bucket: how keys are built, and how they are recognised.

Rows hold keys as text, so no format here may change. Objects with other keys are not ours and are never touched.
"""

import re
import secrets
from uuid import UUID

from generations.models import Generation

VIDEOS, INPUTS = "videos/", "inputs/"  # the prefixes of all our keys
VIDEO = re.compile(r"videos/\d+/\d{4}/\d{2}/([0-9a-f-]{36})-(\d+)\.(?:mp4|jpg)")
INPUT = re.compile(r"inputs/\d+/[0-9a-f]{64}(?:-[0-9a-f]{16})?")


def video_prefix(generation: Generation) -> str:
    """Return how the keys of all copies of a generation's video and poster begin."""
    return f"{VIDEOS}{generation.tenant_id}/{generation.created_at:%Y/%m}/{generation.pk}-"


def video_key(generation: Generation) -> str:
    """Return the key of the video that the worker with the generation's fencing token stores."""
    return f"{video_prefix(generation)}{generation.fencing_token}.mp4"


def poster_key(generation: Generation) -> str:
    """Return the key of the poster that the worker with the generation's fencing token stores."""
    return f"{video_prefix(generation)}{generation.fencing_token}.jpg"


def generation_id(key: str) -> UUID | None:
    """Return the id of the generation that a video's or poster's key names. Return None for any other key."""
    match = VIDEO.fullmatch(key)
    return UUID(match[1]) if match else None


def fencing_token(key: str) -> int | None:
    """Return the fencing token in a video's or poster's key. Return None for any other key."""
    match = VIDEO.fullmatch(key)
    return int(match[2]) if match else None


def input_key(tenant_id: int, sha256: str) -> str:
    """Return the key under which a tenant's input image is stored for the first time."""
    return f"{INPUTS}{tenant_id}/{sha256}"


def new_input_key(tenant_id: int, sha256: str) -> str:
    """Return a key never used before for an input image that was deleted and is stored again.

    The worker that deletes the old object may be late, so the new object needs another key.
    """
    return f"{input_key(tenant_id, sha256)}-{secrets.token_hex(8)}"


def is_input(key: str) -> bool:
    """Return whether a key is the key of an input image."""
    return INPUT.fullmatch(key) is not None
