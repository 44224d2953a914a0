"""Test that a video with sound is read as a whole video, with the properties of its frames."""

import dataclasses
import functools
import io
from pathlib import Path

import av
import pytest

from generations.media import videos
from generations.media.mp4 import BadVideo
from tests.support.images import render_mp4, render_text_mp4


@functools.cache
def whole() -> bytes:
    return render_mp4(sound=True, frames=49)


def remux(folder: Path, flags: str = "", *, sound_first: bool = False, frames: int = 49) -> bytes:
    """Return the video with FFmpeg's movflags, its tracks in another order, or with `frames` of its frames alone."""
    path, options = folder / "remuxed.mp4", {"movflags": flags} if flags else {}
    with av.open(io.BytesIO(whole())) as opened, av.open(str(path), "w", format="mp4", options=options) as remuxed:
        streams = sorted(opened.streams, key=lambda stream: (stream.type == "audio") != sound_first)
        tracks = {stream.index: remuxed.add_stream_from_template(stream) for stream in streams}
        for packet in opened.demux():
            is_left_out = packet.stream.type == "video" and (packet.pts or 0) * (packet.time_base or 0) * 24 >= frames
            if packet.size and not is_left_out:
                packet.stream = tracks[packet.stream.index]
                remuxed.mux(packet)
    return path.read_bytes()


def inspect(folder: Path, content: bytes) -> videos.Video:
    """Return the properties of these bytes."""
    path = folder / "video.mp4"
    path.write_bytes(content)
    with path.open("rb") as opened:
        return videos.inspect(opened)


@pytest.mark.parametrize(("fps", "count"), [(24, 25), (24, 121), (30, 150), (16, 81)])
def test_a_video_with_sound_has_the_duration_and_the_frames_of_its_video_track(
    tmp_path: Path, fps: int, count: int
) -> None:
    video = inspect(tmp_path, render_text_mp4(fps=fps, frames=count, sound=True))
    assert (video.codec, video.width, video.height, video.fps, video.frames) == ("h264", 160, 90, fps, count)
    assert video.duration == pytest.approx(count / fps, abs=0.001)  # an edit list counts milliseconds


def test_sound_changes_no_other_property_of_a_video(tmp_path: Path) -> None:
    silent = inspect(tmp_path, render_mp4(frames=49))
    assert inspect(tmp_path, whole()) == dataclasses.replace(silent, has_audio=True)
    assert not silent.has_audio


@pytest.mark.parametrize("flags", ["", "faststart", "frag_keyframe+empty_moov", "frag_every_frame+empty_moov", "cmaf"])
@pytest.mark.parametrize("sound_first", [True, False])
def test_the_tracks_may_be_in_either_order_and_in_fragments(tmp_path: Path, flags: str, sound_first: bool) -> None:
    video = inspect(tmp_path, remux(tmp_path, flags, sound_first=sound_first))
    assert (video.frames, video.fps, video.duration) == (49, 24.0, pytest.approx(49 / 24, abs=0.001))
    assert video.has_audio


def test_sound_that_is_longer_than_the_frames_does_not_lengthen_the_video(tmp_path: Path) -> None:
    video = inspect(tmp_path, remux(tmp_path, frames=25))
    assert (video.frames, video.duration) == (25, pytest.approx(25 / 24, abs=0.001))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_video_with_sound_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(BadVideo):
        inspect(tmp_path, whole()[: int(len(whole()) * share)])
