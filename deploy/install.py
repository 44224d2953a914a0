"""Install a lock file into this Python's environment and show the progress: `deploy/install.py requirements/run.txt`.

`deploy/install.py --create .venv` makes an empty environment. Both need only the standard library. On a terminal the
progress is one line; elsewhere a line is printed now and then. Ctrl-C stops both.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

REDRAW_SECONDS = 0.2  # on a terminal
LINE_SECONDS = 5.0  # elsewhere
MAX_STOP_SECONDS = 5.0  # after which a child that Ctrl-C does not end is killed
STOPPED = 128 + signal.SIGINT  # the exit code after Ctrl-C, as a shell reports it
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
    packages = Path(sysconfig.get_path("purelib"))
    _forget_half_installed(packages)
    progress = Progress(lock, packages)
    started = time.monotonic()
    command = [*PIP, "-r", str(lock)]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}  # or pip's lines come in blocks
    with _child(command, env=env) as pip:
        assert pip.stdout
        reader = threading.Thread(target=progress.read, args=(pip.stdout,), daemon=True)
        reader.start()
        _show(progress, reader)
    if pip.returncode == 0:
        print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)
    else:
        print("The installation failed. The end of pip's output:\n" + "".join(progress.tail), file=sys.stderr)
    return pip.returncode


def _forget_half_installed(packages: Path) -> None:
    """Let pip install those packages again at which an installation was interrupted: it writes RECORD last."""
    if sys.prefix == sys.base_prefix:
        return  # not an environment of our own; packages of a distribution have no RECORD
    for metadata in packages.glob("*.dist-info"):
        if not (metadata / "RECORD").exists():
            shutil.rmtree(metadata)


def create(folder: Path) -> int:
    """Create an empty environment in the folder, or leave no folder. Return the exit code of Python's venv."""
    is_complete = False
    try:
        with _child([sys.executable, "-m", "venv", "--clear", str(folder)]) as venv:
            output, _ = venv.communicate()
        is_complete = venv.returncode == 0
    finally:
        if not is_complete:
            shutil.rmtree(folder, ignore_errors=True)
    if not is_complete:
        print(f"{output}Python's venv is missing; on Debian: apt-get install python3-venv", file=sys.stderr)
    return venv.returncode


@contextmanager
def _child(command: list[str], env: dict[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
    """Start a child whose group does not get Ctrl-C, and which prints no traceback then. An exception here stops it."""
    pipe = subprocess.PIPE
    child = subprocess.Popen(
        command, env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
    )
    with child:
        try:
            yield child
        except BaseException:
            _stop(child)
            raise


def _stop(child: "subprocess.Popen[str]") -> None:
    """Stop the child's process group as Ctrl-C does, and kill what is left of the group."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not interrupt the cleaning
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        child.wait(MAX_STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _show(progress: Progress, reader: threading.Thread) -> None:
    """Print the progress until pip's output ends."""
    is_terminal = sys.stdout.isatty()
    begin, end = ("\r\033[K", "") if is_terminal else ("", "\n")
    while reader.is_alive():
        print(f"{begin}{progress.sentence()}", end=end, flush=True)
        reader.join(REDRAW_SECONDS if is_terminal else LINE_SECONDS)
    print(begin, end="", flush=True)


def main(arguments: list[str]) -> int:
    """Create an environment or install a lock file. Return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return create(Path(arguments[1])) if arguments[0] == "--create" else install(Path(arguments[0]))
    except KeyboardInterrupt:
        print("\nStopping.", flush=True)
        return STOPPED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
