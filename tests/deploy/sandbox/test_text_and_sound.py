"""Test the sandbox's videos of text alone, those with sound, and those of another frame rate."""

import io
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import pytest

from tests.deploy.sandbox.test_sandbox import difference, frames
from tests.support.images import render_mp4, render_text_mp4

pytestmark = pytest.mark.story


def read_samples(content: bytes) -> list[list[float]]:
    """Return the samples of each channel of a video's sound."""
    channels: list[list[float]] = [[], []]
    with av.open(io.BytesIO(content)) as container:
        for frame in container.decode(audio=0):
            for channel, plane in zip(channels, frame.planes, strict=True):
                channel += memoryview(plane).cast("f")[: frame.samples]
    return channels


def count_waves(samples: list[float]) -> int:
    """Return how often the samples rise through zero."""
    return sum(before < 0 <= after for before, after in pairwise(samples))


@pytest.mark.parametrize("changes", [{}, {"sound": True, "frames": 49}], ids=str)
def test_the_same_text_gives_the_same_bytes(changes: dict[str, Any]) -> None:
    assert render_text_mp4(**changes) == render_text_mp4(**changes)


@pytest.mark.parametrize("other", [{"prompt": "another"}, {"seed": 8}], ids=str)
def test_prompt_and_seed_decide_the_image_of_a_text(other: dict[str, Any]) -> None:
    [one], [two] = frames(render_text_mp4(), 0), frames(render_text_mp4(**other), 0)
    assert difference(one, two) > 10


def test_the_camera_moves_over_the_image_of_a_text() -> None:
    first, last = frames(render_text_mp4(), 0, -1)
    assert difference(first, last) > 3


def test_a_fixed_camera_shows_the_image_of_a_text_whole() -> None:
    first, last = frames(render_text_mp4(camera_fixed=True), 0, -1)
    assert difference(first, last) < 2
    [start_of_the_move] = frames(render_text_mp4(), 0)
    assert difference(first, start_of_the_move) < 4


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (834, 1112), (1470, 630), (2176, 928)])
def test_a_video_of_text_has_the_pixels_that_were_asked_for(width: int, height: int) -> None:
    with av.open(io.BytesIO(render_text_mp4(width=width, height=height, frames=2))) as container:
        stream: Any = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (width, height, 2)


@pytest.mark.parametrize(("fps", "count"), [(16, 81), (24, 121), (25, 1), (30, 150)])
@pytest.mark.parametrize("sound", [True, False])
def test_frames_and_their_rate_are_those_of_the_shot(fps: int, count: int, sound: bool) -> None:
    with av.open(io.BytesIO(render_mp4(fps=fps, frames=count, sound=sound))) as container:
        stream: Any = container.streams.video[0]
        assert (stream.frames, stream.average_rate) == (count, fps)
        assert stream.duration * stream.time_base == Fraction(count, fps)


@pytest.mark.parametrize("render", [render_mp4, render_text_mp4])
@pytest.mark.parametrize(("fps", "count"), [(24, 25), (24, 121), (30, 150), (7, 8)])
def test_the_sound_is_aac_in_stereo_and_as_long_as_the_video(render: Any, fps: int, count: int) -> None:
    with av.open(io.BytesIO(render(fps=fps, frames=count, sound=True))) as container:
        video, sound = container.streams
        assert (video.type, sound.type, sound.codec_context.name) == ("video", "audio", "aac")
        assert container.streams.audio[0].layout.name == "stereo"
        assert sound.duration is not None
        assert float(sound.duration * sound.time_base) == pytest.approx(count / fps, abs=0.001)
        assert (sound.start_time, video.start_time) == (0, 0)


def test_the_sound_is_a_quiet_tone_whose_pitch_the_seed_decides() -> None:
    pitches = []
    for seed in (1, 2):
        left, right = read_samples(render_mp4(sound=True, frames=24, seed=seed))
        assert left == pytest.approx(right, abs=0.001)
        assert 0.03 < max(left) < 0.1
        pitches.append(count_waves(left))
        assert 210 < pitches[-1] < 900
    assert len(set(pitches)) == 2


def test_a_silent_shot_has_no_sound() -> None:
    with av.open(io.BytesIO(render_mp4())) as container:
        assert [stream.type for stream in container.streams] == ["video"]
