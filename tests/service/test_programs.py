"""A test that needs what this machine lacks is skipped by name, and fails in CI."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import programs


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: Any) -> Path:
    """A machine outside of CI, whose programs lie in this folder alone."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


@pytest.mark.parametrize("package", ["", "nginx-light"])
def test_a_test_is_skipped_where_its_program_is_not_installed(machine: Path, package: str) -> None:
    with pytest.raises(pytest.skip.Exception, match=r"^nginx is not installed$"):
        programs.find_program("nginx", package=package)


def test_in_ci_a_program_that_debian_has_must_be_there(machine: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="nginx is not installed: apt-get install nginx-light"):
        programs.find_program("nginx", package="nginx-light")
    with pytest.raises(pytest.fail.Exception, match="Redis does not answer"):
        programs.skip_or_fail("Redis does not answer")
    with pytest.raises(pytest.skip.Exception, match="kubectl is not installed"):
        programs.find_program("kubectl")


@pytest.mark.parametrize("folder", [".", "venv"])
def test_a_program_is_found_by_any_of_its_names(machine: Path, folder: str) -> None:
    there = machine / folder / "chromium-browser"
    there.parent.mkdir(exist_ok=True)
    there.touch(mode=0o755)
    assert os.path.samefile(programs.find_program("chromium", "chromium-browser"), there)
