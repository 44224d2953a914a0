"""A file on its way to the bucket."""

import os
from collections.abc import Callable
from typing import IO

BLOCK_BYTES = 256 * 1024  # each block costs a call and a turn of the interpreter's lock


class Upload:
    """A file as boto3 reads it: from its start, and from its start again for a second attempt.

    `check` is called before each block, and `before_last` before the block that ends the file's `size` bytes. What one
    of them raises ends the upload.
    """

    def __init__(
        self, file: IO[bytes], size: int, check: Callable[[], object], before_last: Callable[[], object]
    ) -> None:
        self._file, self._size, self._check, self._before_last = file, size, check, before_last
        self.failure: Exception | None = None  # what was raised, which boto3 wraps

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, and at least BLOCK_BYTES; fewer only at the end."""
        count = max(size, BLOCK_BYTES) if size >= 0 else self._size
        try:
            self._check()
            if self._file.tell() + count >= self._size:
                self._before_last()
        except Exception as error:
            self.failure = error
            raise
        return self._file.read(count)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to another place of the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the present place in the file."""
        return self._file.tell()
