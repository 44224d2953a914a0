"""Tests of checked videos: whole MP4s, their properties and posters."""

import io
from pathlib import Path

import av
import pytest
from PIL import Image

from generations.media import videos
from generations.media.videos import BadVideo
from tests.support.images import image_bytes, mp4, render_mp4


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "v.mp4"
    path.write_bytes(mp4())
    return path


def test_a_videos_properties_and_poster_are_read(file: Path) -> None:
    video = videos.inspect(str(file))
    assert (video.codec, video.width, video.height, video.fps) == ("h264", 160, 90, 24.0)
    assert video.duration == pytest.approx(25 / 24)
    with Image.open(io.BytesIO(video.poster)) as poster:
        assert (poster.format, poster.size) == ("JPEG", (160, 90))


def remux(source: bytes, target: Path, flags: str) -> None:
    """Write the frames of `source` to another MP4, with FFmpeg's movflags."""
    with (
        av.open(io.BytesIO(source)) as opened,
        av.open(str(target), "w", format="mp4", options={"movflags": flags}) as remuxed,
    ):
        stream = remuxed.add_stream_from_template(opened.streams.video[0])
        for packet in opened.demux(video=0):
            if packet.size:
                packet.stream = stream
                remuxed.mux(packet)


@pytest.mark.parametrize(
    "flags",
    [
        "frag_keyframe+empty_moov",
        "frag_keyframe",  # the first fragment lies in moov, which counts its own frames alone
        "frag_every_frame+empty_moov",
        "dash+frag_every_frame",  # the indexes announce a duration with a frame too many
        "dash+global_sidx+frag_every_frame",  # and here a duration of months
        "cmaf",
    ],
)
@pytest.mark.parametrize("frames", [25, 73])
def test_a_fragmented_mp4_is_accepted(file: Path, flags: str, frames: int) -> None:
    remux(render_mp4(frames=frames, width=32, height=32), file, flags)
    assert videos.inspect(str(file)).duration == pytest.approx(frames / 24)


def test_a_fragments_head_without_its_frames_is_refused(file: Path) -> None:
    remux(mp4(), file, "frag_every_frame+empty_moov")
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.rindex(b"mdat") - 4])
    with pytest.raises(BadVideo, match="cut off"):
        videos.inspect(str(file))


def test_a_paid_video_with_metadata_in_another_encoding_is_accepted(file: Path) -> None:
    content = render_mp4(prompt="MARKER OF THE TITLE")
    file.write_bytes(content.replace(b"MARKER OF THE TITLE", b"\xff\xfe\xe9 OF THE TITLE\x80\x80\x80"))
    assert videos.inspect(str(file)).duration == pytest.approx(25 / 24)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_video_that_is_cut_off_is_refused(file: Path, share: float) -> None:
    file.write_bytes(mp4()[: int(len(mp4()) * share)])
    with pytest.raises(BadVideo):
        videos.inspect(str(file))


@pytest.mark.parametrize("missing", [1, 90, 99])
def test_a_video_that_is_cut_off_after_its_frames_is_refused(file: Path, missing: int) -> None:
    whole = mp4() + (100).to_bytes(4, "big") + b"free" + bytes(92)
    file.write_bytes(whole)
    assert videos.inspect(str(file)).duration == pytest.approx(25 / 24)
    file.write_bytes(whole[:-missing])
    with pytest.raises(BadVideo, match="cut off"):
        videos.inspect(str(file))


def test_a_box_may_be_large_or_reach_to_the_end(file: Path) -> None:
    large = (1).to_bytes(4, "big") + b"free" + (116).to_bytes(8, "big") + bytes(100)
    file.write_bytes(mp4() + large + (0).to_bytes(4, "big") + b"free" + bytes(50))
    assert videos.inspect(str(file)).duration == pytest.approx(25 / 24)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"\0\0\0\x20ftypisom" + b"\0" * 500, image_bytes(), image_bytes(kind="GIF")]
)
def test_other_bytes_than_an_mp4_are_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(BadVideo):
        videos.inspect(str(file))
