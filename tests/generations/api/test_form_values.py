"""A text of a form means a value of the field's type in its model, or stays a text, which the check refuses."""

from typing import Any

import pytest

from generations.api import form_values
from generations.catalog import video_models

pytestmark = pytest.mark.one_database


@pytest.mark.parametrize(
    ("model", "name", "text", "value"),
    [
        ("seedance-v1-lite-i2v", "duration", "5", 5),
        ("seedance-v1-lite-i2v", "seed", "-1", -1),
        ("seedance-v1-lite-i2v", "seed", "1" * 20, "1" * 20),
        ("seedance-v1-lite-i2v", "resolution", "480", "480"),
        ("seedance-v1-lite-i2v", "audio", "true", "true"),
        ("kling-v3.0-std-i2v", "audio", "TRUE", True),
        ("kling-v3.0-std-i2v", "audio", "2", "2"),
        ("kling-v3.0-std-i2v", "cfg_scale", "1", 1.0),
        ("kling-v3.0-std-i2v", "cfg_scale", "5e-1", 0.5),
        ("kling-v3.0-std-i2v", "cfg_scale", ".5", ".5"),
        ("kling-v3.0-std-i2v", "cfg_scale", "nan", "nan"),
        ("kling-v3.0-std-i2v", "prompt", "5", "5"),
        ("seedance-v1.5-pro-t2v", "fps", "24", 24),
        ("seedance-v1.5-pro-t2v", "service_tier", "flex", "flex"),
        ("seedance-v1.5-pro-t2v", "execution_expires_after", "3600", 3600),
    ],
)
def test_a_text_is_read_by_its_models_field(model: str, name: str, text: str, value: Any) -> None:
    read = form_values.read(video_models.models()[model], name, text)
    assert (type(read), read) == (type(value), value)


def test_json_is_read_where_it_means_the_same_as_a_text() -> None:
    names = ("metadata", "seed", "duration", "camera_fixed", "audio", "cfg_scale", "fps")
    assert all(form_values.is_json(name) for name in names)
    assert not any(form_values.is_json(name) for name in ("prompt", "resolution", "image", "service_tier", "other"))
