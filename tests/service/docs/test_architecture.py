"""ARCHITECTURE.md names modules, functions and folders that exist."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
MAX_LINES = 250  # of a file of the product
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
NAMES = sorted(set(re.findall(r"`([a-z_]+(?:\.[A-Za-z_]+)+)`", TEXT)))
PATHS = sorted(set(re.findall(r"`(\w[\w/]*(?:/|\.py))`", TEXT)))


def resolve(name: str) -> Any:
    """Return the module or attribute of that name, in full or below one of the packages; None for no such name."""
    for package in ("generations.", "tenants.", "seedance_service.", ""):
        parts = f"{package}{name}".split(".")
        for length in range(len(parts), 1, -1):
            try:
                found: Any = importlib.import_module(".".join(parts[:length]))
            except ModuleNotFoundError:
                continue
            for part in parts[length:]:
                found = getattr(found, part, None)
            if found is not None:
                return found
    return None


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith((".toml", ".json", ".md"))])
def test_a_name_in_the_architecture_exists(name: str) -> None:
    assert resolve(name) is not None


@pytest.mark.parametrize("path", PATHS)
def test_a_path_in_the_architecture_exists(path: str) -> None:
    assert any((ROOT / folder / path).exists() for folder in (".", "generations", "tenants", "seedance_service"))


def test_names_and_paths_are_found() -> None:
    assert len(NAMES) > 40
    assert len(PATHS) > 10


def test_a_file_is_short_enough_to_be_read_whole() -> None:
    folders = ("deploy", "generations", "seedance_service", "tenants")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if "migrations" not in path.parts]
    long = {path.name for path in files if path.read_text().count("\n") > MAX_LINES}
    assert long == {"lifecycle.py"}
