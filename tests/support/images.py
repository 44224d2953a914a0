"""Pictures and videos for the tests, made here: nothing is read from outside."""

import base64
import functools
import io
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from deploy.sandbox.render import Shot, render


@functools.cache
def picture(width: int = 640, height: int = 360, kind: str = "JPEG", mode: str = "RGB", **options: Any) -> bytes:
    gradient = Image.linear_gradient("L").resize((width, height))
    image = Image.merge("RGB", (gradient, gradient.transpose(Image.Transpose.FLIP_TOP_BOTTOM), gradient)).convert(mode)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def data_uri(content: bytes, kind: str = "jpeg") -> str:
    return f"data:image/{kind};base64,{base64_of(content)}"


class Picture(NamedTuple):
    shot: Shot
    image: bytes
    last_image: bytes | None


def shot(image: bytes | None = None, last_image: bytes | None = None, **changes: Any) -> Picture:
    plan: dict[str, Any] = {"width": 160, "height": 90, "frames": 25, "seed": 7}
    plan |= {"camera_fixed": False, "prompt": "a test", **changes}
    return Picture(Shot(**plan), image or picture(), last_image)


def rendered(made: Picture) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.mp4"
        render(*made, path, lambda percent: None)
        return path.read_bytes()


@functools.cache
def mp4() -> bytes:
    """A whole MP4 of 160 x 90 pixels, 25 frames, 24 a second."""
    return rendered(shot())
