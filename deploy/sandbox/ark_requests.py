"""Check the body of a create on Ark's wire, strictly: what the row of the model does not have is refused."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from django.http import HttpRequest

from deploy.sandbox import shared
from deploy.sandbox.ark_content import Content, read_content
from deploy.sandbox.ark_errors import ArkError
from generations import errors
from generations.catalog import request_check, video_models
from generations.catalog.request_fields import ABSENT, RequestField, WrongValue, read_path
from generations.catalog.video_models import VideoModel
from generations.media import images
from generations.outbound.errors import OutboundError

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_REFERENCE_CHARS = 64
RATIO = re.compile(r"[0-9]+:[0-9]+")
TEXT_SHAPE = 16, 9  # of a video without an image, where the request leaves it to the model
CONTENT_FIELDS = ("prompt", "image", "last_image")  # sent as items of `content`
ALWAYS = {"model", "content", "callback_url", "safety_identifier"}  # taken for each model
# Flags that older clients write into the text, by their short and long names.
FLAG = re.compile(r"(?:^|\s)--([a-z]+)\s+(\S+)")
FLAGS = {
    **dict.fromkeys(("rs", "resolution"), "resolution"),
    **dict.fromkeys(("rt", "ratio"), "aspect_ratio"),
    **dict.fromkeys(("dur", "duration"), "duration"),
    **dict.fromkeys(("cf", "camerafixed"), "camera_fixed"),
    **dict.fromkeys(("wm", "watermark"), "watermark"),
    "seed": "seed",
}


@dataclass(frozen=True)
class Create:
    """A valid create: the values of the model's fields, with the real ratio, and the images."""

    model: VideoModel
    target: str
    values: dict[str, Any]
    image: bytes | None
    last_image: bytes | None
    callback_url: str
    reference: str


def read_create(request: HttpRequest, account: str) -> Create:
    """Return the create of a request to an account. Raise ArkError."""
    body = _read_body(request)
    if not body.get("model"):
        raise ArkError(400, "MissingParameter", "The parameter `model` is missing.", "model")
    model = _find_model(body["model"], account)
    _refuse_unsupported(model, body)
    content = read_content(body.get("content"))
    values = _check_values(model, body, content)
    if "execution_expires_after" not in body:  # the default of a row is what the service sends, not the upstream's own
        values.pop("execution_expires_after", None)
    image, last_image = (_read_image(model, values.get(name)) for name in ("image", "last_image"))
    values["aspect_ratio"] = _real_ratio(model, values.get("aspect_ratio"), image)
    callback_url, reference = (body.get(name, "") for name in ("callback_url", "safety_identifier"))
    if not isinstance(callback_url, str) or (callback_url and not images.is_url(callback_url)):
        raise ArkError(400, "InvalidParameter", "The parameter `callback_url` is not a valid URL.", "callback_url")
    if not isinstance(reference, str) or len(reference) > MAX_REFERENCE_CHARS:
        message = f"The parameter `safety_identifier` must be a text of at most {MAX_REFERENCE_CHARS} characters."
        raise ArkError(400, "InvalidParameter", message, "safety_identifier")
    return Create(model, body["model"], values, image, last_image, callback_url, reference)


def _read_body(request: HttpRequest) -> dict[str, Any]:
    """Return the fields of the body. A field that is null counts as not given: the maker's own SDK sends such."""
    content = request.read()
    if len(content) > MAX_BODY_BYTES:
        raise ArkError(400, "InvalidParameter", f"The request body has more than {MAX_BODY_BYTES} bytes.")
    try:
        fields = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArkError(400, "InvalidParameter", f"The request body is not JSON: {error}.") from error
    if not isinstance(fields, dict):
        raise ArkError(400, "InvalidParameter", "The request body must be a JSON object.")
    return {name: value for name, value in fields.items() if value is not None}


def _find_model(target: Any, account: str) -> VideoModel:
    """Return the model that the catalogue has under the upstream's id.

    A generation of a test key goes to Ark's address, whichever account offers its model.
    """
    for model in video_models.models().values():
        for offer in model.offers:
            if (offer.wire, offer.target) == ("ark", target) and (account == "ark" or offer.account == account):
                return model
    message = f"The model or endpoint {str(target)[:100]} does not exist or you do not have access to it."
    raise ArkError(404, "InvalidEndpointOrModel.NotFound", message, "model")


