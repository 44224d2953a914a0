"""Finds programs that a test needs, and skips or fails the test where one is missing.

On a developer's machine the test is skipped, and the last lines of the run say why. CI installs all that Debian has, so
there the test fails.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest


def find_program(*names: str, package: str = "") -> str:
    """Return the path of a program that is installed under one of the names, or with the locked Python packages.

    Skip the test if there is none. In CI, fail the test if a Debian `package` has the program.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    for name in names:
        if program := shutil.which(name, path=path):
            return program
    if package:
        skip_or_fail(f"{names[0]} is not installed", fix=f": apt-get install {package}")
    pytest.skip(f"{names[0]} is not installed")


def skip_or_fail(reason: str, fix: str = "") -> NoReturn:
    """Skip the test for the reason. In CI, fail the test, with the fix in the message."""
    if os.environ.get("CI"):
        pytest.fail(reason + fix)
    pytest.skip(reason)
