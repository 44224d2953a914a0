"""Tests of whole and broken MP4s: what stands behind the last box does not matter, what is missing does."""

import functools
import io
import math
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generations.media import videos
from generations.media.mp4 import BadVideo
from tests.support.images import render_mp4
from tests.support.mp4_files import VIDEO_TABLES, add, box, change, find, full_box, remux

FRAMES = 25


@functools.cache
def made(form: str) -> bytes:
    """Return a whole MP4: moov in front, moov at the end, or in fragments."""
    flags = {"in front": "faststart", "at the end": "", "fragments": "frag_every_frame+empty_moov+default_base_moof"}
    return remux(render_mp4(frames=FRAMES, width=64, height=48), flags[form])


FORMS = ["in front", "at the end", "fragments"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "v.mp4"


def inspect(file: Path, content: bytes) -> videos.Video:
    file.write_bytes(content)
    with file.open("rb") as opened:
        return videos.inspect(opened)


BEHIND = {
    "a zero": b"\0",
    "a line's end": b"\r\n",
    "seven zeros": bytes(7),
    "eight zeros": bytes(8),
    "many zeros": bytes(5000),
    "text": b"</body></html>",
    "random bytes": bytes(range(255, 0, -1)),
    "a box that was cut off": box(b"free", bytes(92))[:50],
    "a box that was cut off in its head": box(b"free", bytes(92))[:6],
    "a box of another kind": box(b"abcd", bytes(20)),
    "a box of no size": struct.pack(">I4s", 3, b"free"),
    "another moov": box(b"moov", bytes(20)),
    "a long size that was cut off": struct.pack(">I4s", 1, b"free"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND.keys())
def test_what_stands_behind_the_last_box_does_not_matter(file: Path, form: str, behind: bytes) -> None:
    video = inspect(file, made(form) + behind)
    assert (video.frames, video.duration) == (FRAMES, pytest.approx(FRAMES / 24))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("missing", [1, 20, 400])
def test_a_file_whose_last_samples_or_tables_are_missing_is_cut_off(file: Path, form: str, missing: int) -> None:
    whole = made(form)
    end = whole.rindex(b"mfra") - 4 if form == "fragments" else len(whole)
    with pytest.raises(BadVideo, match="cut off"):
        inspect(file, whole[: end - missing])


@pytest.mark.parametrize("box_bytes", [5, 8, 60])
def test_a_fragments_head_that_was_cut_off_is_not_behind_the_video(file: Path, box_bytes: int) -> None:
    whole = made("fragments")
    with pytest.raises(BadVideo, match="cut off"):
        inspect(file, whole[: whole.rindex(b"moof") - 4 + box_bytes])


def large(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body


def test_a_frame_box_may_reach_to_the_end_or_be_large_or_end_nowhere(file: Path) -> None:
    whole = made("in front")
    start, end = find(whole, b"mdat")
    assert end == len(whole)
    for size in (0, end - start + 8 + 5000, end - start + 8 - 5):
        assert inspect(file, whole[: start - 8] + struct.pack(">I", size) + whole[start - 4 :]).frames == FRAMES
    at_the_end = made("at the end")
    start, end = find(at_the_end, b"mdat")
    moov = at_the_end[end:]
    moved = change(moov, (*VIDEO_TABLES, b"stco"), lambda stco: stco[:8] + moved_by(8, stco[8:]))
    assert inspect(file, at_the_end[: start - 8] + large(b"mdat", at_the_end[start:end]) + moved).frames == FRAMES
    assert inspect(file, at_the_end + large(b"free", bytes(100)) + struct.pack(">I4s", 0, b"free")).frames == FRAMES


def moved_by(distance: int, offsets: bytes) -> bytes:
    return b"".join(struct.pack(">I", offset + distance) for (offset,) in struct.iter_unpack(">I", offsets))


@pytest.mark.parametrize("boxes", [b"free", b"skip", b"wide"])
def test_a_file_may_begin_with_an_empty_space(file: Path, boxes: bytes) -> None:
    whole = made("at the end")
    moved = change(whole, (*VIDEO_TABLES, b"stco"), lambda stco: stco[:8] + moved_by(8, stco[8:]))
    assert inspect(file, box(boxes) + moved).frames == FRAMES


@pytest.mark.parametrize("garbage", [b"\0", b"\r\n", b"<html></html>", bytes(100), b"\xff" * 4096])
def test_garbage_in_front_is_refused_by_name(file: Path, garbage: bytes) -> None:
    with pytest.raises(BadVideo, match="do not begin as an MP4 does"):
        inspect(file, garbage + made("in front"))


def sound() -> bytes:
    """Return an MP4 with a silent second of sound."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=8000)
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def without(kind: bytes) -> bytes:
    """Return a whole file in which a box is called otherwise."""
    return made("at the end").replace(kind, b"abcd")


BAD = {
    "nothing": (lambda: b"", "no bytes"),
    "sound alone": (sound, "no video track"),
    "no moov": (lambda: without(b"moov"), "no moov box"),
    "no sample table": (lambda: without(b"stbl"), "no mdia/minf/stbl"),
    "no sizes": (lambda: without(b"stsz"), "shows no frame|cannot be read"),
    "no chunks": (lambda: without(b"stco"), "announces 25 samples and places 0"),
    "no movie header": (lambda: without(b"mvhd"), "no mvhd"),
    "no description": (lambda: without(b"stsd"), "no mdia/minf/stbl/stsd"),
    "an unknown codec": (lambda: without(b"avc1"), "cannot be read|codec is unknown"),
    "two movie headers": (lambda: add(made("at the end"), (b"moov",), full_box(b"mvhd", bytes(96))), "two mvhd"),
    "a broken box": (lambda: add(made("at the end"), (b"moov",), struct.pack(">I4s", 99, b"trak")), "moov is broken"),
    "a short header": (lambda: change(made("at the end"), (b"moov", b"mvhd"), bytes(9)), "mvhd is too short"),
}


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD.keys())
def test_what_is_no_video_is_refused_with_its_reason(file: Path, content: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(BadVideo, match=reason):
        inspect(file, content())


def test_the_samples_of_every_track_have_to_be_inside(file: Path) -> None:
    """A second track, of sound, whose sample lies behind the end."""
    start, end = find(made("at the end"), b"moov", b"trak")
    other = made("at the end")[start - 8 : end].replace(b"vide", b"soun")
    other = change(b"".join([other]), (b"trak", b"mdia", b"minf", b"stbl", b"stco"), far)
    with pytest.raises(BadVideo, match="cut off"):
        inspect(file, add(made("at the end"), (b"moov",), other))


def far(stco: bytes) -> bytes:
    return stco[:8] + b"\x7f\0\0\0" * (len(stco) // 4 - 2)


@settings(deadline=None)
@given(st.data())
def test_a_changed_byte_never_gives_another_error(data: st.DataObject) -> None:
    content = bytearray(made(data.draw(st.sampled_from(FORMS))))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.NamedTemporaryFile() as changed:
        changed.write(content)
        changed.flush()
        try:
            video = videos.inspect(changed.file)
        except BadVideo:
            return
        assert video.poster.startswith(b"\xff\xd8")
        assert math.isfinite(video.fps)
        assert math.isfinite(video.duration)