def _refuse_unsupported(model: VideoModel, body: Mapping[str, Any]) -> None:
    """Raise ArkError for a field that the model's row does not have."""
    known = ALWAYS | {field.path[0] for name, field in model.fields.items() if field.path and _is_plain(name)}
    if unknown := sorted(body.keys() - known):
        message = f"The parameter `{unknown[0][:50]}` is not supported for the model {body['model']}."
        raise ArkError(400, "InvalidParameter.UnsupportedParameter", message, unknown[0][:50])


def _is_plain(name: str) -> bool:
    return name not in CONTENT_FIELDS


def _check_values(model: VideoModel, body: Mapping[str, Any], content: Content) -> dict[str, Any]:
    """Return all values, defaults and the prompt's flags included. Raise ArkError."""
    given: dict[str, Any] = {}
    for name, field in model.fields.items():
        value = read_path(body, field.path) if _is_plain(name) else ABSENT
        if name == "resolution" and isinstance(value, str):
            value = value.lower()  # its case does not matter
        given[name] = None if value is ABSENT else field.from_wire(value)
    # Our row refuses flags in a prompt, and the upstream obeys them. So the row checks a text without hyphens.
    texts = {"prompt": re.sub("[-－﹣]", " ", content.text) if content.text is not None else None}
    for name, value in (texts | {"image": content.first_frame, "last_image": content.last_frame}).items():
        if name in model.fields:
            given[name] = value
        elif value is not None:
            raise ArkError(400, "InvalidParameter", f"The model takes no {name} in `content`.", "content")
    try:
        values = request_check.Checker(model, on_wire=True).check(given)
    except request_check.BadRequest as error:
        name, first = next(iter(error.errors.items()))
        code = "MissingParameter" if first.code == "required" else "InvalidParameter"
        raise ArkError(400, code, str(error), "content" if name in CONTENT_FIELDS else name) from error
    values["prompt"] = content.text or ""
    return values | _obey_flags(model, content.text or "")


def _obey_flags(model: VideoModel, text: str) -> dict[str, Any]:
    """Return the values that flags in the text set. A bad value is the default, as older clients know it."""
    values: dict[str, Any] = {}
    for flag, raw in FLAG.findall(text):
        field = model.fields.get(FLAGS.get(flag, ""))
        if field is None:
            continue
        try:
            values[field.name] = field.check(_parse_flag(field, raw), on_wire=True)
        except WrongValue:
            values[field.name] = field.default
    return values


def _parse_flag(field: RequestField, raw: str) -> Any:
    """Return the value that a flag's text stands for."""
    if field.row.type == "boolean":
        return {"true": True, "false": False}.get(raw.lower())
    return int(raw) if re.fullmatch(r"-?[0-9]{1,12}", raw) else raw.lower()


def _read_image(model: VideoModel, url: str | None) -> bytes | None:
    """Return the image behind a URL, or in a data URI, checked by the model's rules. Raise ArkError."""
    if url is None:
        return None
    try:
        return shared.read_image(model, url)
    except (errors.ImageTooManyBytes, errors.ImageTooLarge, errors.ImageTooSmall, errors.ImageAspectOutOfRange) as bad:
        raise ArkError(400, "InvalidParameter", str(bad), "content.image_url") from bad
    except errors.BadImage as bad:
        raise ArkError(400, "InvalidImageURL.InvalidFormat", str(bad), "content.image_url") from bad
    except OutboundError as error:
        message = f"The image can not be downloaded: {error}."
        raise ArkError(400, "InvalidParameter", message, "content.image_url") from error


def _real_ratio(model: VideoModel, ratio: str | None, image: bytes | None) -> str:
    """Return the ratio of the video: of those that the model makes the nearest to the image's, where it is open.

    A video of text alone has the nearest to TEXT_SHAPE.
    """
    listed = [str(name) for name in model.supported("aspect_ratio") if RATIO.fullmatch(str(name))]
    if ratio in listed or not listed:
        return ratio or ""
    width, height = TEXT_SHAPE
    if image is not None:
        checked = images.inspect(image)
        width, height = checked.width, checked.height
    return min(listed, key=lambda name: abs(math.log(_quotient(name)) - math.log(width / height)))


def _quotient(ratio: str) -> float:
    width, _, height = ratio.partition(":")
    return int(width) / int(height)
