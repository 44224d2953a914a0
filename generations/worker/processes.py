"""Start and stop of child processes. It needs only the standard library, since `make run` works without Django."""

import ctypes
import os
import select
import signal
from typing import Any

PR_SET_PDEATHSIG = 1  # Linux, prctl(2)


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Ask the kernel to send a signal to this process when its parent ends: the `preexec_fn` of a Popen."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


class StopSignal:
    """A pipe by which a supervisor asks all processes below its own, also grandchildren, to stop.

    A signal would not reach them: django-q2's processes have handlers of their own. The end of the supervisor, however
    it comes, says the same as `send`.
    """

    VARIABLE = "WORKER_STOP_FD"  # names the pipe in the environment of the processes

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def inherited(self) -> dict[str, Any]:
        """Return the arguments of a Popen whose process is to hear the signal."""
        return {"env": {**os.environ, self.VARIABLE: str(self._read)}, "pass_fds": [self._read]}

    def send(self) -> None:
        """Ask every process that has inherited the pipe to stop."""
        if self._write >= 0:
            os.close(self._write)
            self._write = -1


def is_stopping() -> bool:
    """Return whether the supervisor of this process stops, or has ended. A process without a supervisor goes on."""
    pipe = os.environ.get(StopSignal.VARIABLE)
    if pipe is None:
        return False
    poll = select.poll()
    poll.register(int(pipe), select.POLLIN)
    return bool(poll.poll(0))
