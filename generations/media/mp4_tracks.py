"""Read an MP4's video track: how a player turns it, and how long its edit list lets it be."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat

from generations.media.mp4 import MAX_ROWS, BadVideo, Box, Layout, split
from generations.media.mp4_samples import Samples

MAX_PIXELS = 4096 * 2304  # of a frame; a decoder keeps up to 17 frames

SAMPLE_ENTRY_BYTES = 78  # the fields of a visual sample entry before its boxes
CONFIGURATIONS = {b"avcC", b"hvcC", b"av1C", b"vpcC", b"esds", b"pasp", b"colr"}


@dataclass(frozen=True)
class Track:
    """The video track as a player shows it."""

    id: int
    samples: int  # announced in moov; 0 in a file whose samples are all in fragments
    edited_seconds: float  # the length of its edit list; 0 without one
    has_audio: bool  # whether the file has a sound track with samples
    matrix: tuple[int, int, int, int]  # a, b, c, d: x' = ax + cy, y' = bx + dy


def read_video(layout: Layout) -> Track:
    """Return the first video track, and hide the others from FFmpeg.

    Raise BadVideo if there is none, if a sample of any track lies outside the file, or if a number is too large.
    """
    moov = layout.moov
    assert moov is not None  # `read_layout` has checked it
    samples, video, sounds = Samples(layout.end), None, dict[int, int]()
    for trak in moov.children.get(b"trak", []):
        before = samples.count
        samples.check_track(trak)
        if video is None and _handler(trak) == b"vide":
            video, announced = trak, samples.count - before
        elif _handler(trak) == b"soun":
            header = trak.find(b"tkhd")
            sounds[_track_id(header) if header else 0] = samples.count - before
    is_fragmented = samples.check_fragments(moov, layout)
    if video is None:
        raise BadVideo("the MP4 has no video track")
    in_fragments = {_fragment_track_id(traf) for moof in layout.fragments for traf in moof.children.get(b"traf", [])}
    has_audio = any(count or track_id in in_fragments for track_id, count in sounds.items())
    _hide_other_tracks(layout, moov, video)
    _check_sample_entries(layout, video)
    return _track(moov, video, announced, is_fragmented=is_fragmented, has_audio=has_audio)


def _handler(trak: Box) -> bytes:
    hdlr = trak.find(b"mdia", b"hdlr")
    return bytes(hdlr.body[8:12]) if hdlr else b""


def _track_id(box: Box) -> int:
    """Return the track's number in a tkhd box."""
    return box.unpack("I", 20 if box.is_long else 12)[0]


def _fragment_track_id(traf: Box) -> int:
    """Return the number of the track that a traf box continues."""
    return traf.need(b"tfhd").unpack("I", 4)[0]


def _hide_other_tracks(layout: Layout, moov: Box, video: Box) -> None:
    """Hide the tracks but this one, in moov and in the fragments."""
    track_id = _track_id(video.need(b"tkhd"))
    others = [trak for trak in moov.children[b"trak"] if trak is not video]
    for fragment in layout.fragments:
        trafs = fragment.children.get(b"traf", [])
        others += [traf for traf in trafs if _fragment_track_id(traf) != track_id]
    for box in others:
        layout.hide(box.start)


def _track(moov: Box, trak: Box, samples: int, *, is_fragmented: bool, has_audio: bool) -> Track:
    """Return the facts of the video track."""
    mvhd, tkhd = moov.need(b"mvhd"), trak.need(b"tkhd")
    elst = trak.find(b"edts", b"elst")
    edits = list(elst.table("QqI" if elst.is_long else "IiI")) if elst else []
    if len(edits) * samples > MAX_ROWS:  # FFmpeg indexes the samples once for each edit
        raise BadVideo(f"the MP4 has an edit list of {len(edits)} entries")
    return Track(
        id=_track_id(tkhd),
        samples=samples,
        # In a fragmented file the list speaks of the first fragment alone.
        edited_seconds=0.0 if is_fragmented else _edited_seconds(trak, edits, _time_scale(mvhd)),
        has_audio=has_audio,
        matrix=_product(_matrix(tkhd, 52, 40), _matrix(mvhd, 48, 36)),
    )


def _time_scale(box: Box) -> int:
    """Return the units in a second, of an mvhd or mdhd box."""
    return box.unpack("I", 20 if box.is_long else 12)[0] or 1


def _edited_seconds(trak: Box, edits: list[tuple[int, ...]], scale: int) -> float:
    """Return the length of all edits. None is longer than what is left of the track from its start on.

    An edit that starts at -1 is a pause.
    """
    track_scale = _time_scale(trak.need(b"mdia", b"mdhd"))
    end = _presentation_end(trak.need(b"mdia", b"minf", b"stbl")) / track_scale
    lengths = [(length / scale, start) for length, start, _ in edits]
    return sum(length if start < 0 else max(min(length, end - start / track_scale), 0) for length, start in lengths)


def _presentation_end(stbl: Box) -> int:
    """Return when the last frame ends, in the track's time scale."""
    durations, shifts = _expand(stbl, b"stts", "II"), _expand(stbl, b"ctts", "Ii")
    start = end = 0
    for duration, shift in zip(durations, chain(shifts, repeat(0)), strict=False):
        end = max(end, start + shift + duration)
        start += duration
    return end


def _expand(stbl: Box, name: bytes, layout: str) -> Iterator[int]:
    """Yield the value of each sample from a table of (number of samples, value); nothing without the table."""
    table = stbl.find(name)
    for count, value in table.table(layout) if table else ():
        yield from repeat(value, count)


def _matrix(box: Box, long_offset: int, offset: int) -> tuple[int, int, int, int]:
    """Return a, b, c and d of a box's matrix, as signs of its turns by 90 degrees and flips."""
    a, b, _, c, d = box.unpack("5i", long_offset if box.is_long else offset)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (-1 if a < 0 else 1), 0, 0, (-1 if d < 0 else 1)
    return 0, (-1 if b < 0 else 1), (-1 if c < 0 else 1), 0


def _product(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Return the matrix that turns by the first, then by the second."""
    (a, b, c, d), (e, f, g, h) = first, second
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h


def _check_sample_entries(layout: Layout, trak: Box) -> None:
    """Raise BadVideo if a header announces frames that are too large. Hide what a decoder does not need."""
    stsd = trak.need(b"mdia", b"minf", b"stbl", b"stsd")
    for kind, at, head, size in split(stsd.body, b"stsd", 8):
        layout.count()
        entry = Box(kind, stsd.offset + at, stsd.offset + at + head, stsd.body[at + head : at + size], {})
        width, height = entry.unpack("HH", 24)
        if width * height > MAX_PIXELS:
            raise BadVideo(f"the MP4 announces frames of {width} x {height} pixels, more than {MAX_PIXELS}")
        for child, child_at, _, _ in split(entry.body, kind, SAMPLE_ENTRY_BYTES):
            layout.count()
            if child not in CONFIGURATIONS:
                layout.hide(entry.offset + child_at)
