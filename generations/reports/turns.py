"""Dear computations take turns, so that one caller's do not slow others' requests: one at a time for each holder.

A caller who asked for the same before a computation began shares its result, which is as fresh as one of its own.
"""

import itertools
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Result = TypeVar("Result")
MAX_SHARED = 16  # results of one holder, for those who wait


@dataclass
class _Line(Generic[Result]):
    """The callers of one holder that compute or wait, and the results that they share."""

    turn: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    results: dict[Hashable, tuple[int, Result]] = field(default_factory=dict)  # by question, with the time it began


class Turns(Generic[Result]):
    """The computations of this process, one at a time for each holder, such as a tenant."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[Hashable, _Line[Result]] = {}
        self._clock = itertools.count()  # orders arrivals and beginnings

    def result(self, holder: Hashable, question: Hashable, compute: Callable[[], Result]) -> Result:
        """Return the answer to the question, computed wholly after this call. An error goes to the one who computed."""
        arrived_at = next(self._clock)
        with self._lock:
            line = self._lines.setdefault(holder, _Line())
            line.users += 1
        try:
            with line.turn:
                began_at, result = line.results.get(question, (-1, None))
                if result is None or began_at < arrived_at:
                    began_at, result = next(self._clock), compute()
                    if len(line.results) >= MAX_SHARED:
                        line.results.clear()
                    line.results[question] = began_at, result
                return result
        finally:
            with self._lock:
                line.users -= 1
                if not line.users:  # none waits: the next result has to be a later one
                    del self._lines[holder]
