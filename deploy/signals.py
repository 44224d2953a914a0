"""The signals that ask `make run` to stop, however many come and whenever they come."""

import signal
import time
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A signal to the process group comes twice: `make` passes its own on. That is one request.
ONE_REQUEST_SECONDS = 1.0


class Stopped(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal asked this program to stop. No library's `except Exception` catches it."""


class Signals:
    """Raise Stopped at a signal, until the program stops its processes. From then on a later request hurries it.

    No signal ends the program by itself: it would leave its processes behind.
    """

    def __init__(self) -> None:
        self.is_closing = False  # set without a call, so that no signal comes between
        self._first_at = float("inf")
        self._is_hurried = False

    def install(self) -> None:
        """Handle the signals from now on."""
        for number in STOPPING:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # `nohup make run` goes on
                signal.signal(number, self._receive)

    def is_hurried(self) -> bool:
        """Return whether a second request has come."""
        return self._is_hurried

    def _receive(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        self._is_hurried |= now - self._first_at > ONE_REQUEST_SECONDS
        self._first_at = min(self._first_at, now)
        if not self.is_closing:
            raise Stopped
