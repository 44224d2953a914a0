"""Compare a video with what was requested and is paid for: pixels, duration, frames, sound and seed.

A video with small differences is delivered, and they are shown. A video that is far off is not delivered: it has fewer
pixels, another duration or half the frames. A larger video is only different.
"""

from dataclasses import dataclass

from generations.catalog import video_models
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
        if size := model.size(generation.request_values):
            differences += _difference("width", size[0], video.width, MAX_SIDE_OFFSET)
            differences += _difference("height", size[1], video.height, MAX_SIDE_OFFSET)
            is_far_off = is_far_off or video.pixels < MIN_PIXELS * size[0] * size[1]
        if model.has_sound(generation.request_values) and not video.has_audio:
            differences += [Difference(field="audio", requested=1, received=0)]
    if generation.upstream_seed is not None and generation.seed is not None:
        differences += _difference("seed", generation.seed, generation.upstream_seed, 0)
    return Comparison(differences, is_far_off)


def _difference(field: str, requested: int, received: float, tolerance: float) -> list[Difference]:
    """Return a list with the difference, or an empty one if the value is within the tolerance."""
    if abs(received - requested) <= tolerance:
        return []
    return [Difference(field=field, requested=requested, received=round(received, 3))]
