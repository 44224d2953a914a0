"""Tests of the catalog's data: accepted combinations, pixels, frames and prices."""

from itertools import product

import pytest

from generations.catalog import prices, video_models

MODEL = video_models.default()


def price(resolution: str, ratio: str, duration: int) -> int:
    return prices.price_micro(MODEL, {"resolution": resolution, "aspect_ratio": ratio, "duration": duration})


def test_there_are_36_combinations_and_each_has_pixels_and_a_price() -> None:
    names = ("resolution", "aspect_ratio", "duration")
    combinations = list(product(*map(MODEL.supported, names)))
    assert len(combinations) == 36
    assert all(price(*combination) > 0 for combination in combinations)
    sizes = [MODEL.size(dict(zip(names, combination, strict=True))) for combination in combinations]
    assert all(size and size[0] % 16 == size[1] % 16 == 0 for size in sizes)


@pytest.mark.parametrize(
    ("resolution", "ratio", "pixels"),
    [
        ("480p", "16:9", (864, 480)),
        ("480p", "21:9", (960, 416)),
        ("720p", "1:1", (960, 960)),
        ("720p", "3:4", (832, 1120)),
        ("1080p", "9:16", (1088, 1920)),
        ("1080p", "21:9", (2176, 928)),
    ],
)
def test_pixels_are_the_model_makers(resolution: str, ratio: str, pixels: tuple[int, int]) -> None:
    assert MODEL.size({"resolution": resolution, "aspect_ratio": ratio}) == pixels


@pytest.mark.parametrize(
    ("resolution", "duration", "usd"),
    [("480p", 5, 0.088), ("480p", 10, 0.176), ("720p", 5, 0.187), ("720p", 10, 0.372), ("1080p", 5, 0.444)],
)
def test_the_price_is_the_model_makers_formula(resolution: str, duration: int, usd: float) -> None:
    assert round(price(resolution, "16:9", duration) / 1e6, 3) == usd


def test_a_video_has_24_frames_a_second_and_one_more() -> None:
    assert [MODEL.frames(seconds) for seconds in MODEL.supported("duration")] == [121, 241]
