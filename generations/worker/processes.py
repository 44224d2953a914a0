"""The start of child processes. It needs only the standard library, since `make run` works without Django."""

import ctypes
import signal

PR_SET_PDEATHSIG = 1  # Linux, prctl(2)


def die_with_parent() -> None:
    """Ask the kernel to send SIGTERM to this process when its parent ends. Pass this as the `preexec_fn` of a Popen."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
