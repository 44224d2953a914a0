"""Compare a video with what was requested and is paid for: pixels, duration, frames, sound and seed.

The shape that the upstream reports is compared too: a flag in a prompt may have changed what is paid for.

A video with small differences is delivered, and they are shown. A video that is far off is not delivered: it has fewer
pixels, another duration or half the frames. A larger video is only different.
"""

import re
from dataclasses import dataclass

from generations.catalog import video_models
from generations.catalog.video_models import VideoModel
from generations.lifecycle import Difference
from generations.media.videos import Video
from generations.models import Generation

# As requested: within these tolerances.
MAX_SIDE_OFFSET = 16  # pixels; encoders round to blocks of 16: 1920 x 1080 for 1920 x 1088
MAX_FRAME_OFFSET = 2  # of the duration, and of the frames
MAX_FPS_OFFSET = 0.5  # 23.976 is 24

# Far off: beyond these shares of what was requested.
MIN_PIXELS = 0.7  # another maker's size of the same name may have 0.74; the next smaller resolution has 0.48 at most
MIN_DURATION, MAX_DURATION = 0.9, 1.5
MIN_FRAMES = 0.5

Size = tuple[int, int]  # width and height in pixels

RESOLUTION = re.compile(r"([0-9]{1,5})([pk])")  # lines, or thousands of columns
RATIO = re.compile(r"([1-9][0-9]{0,3}):([1-9][0-9]{0,3})")
LINES_PER_K = 540  # of a resolution that is named by its columns: four times that for about 4000 columns


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison."""

    differences: list[Difference]
    is_far_off: bool


def compare(generation: Generation, video: Video) -> Comparison:
    """Compare the video with the generation's request. What the catalogue does not know of a model is not compared."""
    requested, model = generation.duration, video_models.get(generation.model)
    fps = model.fps if model and model.fps else video.fps
    length = min(max(video.duration, requested), requested + 1 / fps)  # with or without the first frame
    is_far_off = not MIN_DURATION * requested <= video.duration <= MAX_DURATION * requested
    differences: list[Difference] = []
    if abs(video.duration - length) > (MAX_FRAME_OFFSET + 0.5) / fps:
        differences += [Difference(field="duration", requested=requested, received=round(video.duration, 3))]
    if model:
        frames = model.frames(requested)
        if model.fps and frames:
            differences += _difference("fps", model.fps, video.fps, MAX_FPS_OFFSET)
            differences += _difference("frames", frames, video.frames, MAX_FRAME_OFFSET + 1)
            is_far_off = is_far_off or video.frames < MIN_FRAMES * frames
        if sizes := _possible_sizes(generation, model):
            size = min(sizes, key=lambda size: abs(size[0] - video.width) + abs(size[1] - video.height))
            differences += _difference("width", size[0], video.width, MAX_SIDE_OFFSET)
            differences += _difference("height", size[1], video.height, MAX_SIDE_OFFSET)
            is_far_off = is_far_off or video.pixels < MIN_PIXELS * min(width * height for width, height in sizes)
        if model.has_sound(generation.request_values) and not video.has_audio:
            differences += [Difference(field="audio", requested=1, received=0)]
    if generation.upstream_seed is not None and generation.seed is not None:
        differences += _difference("seed", generation.seed, generation.upstream_seed, 0)
    measured = {difference["field"] for difference in differences}
    differences += [item for item in _compare_shape(generation) if item["field"] not in measured]
    return Comparison(differences, is_far_off)


def _possible_sizes(generation: Generation, model: VideoModel) -> list[Size]:
    """Return the sizes that the requested video may have; none if they are not known.

    There is one for a requested ratio. A ratio that the upstream was to choose may be each of the resolution's, or only
    the one that it reports.
    """
    values = generation.request_values
    if size := model.size(values):
        return [size]
    if values.get("aspect_ratio") is None:
        return []
    chosen = model.size({**values, "aspect_ratio": generation.upstream_shape.get("aspect_ratio")})
    return [chosen] if chosen else model.sizes(values)


def _compare_shape(generation: Generation) -> list[Difference]:
    """Return in what the shape that the upstream reports differs. What it does not report is not compared."""
    reported = generation.upstream_shape
    pairs: dict[str, tuple[float | None, float | None]] = {
        "resolution": (_parse_resolution(generation.resolution), _parse_resolution(reported.get("resolution"))),
        "aspect_ratio": (_parse_ratio(generation.aspect_ratio), _parse_ratio(reported.get("aspect_ratio"))),
        "duration": (generation.duration, reported.get("duration")),
    }
    return [
        Difference(field=field, requested=requested, received=received)
        for field, (requested, received) in pairs.items()
        if requested is not None and received is not None and requested != received
    ]


def _parse_resolution(text: str | None) -> int | None:
    """Return the lines of a resolution, for example 720; None for none, and for one that has no number."""
    found = RESOLUTION.fullmatch((text or "").lower())
    return int(found[1]) * (LINES_PER_K if found[2] == "k" else 1) if found else None


def _parse_ratio(text: str | None) -> float | None:
    """Return width / height, for example 1.778; None for no ratio, and for one that the upstream chooses."""
    found = RATIO.fullmatch(text or "")
    return round(int(found[1]) / int(found[2]), 3) if found else None


def _difference(field: str, requested: int, received: float, tolerance: float) -> list[Difference]:
    """Return a list with the difference, or an empty one if the value is within the tolerance."""
    if abs(received - requested) <= tolerance:
        return []
    return [Difference(field=field, requested=requested, received=round(received, 3))]
