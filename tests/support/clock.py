"""A monotonic clock that a test sets by hand, for caches that take one; and the measurement that tests leave out."""

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tenants.db import clock

remember = clock.remember  # before conftest.py replaces it


class Clock:
    """A clock that shows `now`, in seconds."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def replace_in(module: ModuleType, monkeypatch: pytest.MonkeyPatch, library: ModuleType, **functions: Any) -> None:
    """Let this module alone call other functions of a library, such as `time`.

    Other threads go on with the library's own: a stand-in that writes would do so there on a connection of its own,
    whose commit outlives the test.
    """
    monkeypatch.setattr(module, library.__name__, SimpleNamespace(**{**vars(library), **functions}))
