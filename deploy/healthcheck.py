"""Exits with 0 where the container's process does its work: web answers /livez, a worker's cluster is there.

It needs neither database nor bucket: a container that is started again because S3 is away is no help to anybody. What
a worker does not do although its cluster is there, its own supervisor sees and mends.
"""

import os
import sys
import urllib.request
from pathlib import Path

TIMEOUT = 4.0  # seconds


def role(first: Path = Path("/proc/1/cmdline")) -> str:
    """What the entry point was asked for: the last word of the container's first process."""
    return first.read_bytes().rstrip(b"\0").rpartition(b"\0")[2].decode()


def is_well(role: str, processes: Path = Path("/proc")) -> bool:
    return _has_cluster(processes) if role == "worker" else _answers(os.environ.get("PORT", "8000"))


def _answers(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=TIMEOUT) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _has_cluster(processes: Path) -> bool:
    for command in processes.glob("[0-9]*/cmdline"):
        try:
            if b"\0qcluster\0" in command.read_bytes():
                return True
        except OSError:
            continue  # it has ended meanwhile
    return False


if __name__ == "__main__":
    sys.exit(not is_well(role()))
