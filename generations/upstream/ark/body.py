"""Write the body of a create from a task's request.

Each value is a field of the body. The maker's older clients write values as flags into the prompt's text; which of the
two wins is not documented, so none is written there.
"""

from typing import Any

from django.conf import settings

from generations.catalog import wire_body
from generations.upstream.protocol import TaskRequest

PROMPT = "prompt"
ROLES = {"image": "first_frame", "last_image": "last_frame"}  # of the images, by their names under /v1/


def build(request: TaskRequest) -> dict[str, Any]:
    """Return the body of the create. Raise StorageError if an image can not be read."""
    flat = {name: value for name, value in request.values.items() if name not in (PROMPT, *ROLES)}
    body = {
        "model": request.offer.target,
        "content": _build_content(request),
        **wire_body.build(request.model, flat, request.write_image),
    }
    if request.callback_url:
        body["callback_url"] = request.callback_url
    if request.reference and settings.SAFETY_IDENTIFIER:
        body["safety_identifier"] = request.reference
    return body


def _build_content(request: TaskRequest) -> list[dict[str, Any]]:
    """Return the prompt, unless it is empty, and the images with their roles."""
    prompt = request.values.get(PROMPT)
    content: list[dict[str, Any]] = [{"type": "text", "text": prompt}] if prompt else []
    for name, role in ROLES.items():
        if (image := request.values.get(name)) is not None:
            url = {"url": request.write_image(image)}
            content.append({"type": "image_url", "image_url": url, "role": role})
    return content
