"""Test that the sandbox's videos are like those of the upstream."""

import hashlib
import io
import platform
import tempfile
from typing import Any

import av
import pytest
from PIL import Image, ImageChops, ImageStat

from deploy.sandbox.render import Move
from generations.catalog import video_models
from tests.support.images import image_bytes, render_mp4

pytestmark = pytest.mark.story

MODEL = video_models.default()


def frames(content: bytes, *numbers: int) -> list[Image.Image]:
    """Return the frames of a video with those numbers."""
    with av.open(io.BytesIO(content)) as container:
        every = [frame.to_image() for frame in container.decode(video=0)]
    return [every[number] for number in numbers]


def difference(first: Image.Image, second: Image.Image) -> float:
    """Return the mean difference of a channel, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(first, second)).mean) / 3


def red_image() -> bytes:
    """Return a PNG that is red."""
    out = io.BytesIO()
    Image.new("RGB", (400, 400), (200, 30, 30)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    "changes",
    [{}, {"sound": True}, {"fps": 30}, {"last_image": red_image()}],
    ids=["silent", "sound", "30 a second", "last image"],
)
def test_the_same_shot_gives_the_same_bytes(changes: dict[str, Any]) -> None:
    assert render_mp4(**changes) == render_mp4(**changes)


# Digests of videos as the renderer writes them since it works in planes of brightness and colour. Another PyAV or
# Pillow may write other bytes: then take the new digests from a commit without any change of the renderer.
FORMER = {
    "moving": ({}, "c7021a17130fd1b7504c8a57fa57c46e9bd4d0342f413a8d8c8d682df5af41cb"),
    "fixed": ({"camera_fixed": True}, "95d845b3b4da2008d1db160bc3121fe3e7ed00bbbc11bc8af38644084e222e44"),
    "last image": (
        {"last_image": red_image(), "seed": 2**31 - 1},
        "9b34c5ffe07fca1a8ffa5f53d7f4176bea79264a4cd997921ce7e86ba755e7c8",
    ),
    "480p": (
        {"width": 864, "height": 480, "frames": 121, "prompt": "a red ship — «sails»"},
        "98b00d7c7491024bc4e9755e24bab286feae397173fa21b6a6bb0c9031391a72",
    ),
}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the digests are those of an encoder for x86_64")
@pytest.mark.parametrize("name", FORMER)
def test_a_silent_video_of_an_image_has_the_bytes_that_it_always_had(name: str) -> None:
    changes, digest = FORMER[name]
    assert hashlib.sha256(render_mp4(**changes)).hexdigest() == digest


def test_another_seed_gives_another_move() -> None:
    assert len({Move.from_seed(seed) for seed in range(1000)}) == 1000
    [first], [second] = frames(render_mp4(seed=1), -1), frames(render_mp4(seed=2), -1)
    assert difference(first, second) > 2


def test_the_video_starts_from_the_image_and_the_camera_moves() -> None:
    first, last = frames(render_mp4(), 0, -1)
    start = Image.open(io.BytesIO(image_bytes())).resize((160, 90))
    assert difference(first, start) < 3
    assert difference(first, last) > 3


def test_a_fixed_camera_does_not_move() -> None:
    first, last = frames(render_mp4(camera_fixed=True), 0, -1)
    assert difference(first, last) < 2


@pytest.mark.parametrize("camera_fixed", [True, False])
def test_a_video_with_a_last_image_ends_on_it(camera_fixed: bool) -> None:
    first, last = frames(render_mp4(last_image=red_image(), camera_fixed=camera_fixed), 0, -1)
    assert difference(last, Image.new("RGB", (160, 90), (200, 30, 30))) < 4
    assert difference(first, last) > 30


def test_an_image_of_another_shape_is_cropped_at_its_centre() -> None:
    wide = Image.new("RGB", (900, 400), "blue")
    wide.paste("red", (250, 0, 650, 400))
    out = io.BytesIO()
    wide.save(out, "PNG")
    [frame] = frames(render_mp4(image=out.getvalue(), width=160, height=160, camera_fixed=True), 0)
    assert difference(frame, Image.new("RGB", (160, 160), "red")) < 6


def test_the_prompt_and_the_seed_are_in_the_files_metadata() -> None:
    with av.open(io.BytesIO(render_mp4(prompt="a red ship — «sails»"))) as container:
        assert container.metadata["title"] == "a red ship — «sails»"
        assert container.metadata["comment"] == "seed 7"


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "RGBA", "LA"])
def test_an_image_of_any_mode_can_be_rendered(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert render_mp4(image=image_bytes(kind=kind, mode=mode), frames=2)


def test_every_combination_has_the_plan_that_the_page_promises() -> None:
    """Check pixels and frame counts of all 36 combinations; the story renders some of them completely."""
    for sizes in MODEL.row.pixels.values():
        for width, height in sizes.values():
            # Two frames of the real size: the codec must take these very pixels.
            content = render_mp4(width=width, height=height, frames=2, camera_fixed=True)
            with av.open(io.BytesIO(content)) as container:
                stream: Any = container.streams.video[0]
                assert (stream.width, stream.height, stream.frames) == (width, height, 2)
                assert (stream.codec_context.name, stream.average_rate) == ("h264", 24)


@pytest.mark.parametrize(("duration", "count"), [(5, 121), (10, 241)])
def test_a_complete_video_has_24_frames_a_second_and_one_more(duration: int, count: int) -> None:
    content = render_mp4(frames=MODEL.frames(duration))
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(content)
        file.flush()
        with av.open(file.name) as container:
            assert sum(1 for packet in container.demux(video=0) if packet.size) == count
