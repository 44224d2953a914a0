import io
from pathlib import Path

import pytest
from PIL import Image

from generations import videos
from generations.errors import BadVideo
from tests.pictures import mp4, picture


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "v.mp4"
    path.write_bytes(mp4())
    return path


def test_a_videos_facts_and_its_poster_are_read(file: Path) -> None:
    video = videos.inspect(str(file))
    assert (video.codec, video.width, video.height, video.fps, video.frames) == ("h264", 160, 90, 24.0, 25)
    assert video.duration == pytest.approx(25 / 24)
    with Image.open(io.BytesIO(video.poster)) as poster:
        assert (poster.format, poster.size) == ("JPEG", (160, 90))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_video_that_is_cut_off_is_refused(file: Path, share: float) -> None:
    file.write_bytes(mp4()[: int(len(mp4()) * share)])
    with pytest.raises(BadVideo):
        videos.inspect(str(file))


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"\0\0\0\x20ftypisom" + b"\0" * 500, picture(), picture(kind="GIF")]
)
def test_what_is_no_mp4_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(BadVideo):
        videos.inspect(str(file))
