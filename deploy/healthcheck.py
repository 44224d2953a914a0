"""Exit with 0 if the container's process works: web answers /livez, or a worker has its cluster.

The check needs neither database nor bucket: a restart of the container does not help if S3 is down. The worker's own
supervisor notices and restarts a cluster that runs and does no work.
"""

import os
import sys
import urllib.request
from pathlib import Path

TIMEOUT_SECONDS = 4.0


def role(first: Path = Path("/proc/1/cmdline")) -> str:
    """Return the role of the container: the last argument of its first process, the entry point."""
    return first.read_bytes().rstrip(b"\0").rpartition(b"\0")[2].decode()


def is_well(role: str, processes: Path = Path("/proc")) -> bool:
    """Return whether the web process answers, or the worker's cluster is among the processes."""
    return _has_cluster(processes) if role == "worker" else _answers(os.environ.get("PORT", "8000"))


def _answers(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=TIMEOUT_SECONDS) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _has_cluster(processes: Path) -> bool:
    for command in processes.glob("[0-9]*/cmdline"):
        try:
            if b"\0qcluster\0" in command.read_bytes():
                return True
        except OSError:
            continue  # the process has just ended
    return False


if __name__ == "__main__":
    sys.exit(not is_well(role()))
