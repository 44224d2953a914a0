"""Tests of a model's rules for images: each bound, just inside and just outside."""

from typing import Any

import pytest

from generations import errors
from generations.catalog import video_models
from generations.media.image_rules import ImageRules

SEEDANCE = video_models.default().image_rules
assert SEEDANCE


@pytest.mark.parametrize(
    ("width", "height"),
    [(301, 400), (400, 301), (5999, 2400), (2400, 5999), (1000, 400), (400, 1000)],
)
def test_sides_and_shapes_just_inside_the_bounds_are_accepted(width: int, height: int) -> None:
    SEEDANCE.check("png", width, height, 31_457_280)


@pytest.mark.parametrize(
    ("width", "height", "error"),
    [
        (300, 400, errors.ImageTooSmall),
        (400, 300, errors.ImageTooSmall),
        (1, 1, errors.ImageTooSmall),
        (6000, 2400, errors.ImageTooLarge),
        (2400, 6000, errors.ImageTooLarge),
        (1001, 400, errors.ImageAspectOutOfRange),
        (400, 1001, errors.ImageAspectOutOfRange),
    ],
)
def test_sides_and_shapes_just_outside_the_bounds_are_refused(
    width: int, height: int, error: type[errors.BadImage]
) -> None:
    with pytest.raises(error, match="seedance-v1-lite-i2v takes"):
        SEEDANCE.check("png", width, height, 1)


@pytest.mark.parametrize(
    ("rules", "image", "sentence"),
    [
        ({"formats": ("jpeg", "png")}, ("webp", 400, 400, 1), "none of the formats that a-model takes: jpeg, png"),
        ({"max_bytes": 10}, ("png", 400, 400, 11), "more than 10 bytes, which is the most that a-model takes"),
        ({"side_min": 300}, ("png", 400, 299, 1), "299 pixels; a-model takes at least 300"),
        ({"side_max": 2000}, ("png", 2001, 400, 1), "2001 pixels; a-model takes at most 2000"),
        ({"ratio_over": 0.4, "ratio_under": 2.5}, ("png", 400, 1000, 1), "0.4000; a-model takes over 0.4 to under 2.5"),
        ({"ratio_over": 0.4, "ratio_under": 2.5}, ("png", 1000, 400, 1), "2.5000; a-model takes over 0.4 to under 2.5"),
        ({"ratio_max": 2.5}, ("png", 1001, 400, 1), "2.5025; a-model takes from 0 to 2.5"),
        ({"ratio_min": 0.4}, ("png", 399, 1000, 1), "0.3990; a-model takes from 0.4 on"),
    ],
    ids=["format", "bytes", "least side", "largest side", "open least ratio", "open largest ratio", "ratio", "least"],
)
def test_a_rule_names_the_model_and_what_it_takes(
    rules: dict[str, Any], image: tuple[str, int, int, int], sentence: str
) -> None:
    with pytest.raises(errors.BadImage, match=sentence):
        ImageRules("a-model", **rules).check(*image)


@pytest.mark.parametrize(
    ("rules", "image"),
    [
        ({"side_min": 300, "side_max": 2000}, ("png", 300, 2000, 1)),
        ({"ratio_over": 0.4, "ratio_under": 2.5}, ("png", 401, 1000, 1)),
        ({}, ("tiff", 1, 5999, 10**9)),
    ],
    ids=["sides", "open ratios", "no rules"],
)
def test_what_a_rule_names_as_taken_is_taken(rules: dict[str, Any], image: tuple[str, int, int, int]) -> None:
    ImageRules("a-model", **rules).check(*image)
