"""What the README says of settings and commands is what there is."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
PROMISES = (ROOT / "tests" / "PROMISES.md").read_text()
SETTINGS = (ROOT / "seedance_service" / "settings.py").read_text()
READ = sorted(set(re.findall(r'env\.\w+\(\s*"([A-Z0-9_]+)"', SETTINGS)))


def test_settings_are_found() -> None:
    assert len(READ) > 20


@pytest.mark.parametrize("name", [name for name in READ if name != "AWS_DEFAULT_REGION"])
def test_every_setting_is_in_the_readmes_table(name: str) -> None:
    assert re.search(rf"^\|[^|]*`{name}`", README, re.MULTILINE)


@pytest.mark.parametrize(
    "name", re.findall(r"^#? ?([A-Z0-9_]+)=", (ROOT / "deploy/env.example").read_text(), re.MULTILINE)
)
def test_every_setting_of_the_example_is_one_that_is_read(name: str) -> None:
    assert name.removesuffix("_FILE") in {*READ, "WEB_WORKERS", "PORT"}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"manage\.py (\w+)", README))))
def test_every_command_that_is_named_exists(name: str) -> None:
    assert load_command_class(get_commands()[name], name)


def test_the_locks_name_no_place_to_download_from() -> None:
    for lock in ("run.txt", "dev.txt"):
        assert "://" not in (ROOT / "requirements" / lock).read_text()
    assert '"resolved"' not in (ROOT / "tests" / "sdk" / "package-lock.json").read_text()


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`([\w/]*test_\w+\.py(?:::\w+)?)`", PROMISES))))
def test_what_a_promise_is_shown_by_is_there(named: str) -> None:
    file, _, test = named.partition("::")
    assert f"def {test}" in (ROOT / "tests" / file).read_text()
