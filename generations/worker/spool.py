"""Files on the worker's disk for videos on their way to the bucket.

The disk is reserved before the bytes arrive: of SPOOL_MB, which all copies of a worker run share, and of the file
system itself, of which MIN_FREE_BYTES stay free. A file has no name, so a worker that is killed leaves nothing behind.
"""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, cast

from django.conf import settings

from generations.budget import Budget

MIN_FREE_BYTES = 256 * 1024**2  # for the logs and databases that may lie on the same disk
STEP_BYTES = 64 * 1024**2  # that a file of unknown length reserves at once
DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_budget = Budget(settings.SPOOL_MB * 1024**2)


class DiskShort(Exception):
    """The worker's disk, or the copies' share of it, has too little left for a video."""


class Spool:
    """A file that is filled once, with the SHA-256 of its bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size, self._reserved = file, 0, 0
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes so far, as hexadecimal text."""
        return self._hash.hexdigest()

    def fill(self, chunks: Iterable[bytes], length: int | None) -> None:
        """Write all chunks. `length` is their number of bytes, if that is known. Raise DiskShort."""
        try:
            if length:
                self._reserve(length)
            for chunk in chunks:
                if self.size + len(chunk) > self._reserved:
                    self._reserve(max(STEP_BYTES, len(chunk)))
                self._hash.update(chunk)
                self._write(chunk)
            self.file.truncate(self.size)
        except OSError as error:
            if error.errno in DISK_IS_FULL:
                raise DiskShort(f"{settings.SPOOL_DIR} is full: {error.strerror}") from error
            raise

    def _write(self, chunk: bytes) -> None:
        """Write the chunk, whole."""
        rest = memoryview(chunk)
        while rest:
            rest = rest[self.file.write(rest) :]
        self.size += len(chunk)

    def _reserve(self, count: int) -> None:
        """Reserve `count` bytes more. Raise DiskShort, or OSError if the disk is full."""
        if free_bytes() < count + MIN_FREE_BYTES:
            raise DiskShort(f"{settings.SPOOL_DIR} has too little free for {count} bytes more")
        if not _budget.reserve(count):
            raise DiskShort(f"the copies in progress use SPOOL_MB, so there is no place for {count} bytes more")
        self._reserved += count
        os.posix_fallocate(self.file.fileno(), self._reserved - count, count)

    def reopen(self) -> BinaryIO:
        """Return the file once more, with a place of its own to read at: for another thread."""
        return open(f"/proc/self/fd/{self.file.fileno()}", "rb", buffering=0)

    def release(self) -> None:
        """Give back what was reserved. The file's own end frees the disk."""
        _budget.release(self._reserved)


@contextmanager
def open_spool() -> Iterator[Spool]:
    """Yield an empty file, which ends with the context. Raise DiskShort if no file can be made."""
    with ExitStack() as stack:
        try:
            # Unbuffered: what a full disk did not take is not written once more when the file is closed.
            file = stack.enter_context(tempfile.TemporaryFile(dir=settings.SPOOL_DIR, buffering=0))
        except OSError as error:
            raise DiskShort(f"no file can be made in {settings.SPOOL_DIR}: {error.strerror}") from error
        spool = Spool(cast(BinaryIO, file))
        stack.callback(spool.release)
        yield spool


def free_bytes() -> int:
    """Return how many bytes of SPOOL_DIR's file system are free for this process."""
    found = os.statvfs(settings.SPOOL_DIR)
    return found.f_bavail * found.f_frsize
