"""What a video is: its codec, pixels, frame rate and duration, and the poster frame it starts with.

Every packet is counted, and every box measured: an MP4 that was cut off still opens and shows its first frame, and a
download whose Content-Length is too small is cut without a word.
"""

import io
from dataclasses import dataclass
from typing import BinaryIO

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
    poster: bytes  # JPEG of the first frame


def inspect(path: str) -> Video:
    """The MP4 at `path`. Raises BadVideo where it is no MP4, has no picture, or ends too early."""
    with open(path, "rb") as file:
        _check_boxes(file)
    try:
        with av.open(path, format="mp4", metadata_errors="replace") as container:
            return _inspect(container)
    except (av.error.FFmpegError, StopIteration, IndexError, ValueError) as error:
        raise BadVideo(f"the MP4 can not be read: {type(error).__name__}") from error


def _check_boxes(file: BinaryIO) -> None:
    """That the file is a row of whole boxes, the first of them ftyp. Source: ISO/IEC 14496-12, 4.2."""
    ends, start, kind = file.seek(0, io.SEEK_END), 0, b""
    while start < ends:
        file.seek(start)
        header = file.read(16)
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if start == 0 and kind != b"ftyp":
            raise BadVideo("the bytes do not begin as an MP4 does")
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        elif size == 0 and len(header) >= 8:  # to the end of the file, wherever that is
            return
        if size < 8 or start + size > ends:
            raise BadVideo("the MP4 is cut off amid a box")
        start += size
    if not ends:
        raise BadVideo("there are no bytes")
    if kind == b"moof":
        raise BadVideo("the MP4 is cut off behind a fragment's head")


def _inspect(container: av.container.InputContainer) -> Video:
    stream = container.streams.video[0]
    poster = io.BytesIO()
    next(container.decode(stream)).to_image().save(poster, "JPEG", quality=POSTER_QUALITY)
    container.seek(0)
    found = sum(1 for packet in container.demux(stream) if packet.size)
    fps = float(stream.average_rate or 0)
    if not fps:
        raise BadVideo("the MP4 has no frame rate")
    # A fragmented one counts none, or its first fragment's alone, and the durations it announces are off by a frame and
    # more: one that ends whole between two fragments is taken, since nothing in it says how many there were to be.
    if not found or found < stream.frames:
        raise BadVideo(f"the MP4 announces {stream.frames} frames and holds {found}")
    return Video(
        codec=stream.codec_context.name,
        width=stream.width,
        height=stream.height,
        fps=fps,
        duration=found / fps,
        poster=poster.getvalue(),
    )
