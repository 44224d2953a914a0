"""The video models: the values that each accepts, the pixels of its videos, and its price. Data, not code.

Sources: the endpoint's page for the accepted values; the model maker's table for pixels and price
(1.8 USD per million tokens, tokens = width * height * frames / 1024).
"""

from dataclasses import dataclass

FPS = 24


@dataclass(frozen=True)
class Model:
    """A video model of the upstream."""

    name: str
    path: str  # of the submit endpoint, under the upstream's base URL
    prompt_limit: int  # characters
    durations: tuple[int, ...]  # seconds
    resolutions: tuple[str, ...]
    ratios: tuple[str, ...]
    pixels: dict[tuple[str, str], tuple[int, int]]  # (resolution, ratio) -> (width, height)
    usd_per_million_tokens_micro: int

    def frames(self, duration: int) -> int:
        """Return the frames of a video of `duration` seconds: 24 a second, and the one from which the video starts."""
        return FPS * duration + 1

    def price_micro(self, resolution: str, ratio: str, duration: int) -> int:
        """Return the price in micro-USD by the model maker's formula, rounded up."""
        width, height = self.pixels[resolution, ratio]
        per_million_1024ths = width * height * self.frames(duration) * self.usd_per_million_tokens_micro
        return -(-per_million_1024ths // (1024 * 1_000_000))


def _table(ratios: tuple[str, ...], **rows: str) -> dict[tuple[str, str], tuple[int, int]]:
    """Return pixels by (resolution, ratio), from one row of sizes for each resolution."""

    def size(text: str) -> tuple[int, int]:
        width, height = text.split("x")
        return int(width), int(height)

    return {
        (name.lstrip("p") + "p", ratio): size(text)
        for name, row in rows.items()
        for ratio, text in zip(ratios, row.split(), strict=True)
    }


RATIOS = ("16:9", "4:3", "1:1", "3:4", "9:16", "21:9")

SEEDANCE_V1_LITE_I2V = Model(
    name="seedance-v1-lite-i2v",
    path="/v3/async/seedance-v1-lite-i2v",
    prompt_limit=2000,
    durations=(5, 10),
    resolutions=("480p", "720p", "1080p"),
    ratios=RATIOS,
    pixels=_table(
        RATIOS,
        p480="864x480 736x544 640x640 544x736 480x864 960x416",
        p720="1248x704 1120x832 960x960 832x1120 704x1248 1504x640",
        p1080="1920x1088 1664x1248 1440x1440 1248x1664 1088x1920 2176x928",
    ),
    usd_per_million_tokens_micro=1_800_000,
)
MODELS = {model.name: model for model in [SEEDANCE_V1_LITE_I2V]}

# The upstream's pages differ (2^32-1 and 2^31-1): the lower bound is valid for both.
MAX_SEED = 2**31 - 1
RANDOM_SEED = -1  # in a request: draw a seed
