"""Tests of checked videos: whole MP4s, their properties and posters."""

import functools
import io
import struct
from pathlib import Path

import pytest
from PIL import Image

from generations.media import posters, videos
from generations.media.mp4 import BadVideo
from tests.support.images import image_bytes, mp4, render_mp4
from tests.support.mp4_files import VIDEO_TABLES, box, change, encode, find, remux, with_edits, with_matrix


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "v.mp4"
    path.write_bytes(render_mp4())
    return path


def inspect(file: Path) -> videos.Video:
    with file.open("rb") as opened:
        return videos.inspect(opened)


def test_a_videos_properties_and_poster_are_read(file: Path) -> None:
    video = inspect(file)
    assert (video.codec, video.width, video.height, video.fps) == ("h264", 160, 90, 24.0)
    assert video.duration == pytest.approx(25 / 24)
    with Image.open(io.BytesIO(video.poster)) as poster:
        assert (poster.format, poster.size) == ("JPEG", (160, 90))


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
    file.write_bytes(remux(render_mp4(frames=frames, width=32, height=32), flags))
    assert inspect(file).duration == pytest.approx(frames / 24)


def test_a_fragments_head_without_its_frames_is_refused(file: Path) -> None:
    whole = remux(render_mp4(), "frag_every_frame+empty_moov")
    file.write_bytes(whole[: whole.rindex(b"mdat") - 4])
    with pytest.raises(BadVideo, match="cut off"):
        inspect(file)


def test_a_paid_video_with_metadata_in_another_encoding_is_accepted(file: Path) -> None:
    content = render_mp4(prompt="MARKER OF THE TITLE")
    file.write_bytes(content.replace(b"MARKER OF THE TITLE", b"\xff\xfe\xe9 OF THE TITLE\x80\x80\x80"))
    assert inspect(file).duration == pytest.approx(25 / 24)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_video_that_is_cut_off_is_refused(file: Path, share: float) -> None:
    file.write_bytes(mp4()[: int(len(mp4()) * share)])
    with pytest.raises(BadVideo):
        inspect(file)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"\0\0\0\x20ftypisom" + b"\0" * 500, image_bytes(), image_bytes(kind="GIF")]
)
def test_other_bytes_than_an_mp4_are_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(BadVideo):
        inspect(file)


LONG = 77  # frames; 3.208 s


@functools.cache
def long_video() -> bytes:
    return remux(render_mp4(frames=LONG, width=64, height=48))


@pytest.mark.parametrize(
    ("edits", "seconds", "frames"),
    [
        ([], LONG / 24, LONG),
        ([(591, 0)], 0.591, 13),  # what is hidden stands behind
        ([(591, 31744)], 0.591, 14),  # and in front
        ([(400, -1), (591, 1024)], 0.991, 14),  # a pause in front
        ([(500, 1024), (591, 25600)], 1.091, 26),  # two pieces
        ([(60_000, 13312)], (LONG - 24) / 24, LONG - 24),  # an edit that is longer than the track
        ([(3209, 1024)], LONG / 24, LONG),  # an edit of the whole, rounded to a millisecond
    ],
)
def test_the_duration_is_that_of_the_edit_list(
    file: Path, edits: list[tuple[int, int]], seconds: float, frames: int
) -> None:
    file.write_bytes(with_edits(long_video(), *edits))
    video = inspect(file)
    assert (video.duration, video.fps) == (pytest.approx(seconds, abs=0.001), 24.0)
    assert video.frames == pytest.approx(frames, abs=1)


def test_the_poster_is_the_first_frame_that_is_shown(file: Path) -> None:
    """The video fades from an image to a red one."""
    red = io.BytesIO()
    Image.new("RGB", (640, 360), "red").save(red, "PNG")
    whole = remux(render_mp4(last_image=red.getvalue(), frames=25, camera_fixed=True))
    file.write_bytes(with_edits(whole, (80, 1024 + 23 * 512)))
    with Image.open(io.BytesIO(inspect(file).poster)) as poster:
        pixel = poster.getpixel((80, 10))
    assert isinstance(pixel, tuple)
    assert pixel[0] > 200 > 60 > max(pixel[1:])


