"""Images and videos for tests, created here: nothing is read from outside."""

import base64
import functools
import io
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from deploy.sandbox.render import Shot, render


@functools.cache
def image_bytes(width: int = 640, height: int = 360, kind: str = "JPEG", mode: str = "RGB", **options: Any) -> bytes:
    """Return an image file with a colour gradient. `kind` is Pillow's name of the format, `options` are its options."""
    gradient = Image.linear_gradient("L").resize((width, height))
    image = Image.merge("RGB", (gradient, gradient.transpose(Image.Transpose.FLIP_TOP_BOTTOM), gradient)).convert(mode)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def base64_of(content: bytes) -> str:
    """Return the bytes as Base64."""
    return base64.b64encode(content).decode()


def data_uri(content: bytes, kind: str = "jpeg") -> str:
    """Return the bytes as a data URI of an image."""
    return f"data:image/{kind};base64,{base64_of(content)}"


def render_mp4(image: bytes | None = None, last_image: bytes | None = None, **changes: Any) -> bytes:
    """Return an MP4 that the sandbox renders from an image: 160 x 90 pixels, 25 frames, 24 a second, without sound.

    `changes` are fields of Shot.
    """
    return render_shot(image or image_bytes(), last_image, **changes)


def render_text_mp4(**changes: Any) -> bytes:
    """Return an MP4 as `render_mp4` does, from text alone."""
    return render_shot(None, None, **changes)


def render_shot(image: bytes | None, last_image: bytes | None, **changes: Any) -> bytes:
    """Return an MP4 of these images, or of text where there is none."""
    fields: dict[str, Any] = {"width": 160, "height": 90, "frames": 25, "seed": 7}
    fields |= {"camera_fixed": False, "prompt": "a test", **changes}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.mp4"
        render(Shot(**fields), image, last_image, path, lambda percent: None)
        return path.read_bytes()


@functools.cache
def mp4() -> bytes:
    """Return a whole MP4 as the default request of `factories` asks for: 480p, 16:9, 5 s. It is rendered once."""
    return render_mp4(width=864, height=480, frames=121, camera_fixed=True)
