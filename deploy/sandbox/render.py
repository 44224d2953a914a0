"""Render an H.264 MP4, as the upstream does, with a camera move that the seed decides.

The video starts from an image, or from a still image of circles that prompt and seed decide. With sound it has a
tone whose pitch the seed decides.
"""

import io
import math
import random
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFilter, ImageOps

OVERSCAN = 1.3  # the working image is larger than a frame by this factor, so that a close-up stays sharp
ENLARGEMENT = 2  # of the working image before a move, whose frames take the nearest pixels: motion is in half pixels
CROSS_FADE_START = 0.6  # share of the duration after which the cross-fade to a last image begins
CIRCLES = 9  # of the still image of a text
Planes = list[Image.Image]  # brightness, and the two colours in half the size: a frame as the encoder takes it
SAMPLE_RATE = 48_000  # of the sound, in samples a second
LOUDNESS = 0.05  # of the tone; 1.0 is the loudest
LOWEST_PITCH, HIGHEST_PITCH = 220, 880  # Hz


@dataclass(frozen=True, kw_only=True)
class Shot:
    """The instructions for one video. The same shot of the same images gives the same bytes."""

    width: int  # pixels, even
    height: int
    frames: int
    fps: int = 24  # frames a second; tasks that an older sandbox stored have neither this nor `sound`
    seed: int
    camera_fixed: bool
    prompt: str
    sound: bool = False


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
    shot: Shot, image: bytes | None, last_image: bytes | None, path: Path, report_percent: Callable[[int], None]
) -> None:
    """Write the MP4 to `path` and report the progress in percent. One encoder thread makes the bytes reproducible.

    Without an image, the video starts from an image of circles, which prompt and seed decide.
    """
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        container.metadata.update(title=shot.prompt, comment=f"seed {shot.seed}")
        # Tests wait for hundreds of videos: "ultrafast" takes half the time of "superfast", for twice the bytes.
        # It makes no B-frames unless asked, and real videos have them.
        encoder = {"preset": "ultrafast", "bf": "3", "crf": "23", "threads": "1"}
        stream = container.add_stream("libx264", rate=shot.fps, options=encoder)
        stream.width, stream.height, stream.pix_fmt = shot.width, shot.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, shot.fps)
        sound = Sound(container, shot) if shot.sound else None
        for number, planes in enumerate(_frames(shot, image, last_image)):
            frame = av.VideoFrame(shot.width, shot.height, "yuv420p")
            for target, plane in zip(frame.planes, planes, strict=True):
                target.update(plane.tobytes("raw", "L", target.line_size))
            frame.pts, frame.time_base = number, Fraction(1, shot.fps)
            container.mux(stream.encode(frame))
            if sound:
                sound.write_until(number + 1)
            report_percent(100 * (number + 1) // shot.frames)
        container.mux(stream.encode(None))
        if sound:
            sound.close()


class Sound:
    """The sound of a video: an AAC stream of two channels with a quiet tone, as long as the video."""

    def __init__(self, container: av.container.OutputContainer, shot: Shot) -> None:
        self._container, self._fps, self._written = container, shot.fps, 0
        options = {"flags": "+bitexact"}
        self._stream = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo", options=options)
        pitch = random.Random(shot.seed).randint(LOWEST_PITCH, HIGHEST_PITCH)
        wave = (LOUDNESS * math.sin(2 * math.pi * pitch * number / SAMPLE_RATE) for number in range(SAMPLE_RATE))
        # A pitch of whole Hz repeats after a second: any cut of a second's length or less lies in two of them.
        self._tone = array("f", wave) * 2

    def write_until(self, frames: int) -> None:
        """Write the samples up to the end of the video's first `frames` frames."""
        end = frames * SAMPLE_RATE // self._fps
        while self._written < end:
            samples = min(end - self._written, SAMPLE_RATE)
            start = self._written % SAMPLE_RATE
            frame = av.AudioFrame("fltp", "stereo", samples, align=1)
            for channel in frame.planes:
                channel.update(self._tone[start : start + samples].tobytes())
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self._written, Fraction(1, SAMPLE_RATE)
            self._container.mux(self._stream.encode(frame))
            self._written += samples

    def close(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))


def _frames(shot: Shot, image: bytes | None, last_image: bytes | None) -> Iterator[Planes]:
    scale = 1.0 if shot.camera_fixed else OVERSCAN
    size = round(shot.width * scale), round(shot.height * scale)
    wide = _fit(image, *size) if image else _draw_still(shot, *size)
    last = _planes(_fit(last_image, shot.width, shot.height)) if last_image else None
    move = None if shot.camera_fixed else Move.from_seed(shot.seed)
    still = _planes(ImageOps.scale(wide, ENLARGEMENT, Image.Resampling.BILINEAR) if move else wide)
    for number in range(shot.frames):
        t = number / max(shot.frames - 1, 1)
        frame = _crop_frame(still, move, t, shot) if move else still
        if last and t > CROSS_FADE_START:
            share = _ease((t - CROSS_FADE_START) / (1 - CROSS_FADE_START))
            frame = [Image.blend(plane, last_plane, share) for plane, last_plane in zip(frame, last, strict=True)]
        yield frame


def _planes(image: Image.Image) -> Planes:
    """Return the planes of an RGB image in the limited range that H.264 has by default: 16 to 235, and 16 to 240."""
    brightness, blue, red = image.convert("YCbCr").split()
    half = image.width // 2, image.height // 2
    colours = [plane.resize(half, Image.Resampling.BOX).point(_narrow(224)) for plane in (blue, red)]
    return [brightness.point(_narrow(219)), *colours]


def _narrow(levels: int) -> list[int]:
    """Return the table that maps 0..255 to `levels` steps above 16."""
    return [16 + round(value * levels / 255) for value in range(256)]


def _draw_still(shot: Shot, width: int, height: int) -> Image.Image:
    """Return the still image of a shot of text, in that size: circles in colours that prompt and seed decide."""
    dice = random.Random(f"{shot.seed} {shot.prompt}")

    def colour() -> tuple[int, int, int]:
        return dice.randrange(256), dice.randrange(256), dice.randrange(256)

    still = ImageOps.colorize(Image.linear_gradient("L"), colour(), colour()).resize((width, height))
    draw = ImageDraw.Draw(still)
    for _ in range(CIRCLES):
        centre = dice.random() * width, dice.random() * height
        draw.circle(centre, dice.uniform(0.05, 0.25) * min(width, height), fill=colour())
    return still.filter(ImageFilter.GaussianBlur(min(width, height) / 200))


def _crop_frame(still: Planes, move: Move, t: float, shot: Shot) -> Planes:
    frame = []
    for plane, divisor in zip(still, (1, 2, 2), strict=True):
        scale, left, top = move.view(t, plane.width, plane.height)
        box = left, top, left + scale * plane.width, top + scale * plane.height
        frame.append(plane.resize((shot.width // divisor, shot.height // divisor), Image.Resampling.NEAREST, box))
    return frame


def _fit(content: bytes, width: int, height: int) -> Image.Image:
    """Return the centre of the image in that size."""
    with Image.open(io.BytesIO(content)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)


def _ease(t: float) -> float:
    return 3 * t**2 - 2 * t**3
