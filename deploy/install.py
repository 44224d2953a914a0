"""Install a lock file into this Python's environment and show the progress: `deploy/install.py requirements/run.txt`.

It needs only the standard library. On a terminal the progress is one line; elsewhere a line is printed now and then.
"""

import os
import re
import subprocess
import sys
import sysconfig
import threading
import time
from collections import deque
from pathlib import Path
from typing import IO

REDRAW_SECONDS = 0.2  # on a terminal
LINE_SECONDS = 5.0  # elsewhere
MAX_TAIL_LINES = 20  # of pip's output, printed if the installation fails
PIP = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off", "--require-hashes"]


class Progress:
    """How far pip is, read from its output."""

    def __init__(self, lock: Path, packages: Path) -> None:
        self.total = len(re.findall(r"^[\w.-]+==", lock.read_text(), re.MULTILINE))
        self.collected, self.unpacking, self.name = 0, 0, ""
        self.tail = deque[str](maxlen=MAX_TAIL_LINES)
        self._packages = packages
        self._installed_before = self._count_installed()

    def _count_installed(self) -> int:
        return sum(1 for _ in self._packages.glob("*.dist-info"))

    def read(self, output: IO[str]) -> None:
        """Follow pip's output until it ends."""
        for line in output:
            self.tail.append(line)
            if match := re.match(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)", line):
                self.collected, self.name = self.collected + 1, match[1]
            elif line.startswith("Installing collected packages:"):
                self.unpacking = line.count(",") + 1

    def sentence(self) -> str:
        """Return how far the installation is."""
        if not self.unpacking:
            return f"Downloading packages: {self.collected} of {self.total} {self.name}".rstrip()
        unpacked = min(self._count_installed() - self._installed_before, self.unpacking)
        return f"Unpacking packages: {max(unpacked, 0)} of {self.unpacking}"


def install(lock: Path) -> int:
    """Install what the lock file names, by its hashes. Return pip's exit code."""
    progress = Progress(lock, Path(sysconfig.get_path("purelib")))
    started = time.monotonic()
    command = [*PIP, "-r", str(lock)]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}  # or pip's lines come in blocks
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout
        reader = threading.Thread(target=progress.read, args=(pip.stdout,), daemon=True)
        reader.start()
        _show(progress, reader)
    if pip.returncode == 0:
        print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)
    else:
        print("The installation failed. The end of pip's output:\n" + "".join(progress.tail), file=sys.stderr)
    return pip.returncode


def _show(progress: Progress, reader: threading.Thread) -> None:
    """Print the progress until pip's output ends."""
    is_terminal = sys.stdout.isatty()
    begin, end = ("\r\033[K", "") if is_terminal else ("", "\n")
    while reader.is_alive():
        print(f"{begin}{progress.sentence()}", end=end, flush=True)
        reader.join(REDRAW_SECONDS if is_terminal else LINE_SECONDS)
    print(begin, end="", flush=True)


if __name__ == "__main__":
    sys.exit(install(Path(sys.argv[1])))
