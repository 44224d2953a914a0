"""The places of requests whose body is being received, fewer than the threads of a web process.

The server hands a request on as soon as its head is there. A thread that reads the body then waits for the caller, and
can not be interrupted. Whether a body has arrived can not be asked either, so the age of a read says how slow it is.
"""

import threading
import time
from collections.abc import Callable, Hashable

from tenants.errors import TooManyBodies

PLACES = 16  # half of the threads of a web process: the others answer reads, and wait for generations
CALLER_PLACES = 8  # of one tenant, so that its slow callers refuse no other tenant's bodies
QUICK_SECONDS = 0.5  # in which a body is received that is not slow, also while all threads want the interpreter
WAITERS_AMONG_SLOW = 2  # for places of which a slow body holds any: the threads that wait are missing elsewhere
RETRY_AFTER_SECONDS = 5


class BodyPlaces:
    """The places that are taken, each with its caller and the time since which it is held."""

    def __init__(
        self,
        places: int = PLACES,
        caller_places: int = CALLER_PLACES,
        quick_seconds: float = QUICK_SECONDS,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timer = timer
        self._places, self._caller_places, self.quick_seconds = places, caller_places, quick_seconds
        self._changed = threading.Condition(threading.Lock())
        self._taken: dict[Hashable, tuple[Hashable, float]] = {}
        self.waiting = 0

    def take(self, holder: Hashable, caller: Hashable) -> None:
        """Take a place. Wait for one while the bodies that hold them may still be quick; else raise TooManyBodies."""
        with self._changed:
            if self._holders_before(caller):
                self._wait(caller)
            self._taken[holder] = caller, self._timer()

    def give_back(self, holder: Hashable) -> None:
        """Give the place back. Does nothing if the holder has none."""
        with self._changed:
            if self._taken.pop(holder, None) and self.waiting:
                self._changed.notify_all()

    def oldest_age(self) -> float:
        """Return the seconds for which the oldest place is held, or 0."""
        with self._changed:
            now = self._timer()
            return now - min((since for _, since in self._taken.values()), default=now)

    def _wait(self, caller: Hashable) -> None:
        ends = self._timer() + self.quick_seconds
        self.waiting += 1
        try:
            while holders := self._holders_before(caller):
                now = self._timer()
                quick = [since for since in holders if now - since < self.quick_seconds]
                are_too_many = len(quick) < len(holders) and self.waiting > WAITERS_AMONG_SLOW
                if now >= ends or not quick or are_too_many:
                    raise TooManyBodies(retry_after=RETRY_AFTER_SECONDS)
                self._changed.wait(min(ends, max(quick) + self.quick_seconds) - now)
        finally:
            self.waiting -= 1

    def _holders_before(self, caller: Hashable) -> list[float]:
        """Return since when each place is held that the caller would have to wait for. Empty: a place is free."""
        if len(self._taken) < min(self._places, self._caller_places):
            return []  # nearly always
        own = [since for owner, since in self._taken.values() if owner == caller]
        if len(own) >= self._caller_places:
            return own
        return [since for _, since in self._taken.values()] if len(self._taken) >= self._places else []


places = BodyPlaces()
