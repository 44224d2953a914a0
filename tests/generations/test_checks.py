"""System checks of the settings of generations."""

from typing import Any

import pytest

from generations.apps import check_settings


def test_complete_settings_have_no_message() -> None:
    assert check_settings() == []


@pytest.mark.parametrize(
    ("name", "value", "check_id"),
    [
        ("S3_BUCKET", "", "generations.W001"),
        ("NOVITA_API_KEY", "", "generations.W002"),
        ("NOVITA_BASE_URL", "api.novita.ai", "generations.E001"),
    ],
)
def test_a_missing_or_wrong_setting_has_a_message(settings: Any, name: str, value: str, check_id: str) -> None:
    setattr(settings, name, value)
    assert [message.id for message in check_settings()] == [check_id]
