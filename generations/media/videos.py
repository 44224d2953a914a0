"""Check that a file is a whole MP4, and read what a player shows: codec, pixels, frame rate, duration, sound, poster.

Edit lists, rotation and the shape of pixels are heeded. Memory is bounded whatever the file says: its tables are
checked before FFmpeg reads them (`mp4`), and decoders refuse frames above MAX_PIXELS, whichever header names them.
"""

import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import av
import av.error

from generations.media import mp4, mp4_tracks, posters
from generations.media.mp4 import BadVideo

MAX_PACKETS_TO_POSTER = 2000  # an edit list may hide this many in front of the first frame that is shown
MIN_PIXEL_ASPECT, MAX_PIXEL_ASPECT = Fraction(1, 4), Fraction(4)  # others are taken for square pixels
DECODER_OPTIONS = {"max_pixels": str(mp4_tracks.MAX_PIXELS)}


@dataclass(frozen=True)
class Video:
    """The properties of a whole MP4, as a player shows them."""

    codec: str
    width: int
    height: int
    fps: float
    duration: float  # seconds
    poster: bytes  # JPEG of the first frame
    frames: int
    pixels: int  # of a frame as it is stored: a player may stretch it to `width` and `height`
    has_audio: bool = False


def inspect(file: BinaryIO) -> Video:
    """Return the properties of the MP4 in `file`. Raise BadVideo if it is no MP4, has no frames, or ends too early."""
    layout = mp4.read_layout(file)
    track = mp4_tracks.read_video(layout)
    view = mp4.View(file, layout)
    try:
        with av.open(view, "r", format="mp4", options=DECODER_OPTIONS, metadata_errors="replace") as container:
            return _inspect(container, track)
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        raise BadVideo(f"the MP4 cannot be read: {type(error).__name__}") from error


def _inspect(container: av.container.InputContainer, track: mp4_tracks.Track) -> Video:
    """Decode the first frame, count the others and return the properties."""
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise BadVideo("the MP4's codec is unknown")
    # One thread: each has frames of its own.
    stream.codec_context.thread_count, stream.codec_context.options = 1, dict(DECODER_OPTIONS)
    shown, packets, frame = Extent(stream.time_base), 0, None
    for packet in container.demux(stream):
        packets += packet.size > 0
        shown.add(packet)
        if frame is None:
            frame = next(iter(packet.decode()), None)
            if frame is None and packets > MAX_PACKETS_TO_POSTER:
                raise BadVideo(f"the MP4 shows no frame among its first {MAX_PACKETS_TO_POSTER}")
    if frame is None or not shown.frames:
        raise BadVideo("the MP4 shows no frame")
    # A fragmented MP4 announces no samples, or those of its first fragment alone.
    if not track.edited_seconds and packets < track.samples:
        raise BadVideo(f"the MP4 announces {track.samples} frames and holds {packets}")
    duration = track.edited_seconds or shown.seconds
    fps = float(stream.average_rate or (shown.frames / duration if duration else 0))
    if not fps:
        raise BadVideo("the MP4 has no frame rate")
    width, height = _shown_size(frame, stream.sample_aspect_ratio)
    pixels = frame.width * frame.height
    poster = posters.encode(frame, width, height, track.matrix)
    if not track.matrix[0]:  # a quarter turn
        width, height = height, width
    return Video(
        codec=stream.codec_context.codec.canonical_name,
        width=width,
        height=height,
        fps=fps,
        duration=duration or shown.frames / fps,
        poster=poster,
        frames=shown.frames,
        pixels=pixels,
        has_audio=track.has_audio,
    )


class Extent:
    """The frames of a stream that a player shows, and the time from the first to the end of the last."""

    def __init__(self, unit: Fraction | None) -> None:
        self.frames = 0
        self._unit = unit or Fraction(0)  # seconds of a packet's times, which are whole numbers
        self._start, self._end = sys.maxsize, 0

    def add(self, packet: "av.Packet[Any]") -> None:
        """Count the packet, unless it is empty or hidden by an edit list."""
        if not packet.size or packet.is_discard:
            return
        self.frames += 1
        time = packet.dts if packet.pts is None else packet.pts
        if time is not None:
            self._start = min(self._start, time)
            self._end = max(self._end, time + (packet.duration or 0))

    @property
    def seconds(self) -> float:
        """The time from the start of the first frame to the end of the last."""
        return float(max(self._end - self._start, 0) * self._unit)


def _shown_size(frame: av.VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
    """Return the frame's size with square pixels, enlarged as players do."""
    if not aspect or not MIN_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT:
        return frame.width, frame.height
    if aspect > 1:
        return round(frame.width * aspect), frame.height
    return frame.width, round(frame.height / aspect)