@functools.cache
def corner_video() -> bytes:
    """Return a video of 96 x 64 pixels that is black but for its upper left quarter."""
    image = Image.new("RGB", (960, 640))
    image.paste((255, 255, 255), (0, 0, 480, 320))
    out = io.BytesIO()
    image.save(out, "PNG")
    return remux(render_mp4(image=out.getvalue(), width=96, height=64, frames=2, camera_fixed=True))


@pytest.mark.parametrize(
    ("matrix", "size", "corner"),
    [
        ((1, 0, 0, 1), (96, 64), (0, 0)),
        ((0, 1, -1, 0), (64, 96), (1, 0)),  # a quarter clockwise
        ((-1, 0, 0, -1), (96, 64), (1, 1)),
        ((0, -1, 1, 0), (64, 96), (0, 1)),
        ((-1, 0, 0, 1), (96, 64), (1, 0)),  # mirrored
        ((1, 0, 0, -1), (96, 64), (0, 1)),
        ((0, 1, 1, 0), (64, 96), (0, 0)),
        ((0, -1, -1, 0), (64, 96), (1, 1)),
        ((0, 0, 0, 0), (96, 64), (0, 0)),  # as some writers leave it
    ],
)
def test_size_and_poster_are_turned_as_players_turn_them(
    file: Path, matrix: tuple[int, int, int, int], size: tuple[int, int], corner: tuple[int, int]
) -> None:
    file.write_bytes(with_matrix(corner_video(), *matrix))
    video = inspect(file)
    assert (video.width, video.height) == size
    with Image.open(io.BytesIO(video.poster)) as poster:
        assert poster.size == size
        grey = poster.convert("L")
    quarters = {(x, y): grey.getpixel(((1 + 2 * x) * size[0] // 4, (1 + 2 * y) * size[1] // 4)) for x, y in SQUARE}
    assert max(quarters, key=lambda quarter: quarters[quarter]) == corner  # type: ignore[arg-type,return-value]


SQUARE = [(0, 0), (1, 0), (0, 1), (1, 1)]


def test_a_movie_that_is_turned_turns_its_track_further(file: Path) -> None:
    turned = with_matrix(corner_video(), 0, 1, -1, 0)
    start, _ = find(turned, b"moov", b"mvhd")
    matrix = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    file.write_bytes(turned[: start + 36] + matrix + turned[start + 72 :])
    assert (inspect(file).width, inspect(file).height) == (96, 64)


def test_pixels_that_are_not_square_are_stretched(file: Path) -> None:
    pasp = box(b"pasp", struct.pack(">II", 2, 1))

    def add_to_entry(stsd: bytes) -> bytes:
        return stsd[:8] + struct.pack(">I", len(stsd) - 8 + len(pasp)) + stsd[12:] + pasp

    file.write_bytes(change(corner_video(), (*VIDEO_TABLES, b"stsd"), add_to_entry))
    video = inspect(file)
    assert (video.width, video.height, video.pixels) == (192, 64, 96 * 64)
    with Image.open(io.BytesIO(video.poster)) as poster:
        assert poster.size == (192, 64)


@pytest.mark.parametrize(
    ("codec", "name"), [("libx265", "hevc"), ("libvpx-vp9", "vp9"), ("libsvtav1", "av1"), ("mpeg4", "mpeg4")]
)
def test_videos_of_other_codecs_are_read(file: Path, codec: str, name: str) -> None:
    file.write_bytes(encode(codec, 320, 240, 10))
    video = inspect(file)
    assert (video.codec, video.width, video.height, video.frames) == (name, 320, 240, 10)


def test_the_poster_of_a_large_video_is_reduced(file: Path) -> None:
    file.write_bytes(encode("libx264", 2560, 1440, 1, preset="ultrafast"))
    with Image.open(io.BytesIO(inspect(file).poster)) as poster:
        assert 2_000_000 < poster.width * poster.height <= posters.MAX_PIXELS
        assert poster.width / poster.height == pytest.approx(16 / 9, rel=0.01)
