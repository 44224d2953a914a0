"""Renders what the upstream would: an H.264 MP4 from a picture, with a camera move drawn from the seed."""

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
OVERSCAN = 1.3  # the working picture is this much larger than a frame, so that a close-up stays sharp
ARRIVAL = 0.6  # with a last image: the share of the time after which its cross-fade begins


@dataclass(frozen=True)
class Shot:
    """What to render from a picture. The same shot of the same picture gives the same bytes."""

    width: int
    height: int
    frames: int
    seed: int
    camera_fixed: bool
    prompt: str


@dataclass(frozen=True)
class Move:
    """Where the camera goes: it ends `zoom` times closer, drifted by (dx, dy) of the room that this leaves."""

    zoom: float
    dx: float
    dy: float

    @classmethod
    def drawn(cls, seed: int) -> "Move":
        dice = random.Random(seed)
        angle, reach = dice.uniform(0, 2 * math.pi), dice.uniform(0.5, 1.0)
        return cls(dice.uniform(1.1, OVERSCAN), reach * math.cos(angle), reach * math.sin(angle))

    def view(self, t: float, width: int, height: int) -> tuple[float, float, float]:
        """(scale, left, top) of the frame at t in 0..1, in the pixels of a working picture of that size."""
        zoom = 1 + (self.zoom - 1) * _eased(t)
        room_x, room_y = width * (1 - 1 / zoom) / 2, height * (1 - 1 / zoom) / 2
        return 1 / zoom, room_x * (1 + self.dx), room_y * (1 + self.dy)


def render(
    shot: Shot, image: bytes, last_image: bytes | None, path: Path, report_percent: Callable[[int], None]
) -> None:
    """Write the MP4 to `path`, and report its progress. One thread renders it: its bytes depend on nothing else."""
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        container.metadata.update(title=shot.prompt, comment=f"seed {shot.seed}")
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "superfast", "crf": "21", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = shot.width, shot.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, FPS)
        for number, picture in enumerate(_frames(shot, image, last_image)):
            frame = av.VideoFrame.from_image(picture)
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
            report_percent(100 * (number + 1) // shot.frames)
        container.mux(stream.encode(None))


def _frames(shot: Shot, image: bytes, last_image: bytes | None) -> Iterator[Image.Image]:
    scale = 1.0 if shot.camera_fixed else OVERSCAN
    wide = _cropped(image, round(shot.width * scale), round(shot.height * scale))
    last = _cropped(last_image, shot.width, shot.height) if last_image else None
    move = None if shot.camera_fixed else Move.drawn(shot.seed)
    for number in range(shot.frames):
        t = number / (shot.frames - 1)
        frame = _seen(wide, move, t, shot) if move else wide
        yield Image.blend(frame, last, _eased((t - ARRIVAL) / (1 - ARRIVAL))) if last and t > ARRIVAL else frame


def _seen(wide: Image.Image, move: Move, t: float, shot: Shot) -> Image.Image:
    scale, left, top = move.view(t, wide.width, wide.height)
    zoom_x, zoom_y = scale * wide.width / shot.width, scale * wide.height / shot.height
    matrix = (zoom_x, 0, left, 0, zoom_y, top)
    return wide.transform((shot.width, shot.height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _cropped(content: bytes, width: int, height: int) -> Image.Image:
    """The picture's centre in that ratio and size."""
    with Image.open(io.BytesIO(content)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)


def _eased(t: float) -> float:
    return 3 * t**2 - 2 * t**3
