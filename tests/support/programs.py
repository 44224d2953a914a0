"""What a test needs of the machine, and what becomes of the test where the machine lacks it.

A developer's machine may lack a program or a server: the test is skipped, and the last lines of the run say why. CI
installs all that Debian has, so there the same lack fails the test.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest


def find_program(*names: str, package: str = "") -> str:
    """Return the path of a program that is installed under one of the names, or with the locked Python packages.

    Skip the test where there is none. In CI fail it, if a Debian `package` has the program.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    if package:
        stop_for_want_of(f"{names[0]} is not installed", mend=f": apt-get install {package}")
    pytest.skip(f"{names[0]} is not installed")


def stop_for_want_of(reason: str, mend: str = "") -> NoReturn:
    """Skip the test for the reason; in CI fail it, and say how to mend that."""
    if os.environ.get("CI"):
        pytest.fail(reason + mend)
    pytest.skip(reason)
