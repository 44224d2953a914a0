from typing import Any

import pytest

from generations.apps import check_settings


def test_whole_settings_have_nothing_to_say() -> None:
    assert check_settings() == []


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("S3_BUCKET", "", "generations.W001"),
        ("NOVITA_API_KEY", "", "generations.W002"),
        ("NOVITA_BASE_URL", "api.novita.ai", "generations.E001"),
    ],
)
def test_what_is_missing_is_said(settings: Any, name: str, value: str, number: str) -> None:
    setattr(settings, name, value)
    assert [found.id for found in check_settings()] == [number]
