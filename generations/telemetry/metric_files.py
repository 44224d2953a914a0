"""The files in which a host's processes count: Prometheus's own multiprocess mode, with a folder for each role.

The roles `web` and `worker` empty their folder at their start. From then on no counter falls: a new process continues
with the file of an ended one. So there are never more files than there were processes at once. A process without a
role, such as a command, counts in memory only. If a folder cannot be used, only the process's counts are lost.
"""

import json
import os
import struct
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from django.conf import settings
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

log = structlog.stdlib.get_logger(__name__)

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# The folder of this process's role. A fallback changes the variable, and a child must not inherit that folder.
FOLDER = os.environ.get(FOLDER_VARIABLE)
# By the client library's name of a kind: all labels together take some 20,000 bytes. The gauges of an ended process
# are not served. Their files stay until the role's next start; in a cluster, django-q2 removes them earlier.
FILE_BYTES = {"counter": 128 * 1024, "histogram": 128 * 1024, "gauge_livesum": 4 * 1024}
FALLBACK_PARENT = "/dev/shm"  # noqa: S108  # in memory: it has space although the disk is full
UNREADABLE = (OSError, ValueError, RuntimeError, struct.error)

_prepared_for = -1


def prepare(folder: str) -> int:
    """Make the files of this process ready, in `folder` if possible. Return the process id, which names the files.

    Prometheus's client calls this at each count, so only the first call in each process does any work.
    """
    global _prepared_for
    if _prepared_for != os.getpid():
        try:
            _prepare_in(Path(folder))
        except OSError as error:  # the disk is full, or the folder is another user's: the process must not end by that
            log.error("what this process counts is not served", folder=folder, why=error.strerror)
            _prepare_in(Path(tempfile.mkdtemp(prefix="seedance-metrics-", dir=FALLBACK_PARENT)))
        _prepared_for = os.getpid()
    return _prepared_for


def _prepare_in(folder: Path) -> None:
    """Make the files of this process ready in `folder`, and reserve their space on the disk.

    A write to a page of a mapped file that finds no space would kill the process (SIGBUS).
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark_process_dead(os.getpid(), folder)  # type: ignore[no-untyped-call]  # an ended one may have had this id
    for kind, size in FILE_BYTES.items():
        path = folder / f"{kind}_{os.getpid()}.db"
        if path.exists() and not _is_readable(path):
            path.unlink()  # torn by a power cut, and left by an ended process with this id
        if kind != "gauge_livesum" and not path.exists():
            _take_over(path, kind)
        with path.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    os.environ[FOLDER_VARIABLE] = str(folder)


def _take_over(path: Path, kind: str) -> None:
    """Rename the file of an ended process to `path`, to continue with its counts. Do nothing if there is none."""
    for file in path.parent.glob(f"{kind}_*.db"):
        if not _is_of_living_process(file) and _is_readable(file):
            with suppress(FileNotFoundError):  # another new process was first
                file.rename(path)
                return


def read() -> Iterable[Metric]:
    """Return what all processes of this host have counted since the start of their role."""
    metrics: Iterable[Metric] = ()
    before, files = None, _list_files()
    while files != before:  # a new process may take over a file during the read, a few times a day
        metrics, before = _merge(files), files
        files = _list_files()
    return metrics


def _list_files() -> list[Path]:
    """Return the files to merge: all counters and histograms, and the gauges of living processes."""
    files = sorted(settings.METRICS_DIR.glob("*/*.db"))
    return [file for file in files if not file.name.startswith("gauge_live") or _is_of_living_process(file)]


def _merge(files: Sequence[Path]) -> Iterable[Metric]:
    """Merge the files into metrics. Unreadable files are left out."""
    merge = MultiProcessCollector.merge
    try:
        return merge(files)  # type: ignore[no-untyped-call, no-any-return]
    except UNREADABLE:  # one is torn by a power cut, another user's, or was renamed: merge the others all the same
        return merge(list(filter(_is_readable, files)))  # type: ignore[no-untyped-call, no-any-return]


def _is_readable(file: Path) -> bool:
    """Return whether the file can be read as a metrics file."""
    try:
        for key, *_ in MmapedDict.read_all_values_from_file(file):  # type: ignore[no-untyped-call]
            json.loads(key)
    except UNREADABLE:
        return False
    return True


def _is_of_living_process(file: Path) -> bool:
    """Return whether the process that the file's name ends with is alive."""
    return Path("/proc", file.stem.rpartition("_")[2]).exists()
