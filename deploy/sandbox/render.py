"""Render an H.264 MP4 from an image, as the upstream does, with a camera move that the seed decides."""

import io
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image, ImageOps

FPS = 24
OVERSCAN = 1.3  # the working image is larger than a frame by this factor, so that a close-up stays sharp
CROSS_FADE_START = 0.6  # share of the duration after which the cross-fade to a last image begins


@dataclass(frozen=True)
class Shot:
    """The instructions for one video. The same shot of the same image gives the same bytes."""

    width: int
    height: int
    frames: int
    seed: int
    camera_fixed: bool
    prompt: str


@dataclass(frozen=True)
class Move:
    """A camera move: it ends `zoom` times closer, shifted by the shares (dx, dy) of the margin that the zoom leaves."""

    zoom: float
    dx: float
    dy: float

    @classmethod
    def from_seed(cls, seed: int) -> "Move":
        """Return the move of a seed."""
        dice = random.Random(seed)
        angle, reach = dice.uniform(0, 2 * math.pi), dice.uniform(0.5, 1.0)
        return cls(dice.uniform(1.1, OVERSCAN), reach * math.cos(angle), reach * math.sin(angle))

    def view(self, t: float, width: int, height: int) -> tuple[float, float, float]:
        """Return (scale, left, top) of the frame at time t in 0..1, in pixels of a working image of that size."""
        zoom = 1 + (self.zoom - 1) * _ease(t)
        margin_x, margin_y = width * (1 - 1 / zoom) / 2, height * (1 - 1 / zoom) / 2
        return 1 / zoom, margin_x * (1 + self.dx), margin_y * (1 + self.dy)


def render(
    shot: Shot, image: bytes, last_image: bytes | None, path: Path, report_percent: Callable[[int], None]
) -> None:
    """Write the MP4 to `path` and report the progress in percent. One encoder thread makes the bytes reproducible."""
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        container.metadata.update(title=shot.prompt, comment=f"seed {shot.seed}")
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "superfast", "crf": "21", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = shot.width, shot.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, FPS)
        for number, still in enumerate(_frames(shot, image, last_image)):
            frame = av.VideoFrame.from_image(still)
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
            report_percent(100 * (number + 1) // shot.frames)
        container.mux(stream.encode(None))


def _frames(shot: Shot, image: bytes, last_image: bytes | None) -> Iterator[Image.Image]:
    scale = 1.0 if shot.camera_fixed else OVERSCAN
    wide = _fit(image, round(shot.width * scale), round(shot.height * scale))
    last = _fit(last_image, shot.width, shot.height) if last_image else None
    move = None if shot.camera_fixed else Move.from_seed(shot.seed)
    for number in range(shot.frames):
        t = number / (shot.frames - 1)
        frame = _crop_frame(wide, move, t, shot) if move else wide
        if last and t > CROSS_FADE_START:
            frame = Image.blend(frame, last, _ease((t - CROSS_FADE_START) / (1 - CROSS_FADE_START)))
        yield frame


def _crop_frame(wide: Image.Image, move: Move, t: float, shot: Shot) -> Image.Image:
    scale, left, top = move.view(t, wide.width, wide.height)
    zoom_x, zoom_y = scale * wide.width / shot.width, scale * wide.height / shot.height
    matrix = (zoom_x, 0, left, 0, zoom_y, top)
    return wide.transform((shot.width, shot.height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _fit(content: bytes, width: int, height: int) -> Image.Image:
    """Return the centre of the image in that size."""
    with Image.open(io.BytesIO(content)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)


def _ease(t: float) -> float:
    return 3 * t**2 - 2 * t**3
