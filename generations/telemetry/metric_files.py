"""The files in which a host's processes count: Prometheus's own multiprocess mode, with one folder for each role.

`web` and `worker` empty their folder when they start. From then on no counter falls: a new process goes on with the
file of one that has died, so that there are never more files than there were processes at once. A process of no role,
such as a command, counts in its own memory alone. Where a folder can not be used, what a process counts is lost, and
nothing else is.
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

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
FOLDER = os.environ.get(VARIABLE)  # of this process's role; a fallback changes the variable, which no child should keep
# Bytes by the client's name of a kind: all labels together take some 20,000. The gauges of a dead process are not
# served; they stay until its role starts again, except in a cluster, where django-q2 removes them.
SIZES = {"counter": 128 * 1024, "histogram": 128 * 1024, "gauge_livesum": 4 * 1024}
MEMORY = "/dev/shm"  # noqa: S108  # whose room is not the disk's
UNREADABLE = (OSError, ValueError, RuntimeError, struct.error)

_prepared_for = -1


def prepare(folder: str) -> int:
    """Make this process's files ready, in `folder` if it can be used, and return the process's id, which names them.

    Prometheus's client calls this at each count, so nothing is done but once in each process.
    """
    global _prepared_for
    if _prepared_for != os.getpid():
        try:
            _prepare_in(Path(folder))
        except OSError as error:  # it is full, or another user's; a process must not end by that
            log.error("what this process counts is not served", folder=folder, why=error.strerror)
            _prepare_in(Path(tempfile.mkdtemp(prefix="seedance-metrics-", dir=MEMORY)))
        _prepared_for = os.getpid()
    return _prepared_for


def _prepare_in(folder: Path) -> None:
    """Reserve the room of all files on the disk: a page of a mapped file that finds none, when it is written to, would
    kill the process (SIGBUS)."""
    folder.mkdir(parents=True, exist_ok=True)
    mark_process_dead(os.getpid(), folder)  # type: ignore[no-untyped-call]  # another one may have had this id
    for kind, size in SIZES.items():
        own = folder / f"{kind}_{os.getpid()}.db"
        if own.exists() and not _is_readable(own):
            own.unlink()  # torn by a power cut, by another process that had this id
        if kind != "gauge_livesum" and not own.exists():
            _take_over(own, kind)
        with own.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    os.environ[VARIABLE] = str(folder)


def _take_over(own: Path, kind: str) -> None:
    """Go on with the counts of a process that has died, if there is one."""
    for file in own.parent.glob(f"{kind}_*.db"):
        if not _is_of_a_living_process(file) and _is_readable(file):
            with suppress(FileNotFoundError):  # another new process was first
                file.rename(own)
                return


def read() -> Iterable[Metric]:
    """Return what all processes of this host have counted since their role was started."""
    metrics: Iterable[Metric] = ()
    before, files = None, _files()
    while files != before:  # a new process may take a file over while they are read, a few times a day
        metrics, before = _merge(files), files
        files = _files()
    return metrics


def _files() -> list[Path]:
    """Return the files that count: all counters and histograms, and the gauges of living processes."""
    files = sorted(settings.METRICS_DIR.glob("*/*.db"))
    return [file for file in files if not file.name.startswith("gauge_live") or _is_of_a_living_process(file)]


def _merge(files: Sequence[Path]) -> Iterable[Metric]:
    merge = MultiProcessCollector.merge
    try:
        return merge(files)  # type: ignore[no-untyped-call, no-any-return]
    except UNREADABLE:  # a power cut tore one, it is another user's, or gone meanwhile: the others count all the same
        return merge(list(filter(_is_readable, files)))  # type: ignore[no-untyped-call, no-any-return]


def _is_readable(file: Path) -> bool:
    try:
        for key, *_ in MmapedDict.read_all_values_from_file(file):  # type: ignore[no-untyped-call]
            json.loads(key)
    except UNREADABLE:
        return False
    return True


def _is_of_a_living_process(file: Path) -> bool:
    return Path("/proc", file.stem.rpartition("_")[2]).exists()
