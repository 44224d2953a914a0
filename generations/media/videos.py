"""Check that a file is a whole MP4, and read what it holds: codec, pixels, frame rate, duration and poster.

Every box is measured and every packet is counted, since an MP4 that was cut off still opens and shows its first frame.
A download whose Content-Length is too small is cut without an error.
"""

import io
from dataclasses import dataclass
from typing import BinaryIO

import av
import av.error

from generations.media import posters


class BadVideo(Exception):
    """The bytes are not a whole MP4 video."""


@dataclass(frozen=True)
class Video:
    """The properties of a whole MP4."""

    codec: str
    width: int
    height: int
    fps: float
    duration: float  # seconds
    poster: bytes  # JPEG of the first frame


def inspect(path: str) -> Video:
    """Return the properties of the MP4 at `path`. Raise BadVideo if it is no MP4, has no frames, or ends too early."""
    with open(path, "rb") as file:
        _check_boxes(file)
    try:
        with av.open(path, format="mp4", metadata_errors="replace") as container:
            return _inspect(container)
    except (av.error.FFmpegError, StopIteration, IndexError, ValueError) as error:
        raise BadVideo(f"the MP4 cannot be read: {type(error).__name__}") from error


def _check_boxes(file: BinaryIO) -> None:
    """Raise BadVideo unless the file is a row of whole boxes that begins with ftyp. Source: ISO/IEC 14496-12, 4.2."""
    ends, start, kind = file.seek(0, io.SEEK_END), 0, b""
    while start < ends:
        file.seek(start)
        header = file.read(16)
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if start == 0 and kind != b"ftyp":
            raise BadVideo("the bytes do not begin as an MP4 does")
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        elif size == 0 and len(header) >= 8:  # the box reaches to the end of the file
            return
        if size < 8 or start + size > ends:
            raise BadVideo("the MP4 is cut off within a box")
        start += size
    if not ends:
        raise BadVideo("there are no bytes")
    if kind == b"moof":
        raise BadVideo("the MP4 is cut off after a fragment's head")


def _inspect(container: av.container.InputContainer) -> Video:
    """Decode the poster, count the frames and return the properties."""
    stream = container.streams.video[0]
    poster = posters.encode_first_frame(container)
    container.seek(0)
    frames = sum(1 for packet in container.demux(stream) if packet.size)
    fps = float(stream.average_rate or 0)
    if not fps:
        raise BadVideo("the MP4 has no frame rate")
    # A fragmented MP4 announces no frames, or those of its first fragment alone. The durations that it announces are
    # off by a frame or more. So an MP4 that ends between two fragments is accepted: nothing in it says how many
    # fragments there should be.
    if not frames or frames < stream.frames:
        raise BadVideo(f"the MP4 announces {stream.frames} frames and holds {frames}")
    return Video(
        codec=stream.codec_context.name,
        width=stream.width,
        height=stream.height,
        fps=fps,
        duration=frames / fps,
        poster=poster,
    )
