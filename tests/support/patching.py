"""Patches of the standard library that act in one module alone."""

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


def patch_library(monkeypatch: pytest.MonkeyPatch, module: ModuleType, library: ModuleType, **functions: Any) -> None:
    """Let `module` call these functions in place of the library's: `time` or `subprocess`.

    All other threads go on with the library's functions. A patch of the library itself that writes would write there
    too, on a connection of that thread, and the commit would outlive the test.
    """
    monkeypatch.setattr(module, library.__name__, SimpleNamespace(**{**vars(library), **functions}))
