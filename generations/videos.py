"""What a video is: its codec, pixels, frame rate and duration, and the poster frame it starts with.

Every packet is counted: an MP4 that was cut off still opens and shows its first frame.
"""

import io
from dataclasses import dataclass

import av
import av.error

from generations.errors import BadVideo

POSTER_QUALITY = 85  # JPEG's scale; above it bytes grow and eyes see nothing


@dataclass(frozen=True)
class Video:
    codec: str
    width: int
    height: int
    fps: float
    duration: float  # seconds
    frames: int
    poster: bytes  # JPEG of the first frame


def inspect(path: str) -> Video:
    """The MP4 at `path`. Raises BadVideo where it is no MP4, has no picture, or ends too early."""
    with open(path, "rb") as file:
        if file.read(12)[4:8] != b"ftyp":
            raise BadVideo("the bytes do not begin as an MP4 does")
    try:
        with av.open(path, format="mp4", metadata_errors="replace") as container:
            return _inspect(container)
    except (av.error.FFmpegError, StopIteration, IndexError, ValueError) as error:
        raise BadVideo(f"the MP4 can not be read: {type(error).__name__}") from error


def _inspect(container: av.container.InputContainer) -> Video:
    stream = container.streams.video[0]
    poster = io.BytesIO()
    next(container.decode(stream)).to_image().save(poster, "JPEG", quality=POSTER_QUALITY)
    container.seek(0)
    found = sum(1 for packet in container.demux(stream) if packet.size)
    fps = float(stream.average_rate or 0)
    if not fps:
        raise BadVideo("the MP4 has no frame rate")
    # A fragmented MP4 announces no count of frames, but a duration.
    announced = stream.frames or round((container.duration or 0) / av.time_base * fps)
    if not found or found != announced:
        raise BadVideo(f"the MP4 announces {announced} frames and holds {found}")
    return Video(
        codec=stream.codec_context.name,
        width=stream.width,
        height=stream.height,
        fps=fps,
        duration=found / fps,
        frames=found,
        poster=poster.getvalue(),
    )
