"""What a child process is asked of at its start. Only the standard library: `make run` is none of Django's."""

import ctypes
import signal

PR_SET_PDEATHSIG = 1  # Linux, prctl(2)


def die_with_parent() -> None:
    """Ask the kernel for a SIGTERM when this process's parent ends: to be a Popen's `preexec_fn`."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
