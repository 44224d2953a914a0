"""Failpoints: off unless set, each name in the code once, and a wrong name is refused."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from generations.telemetry.failpoints import NAMES, FailpointError, failpoint

CODE = Path(__file__).parents[3] / "generations"


def test_every_name_is_a_place_in_the_code() -> None:
    places = Counter(
        name for file in CODE.rglob("*.py") for name in re.findall(r'failpoint\("(\w+)"\)', file.read_text())
    )
    assert set(places) == set(NAMES)
    twice = {name for name, count in places.items() if count > 1}
    assert twice == {"finish_before_ledger", "finish_committed"}  # a success, and a failure


def test_without_the_setting_nothing_happens() -> None:
    for name in NAMES:
        failpoint(name)


def test_only_a_place_that_is_set_breaks_and_is_logged(settings: Any, tmp_path: Path) -> None:
    settings.FAILPOINT, settings.FAILPOINT_LOG = "poll_before:raise,copy_started:raise:0", str(tmp_path / "log")
    with pytest.raises(FailpointError, match="poll_before"):
        failpoint("poll_before")
    failpoint("copy_started")
    failpoint("poll_answered")
    assert [line.split()[:2] for line in (tmp_path / "log").read_text().splitlines()] == [["poll_before", "raise"]]


def test_a_star_sets_every_place(settings: Any) -> None:
    settings.FAILPOINT = "*:raise"
    for name in NAMES:
        with pytest.raises(FailpointError):
            failpoint(name)


def test_a_trap_in_the_folder_works_once(settings: Any, tmp_path: Path) -> None:
    settings.FAILPOINT = f"@{tmp_path}"
    failpoint("poll_before")
    (tmp_path / "poll_before").write_text("raise")
    with pytest.raises(FailpointError):
        failpoint("poll_before")
    failpoint("poll_before")


@pytest.mark.parametrize("wrong", ["nowhere:kill", "poll_before:explode", "poll_before", "poll_before:kill:often"])
def test_an_unknown_name_or_action_is_refused(settings: Any, wrong: str) -> None:
    settings.FAILPOINT = wrong
    with pytest.raises(ValueError):
        failpoint("poll_before")
