"""Read the items of `content` of a create on Ark's wire: one text, and images by their roles."""

import re
from dataclasses import dataclass
from typing import Any

from deploy.sandbox.ark_errors import ArkError
from generations.media import images

OTHER_TYPES = ("video_url", "audio_url", "draft_task")  # of models that the catalogue does not have
ROLES = ("first_frame", "last_frame")
DATA_URI = re.compile(r"data:image/[a-z0-9.+-]+;base64,")  # the format in lower case


@dataclass(frozen=True)
class Content:
    """The text and the images of a create. An image is a URL or a data URI."""

    text: str | None = None
    first_frame: str | None = None
    last_frame: str | None = None


def read_content(items: Any) -> Content:
    """Return the content of a create. Raise ArkError."""
    if not items:
        raise ArkError(400, "MissingParameter", "The parameter `content` is missing.", "content")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _invalid("The parameter `content` must be a list of objects.")
    texts: list[str] = []
    framed: list[tuple[str | None, str]] = []
    for number, item in enumerate(items):
        place, kind = f"content[{number}]", item.get("type")
        if kind == "text":
            texts.append(_read_text(item, place))
        elif kind == "image_url":
            framed.append((item.get("role"), _read_url(item, place)))
        elif kind in OTHER_TYPES:
            raise _invalid(f"The model does not take {place} of the type {kind}.")
        else:
            raise _invalid(f"The parameter `{place}.type` is not valid.")
    if len(texts) > 1:
        raise _invalid("The parameter `content` has more than one text.")
    return _by_role(texts[0] if texts else None, framed)


def _by_role(text: str | None, framed: list[tuple[str | None, str]]) -> Content:
    """Return the content with its images by role. The role of a single image may be left out."""
    roles = [role for role, _ in framed]
    if roles in ([None], ["first_frame"]):
        return Content(text, framed[0][1])
    if "reference_image" in roles:
        if set(roles) != {"reference_image"}:
            raise _invalid("First and last frames cannot be mixed with reference images.")
        raise _invalid("The model does not take the role reference_image.")
    if any(role not in ROLES for role in roles):
        raise _invalid("The role of each image must be first_frame or last_frame.")
    if roles and sorted(map(str, roles)) != ["first_frame", "last_frame"]:
        raise _invalid("One first_frame, and at most one last_frame beside it, were expected.")
    urls = {str(role): url for role, url in framed}
    return Content(text, urls.get("first_frame"), urls.get("last_frame"))


def _read_text(item: dict[str, Any], place: str) -> str:
    text = item.get("text")
    if text is None:
        raise ArkError(400, "MissingParameter", f"The parameter `{place}.text` is missing.", f"{place}.text")
    if not isinstance(text, str):
        raise _invalid(f"The parameter `{place}.text` must be a text.")
    return text


def _read_url(item: dict[str, Any], place: str) -> str:
    """Return the URL or the data URI of an image. Raise ArkError."""
    image, param = item.get("image_url"), f"{place}.image_url.url"
    url = image.get("url") if isinstance(image, dict) else None
    if image is None or url is None:
        raise ArkError(400, "MissingParameter", f"The parameter `{param}` is missing.", param)
    if not isinstance(url, str):
        raise _invalid(f"The parameter `{param}` must be a text.")
    if not url:
        raise ArkError(400, "InvalidImageURL.EmptyURL", "The URL of an image is empty.", param)
    if not images.is_url(url) and not DATA_URI.match(url):  # an asset:// URL needs a library, which is not here
        message = "An image must be an http or https URL, or data:image/<format in lower case>;base64,..."
        raise ArkError(400, "InvalidImageURL.InvalidFormat", message, param)
    return url


def _invalid(message: str) -> ArkError:
    return ArkError(400, "InvalidParameter", message, "content")
